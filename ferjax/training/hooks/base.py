"""The moments at which a hook is called, and what it is told there."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from ferjax.parallel import Compiled
from ferjax.state import TrainState
from ferjax.training.build import Parts
from ferjax.training.progress import Progress
from ferjax.training.seed_run import SeedRun
from ferjax.training.stopwatch import Stopwatch
from ferjax.training.wishes import Wishes

Scores: TypeAlias = Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class StepTold:
    """What a hook is told of one step.

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
    """What a hook is told of a validated epoch, and how many seconds its validation took.

    `speed` is filled by one hook, for the hooks after it to write.
    """

    epoch: int
    step: int
    runs: Mapping[SeedRun, RunEpoch]
    speed: dict[str, float]
    validation_s: float


@runtime_checkable
class Loop(Protocol):
    """What a hook may use of ferjax.training.loop.Loop."""

    parts: Parts
    compiled: Compiled
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
        """Whether the loop is at an epoch's end, after its validation."""
        ...

    def present(self) -> list[SeedRun]:
        """Return the runs that are at the loop's step."""
        ...

    def drain(self) -> None:
        """Wait for every dispatched step, and tell the hooks of it."""
        ...

    def fail(self, run: SeedRun, step: int, name: str) -> None:
        """Stop a run whose number `name` is no longer finite."""
        ...


class Hook:
    """Something that happens beside training. Every method does nothing here; a hook overrides those that it needs.

    The loop calls its hooks one after the other. An exception that a hook raises ends the run.
    """

    def on_step(self, loop: Loop, told: StepTold) -> None:
        """Act on a step; called when its figures have reached the host, one dispatch late."""

    def after_dispatch(self, loop: Loop) -> None:
        """Act between dispatches; called when the next steps have been handed to the devices."""

    def on_validated(self, loop: Loop, validation: Mapping[SeedRun, Scores]) -> None:
        """Act on the validation's scores, before it is decided whether the epoch is the best."""

    def on_epoch(self, loop: Loop, told: EpochTold) -> None:
        """Act on the end of an epoch."""

    def on_end(self, loop: Loop) -> None:
        """Act on the end of training; called when every run is finished, or must leave."""

    def has_enough(self, run: SeedRun) -> bool:
        """Return whether this hook wants the run to stop training."""
        return False
