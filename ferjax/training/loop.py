"""The host loop of one run, or of several seeds side by side: steps, validation, early stop, saving and logging."""

import collections
import dataclasses
import logging
import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import jax
import numpy as np
from jaxtyping import Array, Int
from ml_collections import ConfigDict

from ferjax import report
from ferjax.data import Rows
from ferjax.data.resident import Resident
from ferjax.errors import UserError
from ferjax.interrupt import Interrupt, InterruptedRun
from ferjax.optim.groups import Groups
from ferjax.parallel import Figures, Program, Votes, Window, count_processes, is_main, place
from ferjax.scores import Sums, compute_scores
from ferjax.state import TrainState, network_variables
from ferjax.training.flops import Peak, find_utilization
from ferjax.training.progress import Progress
from ferjax.training.seed import Repeat

logger = logging.getLogger("ferjax")

# Told of every validated epoch: its number from 1, and every score of validation.
OnEpoch = Callable[[int, dict[str, float]], None]

# A dispatch of many steps lasts about this long, so that a signal is heard and a line is shown in time.
_DISPATCH_S = 1.0


@dataclasses.dataclass
class Trainer:
    """The loop and what it holds; `config` is the train group, `n` the number of training rows.

    `state` holds the states of all `repeats`, which stand at the same step unless they are finished. `groups` says
    which parameters train in which epoch. An image costs `flops_per_image(phase)` in training; `find_peak` says what
    the devices could do. Where a run has other seeds than these, it is not `alone`, and a seed that fails does not end
    it.
    """

    config: ConfigDict
    program: Program
    state: TrainState
    repeats: Sequence[Repeat]
    groups: Groups
    validation: Resident
    n: int
    interrupt: Interrupt
    flops_per_image: Callable[[int], int]
    find_peak: Callable[[], Peak]
    alone: bool = True

    def __post_init__(self) -> None:
        self._total_steps = math.ceil(self.config.epochs * self.n / self.config.batch_size)
        if self.config.steps:
            self._total_steps = min(self._total_steps, self.config.steps)
        first = next(iter(self._active()), self.repeats[0])
        self.step, self.epoch = first.step, first.epoch
        self._progress = Progress(
            total_steps=self._total_steps, step=self.step, batch_size=self.config.batch_size, quiet=not is_main()
        )
        # Figures of dispatched steps, fetched one dispatch late, so that the device never waits for the host.
        self._pending: collections.deque[tuple[int, int, Figures, Array | None]] = collections.deque()
        self._votes = Votes(self.program.layout) if count_processes() > 1 else None
        self._must_leave = self._must_save = False
        self._stride = 1 if self.program.dispatch.adaptive else self.program.dispatch.steps_at_most
        self._fetched_s = self._saved_s = time.monotonic()

    def _active(self) -> list[Repeat]:
        patience = self.config.early_stop_patience_epochs
        return [repeat for repeat in self.repeats if not repeat.is_finished(self._total_steps, patience)]

    def train(self, on_epoch: OnEpoch | None = None) -> None:
        """Run to the last epoch, the early stop, or `train.steps`; raises InterruptedRun or UserError on the way.

        `on_epoch` is told of the first seed's epochs.
        """
        first_step, compiled = self.step, None
        order = self.program.order(self.state)
        # Every array is on the device by now: an implicit copy in the loop is a mistake, and fails.
        with jax.transfer_guard("disallow"):
            while True:
                self._ask()
                if self._must_leave:
                    self._leave()
                if self._epoch_is_complete():
                    if scores := self._finish_epoch():
                        if on_epoch is not None:
                            on_epoch(self.epoch, scores)
                        order = self.program.order(self.state)
                    continue
                if not self._active():
                    break
                phase = self.groups.phase(self.epoch)
                self._take_steps(order)
                if phase != compiled:
                    self._drain()
                    self._progress.restart(self.step)  # the step compiled
                    self._fetched_s = time.monotonic()
                    compiled = phase
                if self._must_save:
                    self._save()
            self._save()
        for repeat in self.repeats:
            repeat.checkpoints.wait()
        if self.step == first_step:
            for repeat in self.repeats:
                logger.info("The run in %s is finished; evaluating it again.", repeat.workdir)

    def _ask(self) -> None:
        """Whether to leave or to save: of one process, its own wish; of several, what they voted with a past step."""
        if self._votes is None:
            self._must_leave = bool(self.interrupt)
            self._must_save = self._is_time_to_save()

    def _is_time_to_save(self) -> bool:
        return time.monotonic() - self._saved_s > self.config.checkpoint_interval_s

    def _epoch_is_complete(self) -> bool:
        return self.step * self.config.batch_size >= (self.epoch + 1) * self.n

    def _take_steps(self, order: Int[Array, "*seeds two_n"]) -> None:
        epoch_end = math.ceil((self.epoch + 1) * self.n / self.config.batch_size)
        steps = min(self._stride, epoch_end - self.step, self._total_steps - self.step)
        votes = None
        if self._votes is not None:
            votes = self._votes.cast(bool(self.interrupt), self._is_time_to_save())
        self.state, figures = self.program.train(self.state, order, self.groups.phase(self.epoch), steps)
        self.step += steps
        for repeat in self._active():
            repeat.step = self.step
        self._pending.append((self.step - steps, steps, figures, votes))
        while len(self._pending) > self.program.steps_ahead:
            self._fetch()

    def _drain(self) -> None:
        while self._pending:
            self._fetch()

    def _fetch(self) -> None:
        """Take the oldest dispatch's figures: check every step's, and log where a line is due."""
        first, steps, figures, votes = self._pending.popleft()
        figures, votes = jax.device_get((figures, votes))
        if votes is not None:
            self._must_leave, self._must_save = (bool(count) for count in votes)
        rate = None if self.program.dispatch.steps_at_most == 1 else self._progress.measure(first + steps)
        by_seed = jax.tree.map(lambda leaf: leaf.reshape(-1, leaf.shape[-1]), figures)
        for i in range(steps):
            self._log_step(first + i + 1, jax.tree.map(lambda leaf, i=i: leaf[:, i], by_seed), rate)
        if self.program.dispatch.adaptive:
            now = time.monotonic()
            second = steps * _DISPATCH_S / max(now - self._fetched_s, 1e-6)
            self._stride, self._fetched_s = max(1, min(self.program.dispatch.steps_at_most, round(second))), now

    def _log_step(self, step: int, figures: Figures, dispatch_rate: float | None) -> None:
        """Check one step's figures, and log them where a line is due; images/s are of the dispatch if it had many."""
        lines = {}
        told = figures.diagnostics
        rows = zip(self.repeats, _average(figures.window), told.learning_rate, told.update_norm, strict=False)
        for repeat, values, learning_rate, norm in rows:
            if repeat.failure is not None or repeat.step < step:
                continue
            broken = [
                name for name, value in (("loss", values["loss"]), ("update's norm", norm)) if not np.isfinite(value)
            ]
            if broken:
                self._fail(repeat, step, broken[0])
            else:
                lines[repeat] = {"learning_rate": float(learning_rate), **values}
        if not lines or (step % self.config.log_every_steps and step != self._total_steps):
            return
        rate = self._progress.measure(step) if dispatch_rate is None else dispatch_rate
        mean = {name: float(np.mean([line[name] for line in lines.values()])) for name in ("loss", "accuracy")}
        self._progress.show(step, epoch=self.epoch + 1, images_per_s=rate * len(lines), **mean)
        epoch = step * self.config.batch_size / self.n
        for repeat, line in lines.items():
            repeat.write(step=step, epoch=epoch, split="train_step", images_per_s=rate, **line)

    def _fail(self, repeat: Repeat, step: int, name: str) -> None:
        """Stop a seed whose numbers are no longer finite; raises UserError where no other goes on without it."""
        failure = repeat.fail(name if self.alone else f"{name} of seed {repeat.seed}", step, self.epoch + 1)
        if self.alone:
            raise UserError(failure)
        self._progress.say(f"{failure} The other seeds go on.")

    def _save(self) -> None:
        with self._progress.pause():
            self._drain()
            for slot, repeat in enumerate(self.repeats):
                if repeat in self._present():
                    repeat.save(self.program.take(self.state, slot))
        self._saved_s = self._fetched_s = time.monotonic()
        self._must_save = False

    def _leave(self) -> NoReturn:
        self._save()
        for repeat in self.repeats:
            repeat.checkpoints.wait()
        signum = self.interrupt.signum or signal.SIGTERM
        workdirs = ", ".join(str(repeat.workdir) for repeat in self.repeats)
        raise InterruptedRun(signum, f"Saved step {self.step} in {workdirs}. The same command goes on from there.")

    def _finish_epoch(self) -> dict[str, float] | None:
        """Validate, log, keep the best, save; the first seed's scores, or None where a signal came between."""
        with self._progress.pause():
            self._drain()
            result = self.program.evaluate(network_variables(self.state), self.validation, self._stops_evaluating)
            if result is None:
                return None
            train, validation = (_score(sums) for sums in jax.device_get((self.state.epoch_sums, result[0])))
            for repeat, values in zip(self.repeats, validation, strict=False):
                if repeat in self._present() and not math.isfinite(values["loss"]):
                    self._fail(repeat, self.step, "validation loss")
            present = [repeat in self._present() for repeat in self.repeats]
            # The slots that only fill up a layout repeat its last seed.
            flags = np.asarray(present + present[-1:] * (self.program.layout.slots - len(present)))
            self.state, improved = self.program.finish_epoch(self.state, result[0], flags)
            self.epoch += 1
            told = (self.state.epochs_since_best, self.state.plateau.scale, improved)
            rows = zip(self.repeats, train, validation, *map(np.atleast_1d, jax.device_get(told)), strict=False)
        speed = self._measure_epoch(sum(present)) if any(present) else {}
        for repeat, trained, validated, waited, scale, is_best in rows:
            if repeat not in self._present():
                continue
            repeat.epoch, repeat.epochs_since_best = self.epoch, int(waited)
            repeat.write(step=self.step, epoch=float(self.epoch), split="train", **trained, **speed)
            repeat.write(step=self.step, epoch=float(self.epoch), split="validation", **validated)
            self._progress.say(
                f"{'' if self.alone else f'seed {repeat.seed}, '}epoch {self.epoch}: train loss "
                f"{trained['loss']:.4f}, accuracy {trained['accuracy']:.2%}; validation loss "
                f"{validated['loss']:.4f}, accuracy {validated['accuracy']:.2%}{', the best so far' if is_best else ''}"
                f"{f'; learning rate cut to {scale:.3g} of the schedule' if scale < 1 else ''}"
            )
        if self.groups.phase(self.epoch) != self.groups.phase(self.epoch - 1):
            self._progress.say(f"from epoch {self.epoch + 1} on {self._count_trained()}")
        self._save()
        return validation[0]

    def _present(self) -> list[Repeat]:
        """The seeds that stand where the loop does."""
        return [repeat for repeat in self.repeats if repeat.step == self.step and repeat.failure is None]

    def _stops_evaluating(self) -> bool:
        # Of several processes none may leave the others alone in a step.
        return bool(self.interrupt) and self._votes is None

    def _measure_epoch(self, seeds: int) -> dict[str, float]:
        """The epoch's speed, as it goes to metrics.jsonl; says it too, with the model FLOP utilisation."""
        rate = self._progress.measure_epoch(self.step)
        if not rate:
            return {}
        flops = self.flops_per_image(self.groups.phase(self.epoch - 1))
        with self._progress.pause():
            peak = self.find_peak()
        used = find_utilization(flops, rate * seeds, peak, self.program.layout.devices)
        share = "" if used is None else f", model FLOP utilisation {used:.1%}"
        self._progress.say(f"epoch {self.epoch}: {rate * seeds:.4g} images/s{share}")
        return {"images_per_s": rate} | ({} if used is None else {"model_flop_utilisation": used / seeds})

    def _count_trained(self) -> str:
        trained, frozen = self.groups.split(self.state.params, self.epoch)
        counts = [sum(leaf.size for leaf in part.values()) // self.program.layout.slots for part in (trained, frozen)]
        return f"{counts[0]:,} of {sum(counts):,} parameters train"

    def evaluate_best(self, rows: Rows, index: Int[np.ndarray, " n"], split: str) -> dict[int, report.Report]:
        """Evaluate each seed's best epoch on a split; write predictions.csv and worst_mistakes.npz.

        The reports are by seed, without those that failed. A run that stopped within its first epoch has no best yet;
        its last parameters are evaluated.
        """
        if all(repeat.failure for repeat in self.repeats):
            return {}
        placed = place(rows, index, self.program.layout)
        result = self.program.evaluate(self.program.choose_best(self.state), placed, self._stops_evaluating)
        if result is None:
            self._leave()
        labels = rows.emotion[index]
        probabilities = np.asarray(result[1]).reshape(-1, len(index), len(rows.classes))
        reports = {}
        for repeat, own in zip(self.repeats, probabilities, strict=False):
            if repeat.failure is None:
                repeat.write_predictions(rows, index, split, own)
                reports[repeat.seed] = report.create_report(labels, own, split, classes=rows.classes)
        return reports

    def close(self) -> None:
        """Finish what is being written."""
        self._progress.close()
        for repeat in self.repeats:
            repeat.close()


def _average(window: Window) -> list[dict[str, float]]:
    """Return loss and accuracy of each seed."""
    return _split({"loss": window.loss / window.count, "accuracy": window.correct / window.count})


def _score(sums: Sums) -> list[dict[str, float]]:
    """Return every score of each seed."""
    return _split(compute_scores(sums))


def _split(scores: Mapping[str, Any]) -> list[dict[str, float]]:
    """Return each seed's scores, from arrays that hold all seeds' or, with a single one, are scalars."""
    by_seed = zip(*(np.atleast_1d(values) for values in scores.values()), strict=True)
    return [dict(zip(scores, map(float, values), strict=True)) for values in by_seed]
