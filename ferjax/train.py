"""The host loop: epochs, validation, plateau, early stop, save, log, and the evaluation at the end."""

import collections
import dataclasses
import functools
import logging
import math
import pathlib
import signal
import time
from typing import Any, NoReturn

import clu.parameter_overview
import flax.linen as nn
import jax
import numpy as np
from jaxtyping import Array, Int
from ml_collections import ConfigDict

from ferjax import augment, data, losses, models, optim, report
from ferjax.checkpoint import Checkpoints
from ferjax.config import validate
from ferjax.data.resident import Resident, place
from ferjax.data.rows import SIDE_PX
from ferjax.errors import UserError
from ferjax.interrupt import Interrupt, InterruptedRun
from ferjax.parallel import Program, create_program
from ferjax.preprocess import preprocess
from ferjax.state import Sums, TrainState, create_state
from ferjax.step import make_eval_step, make_finish_epoch, make_train_step, stream_key
from ferjax.workdir import describe_data, open_workdir
from ferjax.writer import Progress, Writer

logger = logging.getLogger("ferjax")

Splits = dict[str, Int[np.ndarray, " _"]]


def run(config: ConfigDict, workdir: pathlib.Path, *, allow_config_change: bool = False) -> report.Report:
    """Train by `config` in `workdir`, from its last checkpoint where it has one; evaluate the best epoch.

    Raises UserError for what the user can mend, InterruptedRun after a signal, when everything is saved.
    """
    validate(config)
    with Interrupt() as interrupt:
        rows, splits = data.load(**{key: value for key, value in config.data.items() if key != "normalize"})
        for note in rows.notes:
            logger.info("%s", note)
        split = _choose_split(config.eval.split, splits)
        n = len(splits["train"])
        if config.train.batch_size > n:
            raise UserError(
                f"--config.train.batch_size={config.train.batch_size} is more than the {n} training rows of "
                f"{config.data.path}: choose {n} or less."
            )
        open_workdir(workdir, config, describe_data(config.data.path, rows, splits), allow_change=allow_config_change)
        trainer = _create_trainer(config, workdir, rows, splits, interrupt)
        try:
            trainer.train()
            return trainer.evaluate_best(rows, splits[split], split)
        finally:
            trainer.close()


def _choose_split(wanted: str, splits: Splits) -> str:
    if wanted == "auto":
        return "test" if len(splits["test"]) else "validation"
    data.select(splits, wanted)
    return wanted


def _create_trainer(
    config: ConfigDict, workdir: pathlib.Path, rows: data.Rows, splits: Splits, interrupt: Interrupt
) -> "Trainer":
    """Unpack the config into the parts, and restore the state."""
    train_split, validation = (place(rows, splits[name]) for name in ("train", "validation"))
    n, batch_size = len(train_split), config.train.batch_size
    model = models.create(num_classes=len(data.EMOTIONS), **config.model)
    try:
        optimizer = optim.create(**config.optim, epochs=config.train.epochs, steps_per_epoch=n / batch_size)
    except ValueError as error:
        raise UserError(str(error)) from error
    counts = np.bincount(rows.emotion[splits["train"]], minlength=len(data.EMOTIONS))
    loss_fn = _create_loss(config.loss, counts.tolist())
    prepare = functools.partial(
        preprocess, normalize=config.data.normalize, channels=model.in_channels, dtype=model.dtype
    )
    program = create_program(
        make_train_step(model, optimizer, loss_fn, functools.partial(augment.augment, **config.augment), prepare),
        make_eval_step(model, loss_fn, prepare, config.eval.mirror),
        make_finish_epoch(optimizer, config.train.best_metric),
        optimizer,
        train_split,
        num_classes=len(data.EMOTIONS),
        batch_size=batch_size,
        eval_batch_size=config.eval.batch_size,
    )
    state = _initialize(model, optimizer, config.train.seed)
    if jax.process_index() == 0:
        logger.info("%s", clu.parameter_overview.get_parameter_overview(state.params, include_stats=False))
    checkpoints = Checkpoints(workdir)
    if checkpoints.latest is not None:
        state = checkpoints.restore(state)
        logger.info("Resumed from step %d (epoch %d).", int(state.step), int(state.epoch))
    return Trainer(config.train, workdir, program, state, checkpoints, validation, n, interrupt)


