"""The trials of a search in Optuna's storage: which one a worker takes next, and how each ended.

Several processes may use them at once. Every point is trained once, in its own folder. The points of a grid wait in
Optuna's queue, one at a time and in order, because optuna.samplers.GridSampler may hand one point to two workers. A
trial whose process died is marked as failed and its point is queued again; the worker that takes it goes on from the
checkpoint of the run.
"""

import dataclasses
import itertools
import pathlib
from collections.abc import Mapping
from typing import Literal

import filelock
import optuna
from optuna.trial import FrozenTrial, TrialState

from ferjax.locks import hold, is_held, take
from ferjax.search.journal import open_journal
from ferjax.search.space import Point, Space, create_distributions, grid_points, name_folder

STUDY = "ferjax"


@dataclasses.dataclass(frozen=True)
class Rules:
    """How points are chosen and pruned.

    The first `startup_trials` trials are never pruned, and no trial is within its first `warmup_epochs`.
    """

    sampler: str = "grid"
    trials: int = 1
    pruner: str = "none"
    startup_trials: int = 4
    warmup_epochs: int = 1
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Claim:
    """A trial that this process alone trains.

    A lease that is released before the trial has ended leaves the trial to the next process that claims one.
    """

    trial: optuna.Trial
    point: Point
    folder: pathlib.Path
    lease: filelock.BaseFileLock


class Queue:
    """Hand out the trials in `folder`, which is made if there is none, and record how they ended.

    `direction` is 'maximize' or 'minimize'.
    """

    def __init__(
        self, folder: pathlib.Path, space: Space, rules: Rules, direction: Literal["maximize", "minimize"]
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder, self._space, self._rules = folder, space, rules
        self._distributions = create_distributions(space)
        (folder / "trials").mkdir(parents=True, exist_ok=True)
        self.lock = folder / ".search.lock"
        with hold(self.lock):
            self._study = optuna.create_study(
                storage=open_journal(folder / "optuna.journal"),
                study_name=STUDY,
                direction=direction,
                pruner=_create_pruner(rules),
                sampler=optuna.samplers.RandomSampler(),  # until `claim` knows the trial's number
                load_if_exists=True,
            )

    def claim(self) -> Claim | None:
        """Take the next trial to train; None where all are finished or taken by others."""
        with hold(self.lock):
            self._requeue_dead()
            while not self.is_complete(waiting=True):
                before = self.find_trials()
                trial = self._ask()
                point = {key: trial.params[key] for key in self._space}
                known = before.get(name_folder(point))
                if known is None or known.number == trial.number:
                    lease = take(self._lease(point))
                    return Claim(trial, point, self.find_folder(point), lease)
                self._repeat(known, trial)
        return None

    def is_complete(self, *, waiting: bool = False) -> bool:
        """Return whether every trial has ended, or, with `waiting`, whether none is left to take."""
        trials = self.find_trials()
        unfinished = (TrialState.WAITING,) if waiting else (TrialState.WAITING, TrialState.RUNNING)
        if any(trial.state in unfinished for trial in trials.values()):
            return False
        if self._rules.sampler == "grid":
            return self._next_grid_point() is None
        return len(trials) + sum("repeats" in trial.user_attrs for trial in self._trials()) >= self._rules.trials

    def find_trials(self) -> dict[str, FrozenTrial]:
        """Find the last trial of every point, by its folder's name, in order of their start; repeats are left out."""
        found = {}
        for trial in self._trials():
            point = self.find_point(trial)
            if point is not None and "repeats" not in trial.user_attrs:
                found[name_folder(point)] = trial
        return found

    def find_point(self, trial: FrozenTrial) -> Point | None:
        """Find the point of a trial that waits or was started; None where its process died before it had a point."""
        known: Mapping[str, bool | int | float | str] = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        return {key: known[key] for key in self._space} if len(known) == len(self._space) else None

    def find_folder(self, point: Point) -> pathlib.Path:
        """Find the folder of the run of a point."""
        return self.folder / "trials" / name_folder(point)

    def finish(self, claim: Claim, state: TrialState, score: float | None = None) -> None:
        """Record how a claimed trial ended."""
        self._study.tell(claim.trial, score, state=state)

    def retry_failed(self) -> int:
        """Queue the point of every failed trial again, and return their number."""
        with hold(self.lock):
            failed = [trial for trial in self.find_trials().values() if trial.state == TrialState.FAIL]
            for trial in failed:
                self._study.enqueue_trial(self.find_point(trial) or {}, user_attrs={"resumes": trial.number})
        return len(failed)

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _lease(self, point: Point) -> pathlib.Path:
        return self.folder / "trials" / f".{name_folder(point)}.lock"

    def _requeue_dead(self) -> None:
        """Mark the trials of processes that died as failed, and queue their points again."""
        for trial in self._trials():
            if trial.state != TrialState.RUNNING:
                continue
            point = self.find_point(trial)
            if point is not None:
                # The lock of the folder itself is held by a run that somebody started there by hand.
                if is_held(self._lease(point)) or is_held(self.find_folder(point) / ".lock"):
                    continue
                # The new trial comes first: if this process is killed between the two, the point must not be lost.
                if self.find_trials()[name_folder(point)].number == trial.number:
                    self._study.enqueue_trial(point, user_attrs={"resumes": trial.number})
            self._study.tell(trial.number, state=TrialState.FAIL)

    def _ask(self) -> optuna.Trial:
        trials = self._trials()
        if self._rules.sampler == "tpe":
            # Seeded by the number of the trial, so that neither a second worker nor a second start draws points again.
            self._study.sampler = optuna.samplers.TPESampler(seed=(self._rules.seed + len(trials)) % 2**32)
        elif not any(trial.state == TrialState.WAITING for trial in trials):
            self._study.enqueue_trial(self._next_grid_point() or {})
        return self._study.ask(self._distributions)

    def _next_grid_point(self) -> Point | None:
        taken = self.find_trials()
        points = itertools.islice(grid_points(self._space), self._rules.trials)
        return next((point for point in points if name_folder(point) not in taken), None)

    def _repeat(self, known: FrozenTrial, trial: optuna.Trial) -> None:
        """End a trial of a point that another trial has trained, or is training, as that one ended."""
        trial.set_user_attr("repeats", known.number)
        if known.state == TrialState.COMPLETE:
            self._study.tell(trial, known.value, state=TrialState.COMPLETE)
            return
        if known.state == TrialState.PRUNED:
            for epoch, score in known.intermediate_values.items():
                trial.report(score, epoch)
            self._study.tell(trial, state=TrialState.PRUNED)
            return
        self._study.tell(trial, state=TrialState.FAIL)


def _create_pruner(rules: Rules) -> optuna.pruners.BasePruner:
    if rules.pruner == "median":
        return optuna.pruners.MedianPruner(
            n_startup_trials=rules.startup_trials, n_warmup_steps=rules.warmup_epochs + 1
        )
    return optuna.pruners.NopPruner()
