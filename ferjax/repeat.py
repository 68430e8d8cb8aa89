"""One seed's side of a run: its folder, what is written there, and when it has had enough."""

import logging
import pathlib

from ferjax.checkpoint import Checkpoints
from ferjax.state import TrainState
from ferjax.writer import Writer

logger = logging.getLogger("ferjax")


class Repeat:
    """The files of one seed, and the loop's own copies of three of its state's scalars.

    Reading them from the device would wait for the step in flight. `failure` says why a seed stopped that cannot go
    on. Only the main process of a run writes; checkpoints are saved by all.
    """

    def __init__(
        self, seed: int, workdir: pathlib.Path, checkpoints: Checkpoints, state: TrainState, *, writes: bool
    ) -> None:
        self.seed, self.workdir, self.checkpoints = seed, workdir, checkpoints
        self.step, self.epoch = int(state.step), int(state.epoch)
        self.epochs_since_best = int(state.epochs_since_best)
        self.saved_step = self.step if checkpoints.latest is not None else None
        self.failure: str | None = None
        self._writer = Writer(workdir, self.step, self.epoch) if writes else None

    def is_finished(self, total_steps: int, patience_epochs: int) -> bool:
        """Whether this seed trains no more: its steps are done, its patience is at an end, or it failed."""
        impatient = 0 < patience_epochs <= self.epochs_since_best
        return self.failure is not None or self.step >= total_steps or impatient

    def write(self, *, epoch: float, split: str, step: int, **values: float) -> None:
        """One line of metrics.jsonl."""
        if self._writer is not None:
            self._writer.write(step=step, epoch=epoch, split=split, **values)

    def save(self, state: TrainState) -> None:
        """Write a checkpoint in the background; `state` is a copy that nothing overwrites."""
        self.checkpoints.save(self.step + self.epoch, state)
        self.saved_step = self.step

    def describe_saved(self) -> str:
        """What a user still has after this seed failed."""
        if self.saved_step is None:
            return "no checkpoint was written yet"
        return f"the checkpoint of step {self.saved_step} is intact"

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self.checkpoints.close()