def _create_loss(config: ConfigDict, counts: list[int]) -> Any:
    try:
        weights = losses.parse_class_weights(config.class_weights, counts)
    except ValueError as error:
        raise UserError(f"--config.loss.class_weights={config.class_weights!r}: {error}") from error
    return losses.make_loss(**{**config, "class_weights": weights})


def _initialize(model: nn.Module, optimizer: optim.Optimizer, seed: int) -> TrainState:
    @jax.jit
    def create() -> TrainState:
        state_seed = jax.numpy.asarray(seed, jax.numpy.uint32)
        key = stream_key(state_seed, "parameters", jax.numpy.zeros((), jax.numpy.int32))
        side = SIDE_PX
        variables = model.init(key, jax.numpy.zeros((1, side, side, model.in_channels)), train=False)
        return create_state(state_seed, variables["params"], variables.get("batch_stats", {}), optimizer)

    return create()


@dataclasses.dataclass
class Trainer:
    """One run: the state on the device, and the host's loop around it."""

    config: ConfigDict  # the train group
    workdir: pathlib.Path
    program: Program
    state: TrainState
    checkpoints: Checkpoints
    validation: Resident
    n: int
    interrupt: Interrupt

    def __post_init__(self) -> None:
        self.step = int(self.state.step)
        self.epoch = int(self.state.epoch)
        self._saved_step = self.step if self.checkpoints.latest is not None else None
        self._total_steps = math.ceil(self.config.epochs * self.n / self.config.batch_size)
        if self.config.steps:
            self._total_steps = min(self._total_steps, self.config.steps)
        self._writer = Writer(self.workdir, self.step)
        self._progress = Progress(total_steps=self._total_steps, step=self.step, batch_size=self.config.batch_size)
        # Results of dispatched steps, fetched one step late, so that the device never waits for the host.
        self._pending: collections.deque[tuple[int, Sums, Array]] = collections.deque()
        self._window: list[tuple[float, float, float]] = []

    def train(self) -> None:
        """Run to the last epoch, the early stop, or `train.steps`; raises InterruptedRun or UserError on the way."""
        order = self.program.order(self.state)
        saved_s = time.monotonic()
        first_step = self.step
        # Every array is on the device by now: an implicit copy in the loop is a mistake, and fails.
        with jax.transfer_guard("disallow"):
            while True:
                if self.interrupt:
                    self._leave()
                if self._epoch_is_complete():
                    if self._finish_epoch():
                        order, saved_s = self.program.order(self.state), time.monotonic()
                    continue
                if self._is_finished():
                    break
                self._take_step(order)
                if self.step == first_step + 1:
                    self._drain()
                    self._progress.restart_clock(self.step)
                if time.monotonic() - saved_s > self.config.checkpoint_interval_s:
                    self._save()
                    saved_s = time.monotonic()
            self._drain()
            self._save()
        self.checkpoints.wait()

    def _epoch_is_complete(self) -> bool:
        return self.step * self.config.batch_size >= (self.epoch + 1) * self.n

    def _is_finished(self) -> bool:
        patience = self.config.early_stop_patience_epochs
        if patience and int(jax.device_get(self.state.epochs_since_best)) >= patience:
            self._total_steps = self.step
            return True
        return self.step >= self._total_steps

    def _take_step(self, order: Int[Array, " two_n"]) -> None:
        self.state, sums, gradient_norm = self.program.train(self.state, order)
        self.step += 1
        self._pending.append((self.step, sums, gradient_norm))
        if len(self._pending) > 1:
            self._fetch()

    def _drain(self) -> None:
        while self._pending:
            self._fetch()

    def _fetch(self) -> None:
        """Take the oldest pending step's figures: check, gather, and log where a line is due."""
        step, sums, gradient_norm = self._pending.popleft()
        sums, gradient_norm = jax.device_get((sums, gradient_norm))
        loss = float(sums.loss / sums.count)
        if not math.isfinite(loss) or not math.isfinite(gradient_norm):
            self._stop_not_finite(step, "loss" if not math.isfinite(loss) else "gradient's norm")
        self._window.append((float(sums.loss), float(sums.correct), float(sums.count)))
        if step % self.config.log_every_steps and step != self._total_steps:
            return
        loss_sum, correct, count = (sum(column) for column in zip(*self._window, strict=True))
        self._window.clear()
        figures_of_window = {
            "loss": loss_sum / count,
            "accuracy": correct / count,
            "images_per_s": self._progress.measure(step),
        }
        self._progress.show(step, epoch=self.epoch + 1, **figures_of_window)
        self._writer.write(
            step=step,
            epoch=step * self.config.batch_size / self.n,
            split="train_step",
            learning_rate=float(jax.device_get(self.program.learning_rate(self.state))),
            **figures_of_window,
        )

    def _stop_not_finite(self, step: int, what: str) -> NoReturn:
        self.checkpoints.wait()
        last = self._saved_step
        kept = "no checkpoint was written yet" if last is None else f"the checkpoint of step {last} is intact"
        raise UserError(
            f"The {what} is not a finite number at step {step} (epoch {self.epoch + 1}); {kept}. Lower "
            "optim.learning_rate, set optim.clip_norm, or lengthen optim.warmup_epochs, and use a new --workdir."
        )

    def _save(self) -> None:
        self._drain()
        self.checkpoints.save(self.step + self.epoch, self.state)
        self._saved_step = self.step
        self._progress.restart_clock(self.step)

    def _leave(self) -> NoReturn:
        self._save()
        self.checkpoints.wait()
        signum = self.interrupt.signum or signal.SIGINT
        raise InterruptedRun(signum, f"Saved step {self.step} in {self.workdir}. The same command goes on from there.")

    def _finish_epoch(self) -> bool:
        """Validate, log, keep the best, save; False where a signal came between."""
        self._drain()
        rate = float(jax.device_get(self.program.learning_rate(self.state)))
        train = jax.device_get(self.state.epoch_sums)
        result = self.program.evaluate(_variables(self.state), self.validation, self.interrupt.__bool__)
        if result is None:
            return False
        validation = jax.device_get(result[0])
        self.state, improved = self.program.finish_epoch(self.state, result[0])
        self.epoch += 1
        lines = {"train": _means(train) | {"learning_rate": rate}, "validation": _means(validation)}
        for split, values in lines.items():
            self._writer.write(step=self.step, epoch=float(self.epoch), split=split, **values)
        self._progress.say(
            f"epoch {self.epoch}: train loss {lines['train']['loss']:.4f}, accuracy {lines['train']['accuracy']:.2%}; "
            f"validation loss {lines['validation']['loss']:.4f}, accuracy {lines['validation']['accuracy']:.2%}"
            f"{', the best so far' if bool(jax.device_get(improved)) else ''}; learning rate {rate:.2g}"
        )
        self._save()
        return True

    def evaluate_best(self, rows: data.Rows, index: Int[np.ndarray, " n"], split: str) -> report.Report:
        """Evaluate the best epoch on a split and write predictions, report and figures.

        A run that stopped within its first epoch has no best yet; its last parameters are evaluated.
        """
        best = self.state.best if int(self.state.best.epoch) else self.state
        result = self.program.evaluate(_variables(best), place(rows, index), self.interrupt.__bool__)
        if result is None:
            self._leave()
        labels, probabilities = rows.emotion[index], np.asarray(result[1])
        report.write_predictions(
            self.workdir / "predictions.csv", row=index, split=split, labels=labels, probabilities=probabilities
        )
        worst = report.choose_worst(labels, probabilities)
        np.savez(self.workdir / "worst_mistakes.npz", pixels=rows.pixels[index][worst], row=index[worst])
        return report.create_report(labels, probabilities, split)

    def close(self) -> None:
        """Finish what is being written."""
        self._progress.close()
        self._writer.close()
        self.checkpoints.close()


def _variables(part: Any) -> dict[str, Any]:
    return {"params": part.params, "batch_stats": part.batch_stats}


def _means(sums: Sums) -> dict[str, float]:
    return {"loss": float(sums.loss / sums.count), "accuracy": float(sums.correct / sums.count)}
