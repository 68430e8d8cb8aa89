"""Report a trial's epochs to Optuna, and end the trials that it wants pruned."""

from collections.abc import Collection

import optuna

from ferjax.training.hooks import EpochTold, Hook, Loop


class Prune(Hook):
    """A hook that reports the score `metric` of each epoch not yet `known`; raises TrialPruned to end the run."""

    def __init__(self, trial: optuna.Trial, metric: str, known: Collection[int]) -> None:
        self._trial, self._metric, self._known = trial, metric, known

    def on_epoch(self, loop: Loop, told: EpochTold) -> None:
        (epoch,) = told.runs.values()
        if told.epoch not in self._known:
            self._trial.report(epoch.validation[self._metric], told.epoch)
        if self._trial.should_prune():
            raise optuna.TrialPruned
