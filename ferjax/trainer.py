"""One run's host loop: steps, validation, early stop, saving and logging around a state on the device."""

import collections
import dataclasses
import logging
import math
import pathlib
import signal
import time
from collections.abc import Callable
from typing import Any, NoReturn

import jax
import numpy as np
from jaxtyping import Array, Int
from ml_collections import ConfigDict

from ferjax import report
from ferjax.atomic import replacing
from ferjax.checkpoint import Checkpoints
from ferjax.data import Rows
from ferjax.data.resident import Resident, place
from ferjax.errors import UserError
from ferjax.groups import Groups
from ferjax.interrupt import Interrupt, InterruptedRun
from ferjax.parallel import Program
from ferjax.state import Sums, TrainState
from ferjax.step import Diagnostics
from ferjax.writer import Progress, Writer

logger = logging.getLogger("ferjax")

# Told of every validated epoch: its number from 1, and validation's loss and accuracy.
OnEpoch = Callable[[int, dict[str, float]], None]


@dataclasses.dataclass
class Trainer:
    """The loop and what it holds; `config` is the train group, `n` the number of training rows.

    `groups` says which parameters train in which epoch.
    """

    config: ConfigDict
    workdir: pathlib.Path
    program: Program
    state: TrainState
    checkpoints: Checkpoints
    groups: Groups
    validation: Resident
    n: int
    interrupt: Interrupt

    def __post_init__(self) -> None:
        # The loop's own copies of three scalars: reading them from the device would wait for the step in flight.
        self.step, self.epoch = int(self.state.step), int(self.state.epoch)
        self._epochs_since_best = int(self.state.epochs_since_best)
        self._saved_step = self.step if self.checkpoints.latest is not None else None
        self._total_steps = math.ceil(self.config.epochs * self.n / self.config.batch_size)
        if self.config.steps:
            self._total_steps = min(self._total_steps, self.config.steps)
        self._writer = Writer(self.workdir, self.step, self.epoch)
        self._progress = Progress(total_steps=self._total_steps, step=self.step, batch_size=self.config.batch_size)
        # Figures of dispatched steps, fetched one step late, so that the device never waits for the host.
        self._pending: collections.deque[tuple[int, Sums, Diagnostics]] = collections.deque()

    def train(self, on_epoch: OnEpoch | None = None) -> None:
        """Run to the last epoch, the early stop, or `train.steps`; raises InterruptedRun or UserError on the way."""
        order = self.program.order(self.state)
        saved_s, first_step, compiled = time.monotonic(), self.step, None
        # Every array is on the device by now: an implicit copy in the loop is a mistake, and fails.
        with jax.transfer_guard("disallow"):
            while True:
                if self.interrupt:
                    self._leave()
                if self._epoch_is_complete():
                    if scores := self._finish_epoch():
                        if on_epoch is not None:
                            on_epoch(self.epoch, scores)
                        order, saved_s = self.program.order(self.state), time.monotonic()
                    continue
                if self._is_finished():
                    break
                phase = self.groups.phase(self.epoch)
                self._take_step(order)
                if phase != compiled:
                    self._drain()
                    self._progress.restart(self.step)  # the step compiled
                    compiled = phase
                if time.monotonic() - saved_s > self.config.checkpoint_interval_s:
                    self._save()
                    saved_s = time.monotonic()
            self._save()
        self.checkpoints.wait()
        if self.step == first_step:
            logger.info("The run in %s is finished; evaluating it again.", self.workdir)

    def _epoch_is_complete(self) -> bool:
        return self.step * self.config.batch_size >= (self.epoch + 1) * self.n

    def _is_finished(self) -> bool:
        patience = self.config.early_stop_patience_epochs
        return self.step >= self._total_steps or (0 < patience <= self._epochs_since_best)

    def _take_step(self, order: Int[Array, " two_n"]) -> None:
        phase = self.groups.phase(self.epoch)
        self.state, window, diagnostics = self.program.train(self.state, order, phase)
        self.step += 1
        if self.step % self.config.log_every_steps == 0:
            self.state = self.program.open_window(self.state)
        self._pending.append((self.step, window, diagnostics))
        if len(self._pending) > 1:
            self._fetch()

    def _drain(self) -> None:
        while self._pending:
            self._fetch()

    def _fetch(self) -> None:
        """Take the oldest pending step's figures: check them, and log where a line is due."""
        step, window, diagnostics = jax.device_get(self._pending.popleft())
        values = _means(window)
        for name, value in (("loss", values["loss"]), ("update's norm", diagnostics.update_norm)):
            if not math.isfinite(value):
                self._stop_not_finite(step, name)
        if step % self.config.log_every_steps and step != self._total_steps:
            return
        values["images_per_s"] = self._progress.measure(step)
        self._progress.show(step, epoch=self.epoch + 1, **values)
        epochs = step * self.config.batch_size / self.n
        rate = float(diagnostics.learning_rate)
        self._writer.write(step=step, epoch=epochs, split="train_step", learning_rate=rate, **values)

    def _stop_not_finite(self, step: int, name: str) -> NoReturn:
        self.checkpoints.wait()
        last = self._saved_step
        kept = "no checkpoint was written yet" if last is None else f"the checkpoint of step {last} is intact"
        raise UserError(
            f"The {name} is not a finite number at step {step} (epoch {self.epoch + 1}); {kept}. Lower "
            "optim.learning_rate, set optim.clip_norm, or lengthen optim.warmup_epochs, and use a new --workdir."
        )

    def _save(self) -> None:
        with self._progress.pause():
            self._drain()
            self.checkpoints.save(self.step + self.epoch, self.program.copy(self.state))
            self._saved_step = self.step

    def _leave(self) -> NoReturn:
        self._save()
        self.checkpoints.wait()
        signum = self.interrupt.signum or signal.SIGINT
        raise InterruptedRun(signum, f"Saved step {self.step} in {self.workdir}. The same command goes on from there.")

    def _finish_epoch(self) -> dict[str, float] | None:
        """Validate, log, keep the best, save; validation's scores, or None where a signal came between."""
        with self._progress.pause():
            self._drain()
            result = self.program.evaluate(_variables(self.state), self.validation, self.interrupt.__bool__)
            if result is None:
                return None
            train, validation = (_means(sums) for sums in jax.device_get((self.state.epoch_sums, result[0])))
            if not math.isfinite(validation["loss"]):
                self._stop_not_finite(self.step, "validation loss")
            self.state, improved = self.program.finish_epoch(self.state, result[0])
            self.epoch += 1
            self._epochs_since_best = int(jax.device_get(self.state.epochs_since_best))
            scale = float(jax.device_get(self.state.plateau.scale))
        for split, values in (("train", train), ("validation", validation)):
            self._writer.write(step=self.step, epoch=float(self.epoch), split=split, **values)
        self._progress.say(
            f"epoch {self.epoch}: train loss {train['loss']:.4f}, accuracy {train['accuracy']:.2%}; validation loss "
            f"{validation['loss']:.4f}, accuracy {validation['accuracy']:.2%}"
            f"{', the best so far' if jax.device_get(improved) else ''}"
            f"{f'; learning rate cut to {scale:.3g} of the schedule' if scale < 1 else ''}"
        )
        if self.groups.phase(self.epoch) != self.groups.phase(self.epoch - 1):
            self._progress.say(f"from epoch {self.epoch + 1} on {self._count_trained()}")
        self._save()
        return validation

    def _count_trained(self) -> str:
        trained, frozen = self.groups.split(self.state.params, self.epoch)
        counts = [sum(leaf.size for leaf in part.values()) for part in (trained, frozen)]
        return f"{counts[0]:,} of {sum(counts):,} parameters train"

    def evaluate_best(self, rows: Rows, index: Int[np.ndarray, " n"], split: str) -> report.Report:
        """Evaluate the best epoch on a split; write predictions.csv and worst_mistakes.npz.

        A run that stopped within its first epoch has no best yet; its last parameters are evaluated.
        """
        best = self.state.best if int(self.state.best.epoch) else self.state
        result = self.program.evaluate(_variables(best), place(rows, index), self.interrupt.__bool__)
        if result is None:
            self._leave()
        labels, probabilities = rows.emotion[index], np.asarray(result[1])
        worst = report.choose_worst(labels, probabilities)
        with replacing(self.workdir / "worst_mistakes.npz") as beside:
            np.savez(beside, pixels=rows.pixels[index][worst], row=index[worst])
        report.write_predictions(
            self.workdir / "predictions.csv",
            row=index,
            split=split,
            labels=labels,
            probabilities=probabilities,
            classes=rows.classes,
        )
        return report.create_report(labels, probabilities, split, classes=rows.classes)

    def close(self) -> None:
        """Finish what is being written."""
        self._progress.close()
        self._writer.close()
        self.checkpoints.close()


def _variables(part: Any) -> dict[str, Any]:
    return {"params": part.params, "batch_stats": part.batch_stats}


def _means(sums: Sums) -> dict[str, float]:
    return {"loss": float(sums.loss / sums.count), "accuracy": float(sums.correct / sums.count)}
