"""The moments at which a hook is called, and what it is told."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from ferjax.parallel import Program
from ferjax.state import TrainState
from ferjax.training.build import Parts
from ferjax.training.progress import Progress
from ferjax.training.seed_run import SeedRun
from ferjax.training.stopwatch import Stopwatch
from ferjax.training.wishes import Wishes

Scores: TypeAlias = Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class StepTold:
    """One step.

    `runs` has, for each run that took it, its scores since the last logged line, the step's learning rate and the norm
    of its update. `images_per_s` is the speed of the dispatch, where that had many steps.
    """

    step: int
    runs: Mapping[SeedRun, Scores]
    images_per_s: float | None


@dataclasses.dataclass(frozen=True)
class RunEpoch:
    """One run's epoch: its scores, what the plateau multiplies the next epoch's rate by, and whether it is the best."""

    train: Scores
    validation: Scores
    scale: float
    is_best: bool


@dataclasses.dataclass(frozen=True)
class EpochTold:
    """An epoch that has been validated. `speed` is what hooks have measured of it, for hooks behind them to write."""

    epoch: int
    step: int
    runs: Mapping[SeedRun, RunEpoch]
    speed: dict[str, float]


@runtime_checkable
class Loop(Protocol):
    """What a hook may use of ferjax.training.loop.Loop."""

    parts: Parts
    program: Program
    state: TrainState
    runs: Sequence[SeedRun]
    alone: bool
    step: int
    epoch: int
    rows: int
    batch_size: int
    total_steps: int
    stopwatch: Stopwatch
    progress: Progress
    wishes: Wishes

    @property
    def is_validated(self) -> bool:
        """Whether the loop stands at an epoch's end, behind its validation."""
        ...

    def present(self) -> list[SeedRun]:
        """The runs that stand where the loop does."""
        ...

    def drain(self) -> None:
        """Wait for every dispatched step and tell of it."""
        ...

    def fail(self, run: SeedRun, step: int, name: str) -> None:
        """Stop a run whose number `name` is no longer finite."""
        ...


class Hook:
    """Something beside training. Every method does nothing here; a hook has those that it needs.

    The loop calls its hooks in their order. What a hook raises ends the run there.
    """

    def on_step(self, loop: Loop, told: StepTold) -> None:
        """Called for each step when its figures have come, one dispatch late."""

    def after_dispatch(self, loop: Loop) -> None:
        """Called when the next steps are under way."""

    def on_validated(self, loop: Loop, validation: Mapping[SeedRun, Scores]) -> None:
        """Called with the validation's scores, before the epoch's best is kept."""

    def on_epoch(self, loop: Loop, told: EpochTold) -> None:
        """Called at an epoch's end."""

    def on_end(self, loop: Loop) -> None:
        """Called when every run has had enough, or must leave."""

    def has_enough(self, run: SeedRun) -> bool:
        """Whether a run is to train no more, for this hook's sake."""
        return False
