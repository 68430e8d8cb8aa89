"""Stopping a run that has found no better epoch for some time."""

from ferjax.training.hooks.base import Hook
from ferjax.training.seed_run import SeedRun


class EarlyStop(Hook):
    """Stops a run after `patience_epochs` epochs in a row without a new best; 0 never stops it."""

    def __init__(self, patience_epochs: int) -> None:
        self._patience_epochs = patience_epochs

    def has_enough(self, run: SeedRun) -> bool:
        return 0 < self._patience_epochs <= run.epochs_since_best
