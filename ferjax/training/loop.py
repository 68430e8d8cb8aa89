"""The host loop of one run, or of several seeds side by side: steps, and a validation at each epoch's end."""

import collections
import dataclasses
import logging
import math
import signal
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import jax
import numpy as np
from jaxtyping import Array, Float32, Int, PyTree

from ferjax import report
from ferjax.data import Rows, Splits
from ferjax.data.resident import Resident
from ferjax.errors import UserError
from ferjax.interrupt import Interrupt, InterruptedRun
from ferjax.parallel import Compiled, Figures, is_main, place
from ferjax.scores import Sums, compute_scores
from ferjax.state import TrainState, network_variables
from ferjax.training.build import Parts
from ferjax.training.hooks.base import EpochTold, Hook, RunEpoch, StepTold
from ferjax.training.progress import Progress
from ferjax.training.seed_run import SeedRun
from ferjax.training.stopwatch import Stopwatch
from ferjax.training.stride import Stride
from ferjax.training.wishes import Wishes

logger = logging.getLogger("ferjax")


@dataclasses.dataclass
class Loop:
    """The training of the seeds of `runs` side by side, from the step that their `state` has reached.

    The runs stand at the same step unless they are finished. What happens beside training, such as saving and logging,
    is up to the `hooks`. Where a setting has other seeds than these, they are not `alone`, and a seed that fails does
    not end it.
    """

    parts: Parts
    compiled: Compiled
    state: TrainState
    runs: Sequence[SeedRun]
    validation: Resident
    interrupt: Interrupt
    hooks: Sequence[Hook]
    alone: bool = True

    def __post_init__(self) -> None:
        self.config = self.parts.config.train
        self.rows, self.batch_size = self.parts.task.rows, self.config.batch_size
        self.total_steps = math.ceil(self.config.epochs * self.rows / self.batch_size)
        if self.config.steps:
            self.total_steps = min(self.total_steps, self.config.steps)
        first = next(iter(self.active()), self.runs[0])
        self.step, self.epoch = first.step, first.epoch
        self.stopwatch = Stopwatch(self.step, self.batch_size)
        self.progress = Progress(
            total_steps=self.total_steps, step=self.step, stopwatch=self.stopwatch, quiet=not is_main()
        )
        self.wishes = Wishes(self.interrupt, self.config.checkpoint_interval_s, self.compiled.layout)
        self._stride = Stride(self.compiled.dispatch)
        # Figures of dispatched steps, fetched one dispatch late, so that the device never waits for the host.
        self._pending: collections.deque[tuple[int, int, Figures, Array | None]] = collections.deque()
        self._compiled_phase: int | None = None

    @property
    def phase(self) -> int:
        """The optimizer's number for the set of parameters that train in this epoch."""
        return self.parts.optimizer.groups.phase(self.epoch)

    def active(self) -> list[SeedRun]:
        """Return the runs that still train."""
        return [run for run in self.runs if not self._is_finished(run)]

    def present(self) -> list[SeedRun]:
        """Return the runs that are at the loop's step."""
        return [run for run in self.runs if run.step == self.step and run.failure is None]

    def _is_finished(self, run: SeedRun) -> bool:
        return (
            run.failure is not None or run.step >= self.total_steps or any(hook.has_enough(run) for hook in self.hooks)
        )

    def train(self) -> None:
        """Train to the last epoch, to `train.steps`, or until the hooks have stopped every run.

        Raises InterruptedRun after a signal, when everything is saved, and UserError for numbers that are not finite.
        """
        first_step, order = self.step, self.compiled.order(self.state)
        # Every array is on the device by now: an implicit copy in the loop is a mistake, and fails.
        with jax.transfer_guard("disallow"):
            while True:
                if self.wishes.leave:
                    self._leave()
                if self._epoch_is_complete():
                    if self._finish_epoch():
                        order = self.compiled.order(self.state)
                elif self.active():
                    self._take_steps(order)
                    self._tell("after_dispatch")
                else:
                    break
            self._tell("on_end")
        if self.step == first_step:
            for run in self.runs:
                logger.info("The run in %s is finished; evaluating it again.", run.workdir.folder)

    def _tell(self, event: str, *arguments: Any) -> None:
        for hook in self.hooks:
            getattr(hook, event)(self, *arguments)

    def _epoch_is_complete(self) -> bool:
        complete: bool = self.step * self.batch_size >= (self.epoch + 1) * self.rows
        return complete

    @property
    def is_validated(self) -> bool:
        """Whether the loop is at an epoch's end, after its validation."""
        return self.epoch > 0 and self.step == math.ceil(self.epoch * self.rows / self.batch_size)

    def _take_steps(self, order: Int[Array, "*seeds two_n"]) -> None:
        """Dispatch some steps, and fetch the figures of those before them."""
        phase = self.phase
        epoch_end = math.ceil((self.epoch + 1) * self.rows / self.batch_size)
        steps = min(self._stride.steps, epoch_end - self.step, self.total_steps - self.step)
        votes = self.wishes.cast()
        self.state, figures = self.compiled.train(self.state, order, phase, steps)
        self.step += steps
        for run in self.active():
            run.step = self.step
        self._pending.append((self.step - steps, steps, figures, votes))
        while len(self._pending) > self.compiled.steps_ahead:
            self._fetch()
        if phase != self._compiled_phase:  # this dispatch compiled the step, which is no training time
            self._compiled_phase = phase
            self.drain()
            self.stopwatch.restart(self.step)
            self._stride.restart()

    def drain(self) -> None:
        """Wait for every dispatched step, and tell the hooks of it."""
        while self._pending:
            self._fetch()

    def _fetch(self) -> None:
        """Take the oldest dispatch's figures, and tell the hooks of each of its steps."""
        first, steps, figures, votes = self._pending.popleft()
        figures, votes = jax.device_get((figures, votes))
        self.wishes.hear(votes)
        # The steps of one dispatch come together, so that they have one speed.
        rate = None if self.compiled.dispatch.steps_at_most == 1 else self.stopwatch.measure(first + steps)
        by_seed = jax.tree.map(lambda leaf: leaf.reshape(-1, leaf.shape[-1]), figures)
        for i in range(steps):
            self._tell_step(first + i + 1, jax.tree.map(lambda leaf, i=i: leaf[:, i], by_seed), rate)
        self._stride.learn(steps)

    def _tell_step(self, step: int, figures: Figures, rate: float | None) -> None:
        window, told = figures.window, figures.diagnostics
        columns = {
            "loss": window.loss / window.count,
            "accuracy": window.correct / window.count,
            "learning_rate": told.learning_rate,
            "update_norm": told.update_norm,
        }
        runs = {
            run: values
            for run, values in zip(self.runs, split_by_seed(columns), strict=False)
            if run.failure is None and run.step >= step
        }
        self._tell("on_step", StepTold(step, runs, rate))

    def fail(self, run: SeedRun, step: int, name: str) -> None:
        """Stop a run whose number `name` is no longer finite; raises UserError where no other goes on without it."""
        failure = run.fail(name if self.alone else f"{name} of seed {run.seed}", step, self.epoch + 1)
        if self.alone:
            raise UserError(failure)
        self.progress.say(f"{failure} The other seeds go on.")

    def _leave(self) -> NoReturn:
        self._tell("on_end")
        signum = self.interrupt.signum or signal.SIGTERM
        folders = ", ".join(str(run.workdir.folder) for run in self.runs)
        raise InterruptedRun(signum, f"Saved step {self.step} in {folders}. The same command goes on from there.")

    def _finish_epoch(self) -> bool:
        """Validate, keep the best, and tell the hooks; return False where a signal came in between."""
        self.drain()  # these steps are training, whose time counts
        with self.stopwatch.pause():
            began_s = time.monotonic()
            result = self.compiled.evaluate(network_variables(self.state), self.validation, self._is_to_stop_evaluating)
            if result is None:
                return False
            sums = jax.device_get((self.state.epoch_sums, result[0]))
            validation_s = time.monotonic() - began_s
            trained, validated = (split_by_seed(compute_scores(part)) for part in sums)
            slots = {run: slot for slot, run in enumerate(self.runs)}
            self._tell("on_validated", {run: validated[slots[run]] for run in self.present()})
            present = self.present()
            improved = self._keep_best(result[0])
            told = (self.state.epochs_since_best, self.state.plateau.scale, improved)
            waited, scales, best = map(np.atleast_1d, jax.device_get(told))
        runs = {}
        for run in present:
            slot = slots[run]
            run.epoch, run.epochs_since_best = self.epoch, int(waited[slot])
            runs[run] = RunEpoch(trained[slot], validated[slot], float(scales[slot]), bool(best[slot]))
        self._tell("on_epoch", EpochTold(self.epoch, self.step, runs, {}, validation_s))
        self._stride.restart()
        return True

    def _keep_best(self, validation: Sums) -> Array:
        """Close the epoch on the device; return whether each slot has a new best."""
        present = [run in self.present() for run in self.runs]
        # The slots that only fill up a layout repeat its last seed.
        flags = np.asarray(present + present[-1:] * (self.compiled.layout.slots - len(present)))
        self.state, improved = self.compiled.finish_epoch(self.state, validation, flags)
        self.epoch += 1
        return improved

    def _is_to_stop_evaluating(self) -> bool:
        return self.wishes.stop_evaluating

    def evaluate_best(self, rows: Rows, splits: Splits, split: str) -> dict[int, report.Report]:
        """Evaluate each seed's best epoch on a split; write calibration.json, predictions.csv and worst_mistakes.npz.

        The reports are by seed, without those that failed. A run that stopped within its first epoch has no best yet;
        its last parameters are evaluated. The temperature is fitted on validation, whatever split is evaluated.
        """
        if all(run.failure for run in self.runs):
            return {}
        index, chosen = splits[split], splits["validation"]
        variables = self.compiled.choose_best(self.state)
        answers = self._answer(variables, rows, index)
        validated = answers if split == "validation" else self._answer(variables, rows, chosen)
        reports = {}
        for run, own, for_choice in zip(self.runs, answers, validated, strict=False):
            if run.failure is None:
                run.write_calibration(rows.labels[chosen], for_choice, "validation")
                run.write_predictions(rows, index, split, own)
                reports[run.seed] = report.create_report(rows.labels[index], own, split, classes=rows.classes)
        return reports

    def _answer(
        self, variables: dict[str, PyTree], rows: Rows, index: Int[np.ndarray, " n"]
    ) -> Float32[np.ndarray, "slots n k"]:
        """Return each slot's probabilities for the rows `index`, over the views of a run's end."""
        placed = place(rows, index, self.compiled.layout)
        result = self.compiled.evaluate_finally(variables, placed, self._is_to_stop_evaluating)
        if result is None:
            self._leave()
        return np.asarray(result[1]).reshape(-1, len(index), len(rows.classes))

    def close(self) -> None:
        """Finish all writing, and close."""
        self.progress.close()
        for run in self.runs:
            run.close()


def split_by_seed(scores: Mapping[str, Any]) -> list[dict[str, float]]:
    """Return the scores of each seed, from arrays over all seeds, or from scalars if there is only one."""
    by_seed = zip(*(np.atleast_1d(values) for values in scores.values()), strict=True)
    return [dict(zip(scores, map(float, values), strict=True)) for values in by_seed]
