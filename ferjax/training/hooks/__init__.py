"""What happens beside training: one file for each, called by the loop at given moments."""

from ferjax.training.hooks.base import EpochTold, Hook, Loop, RunEpoch, StepTold
from ferjax.training.hooks.early_stop import EarlyStop
from ferjax.training.hooks.log import Log
from ferjax.training.hooks.not_finite import NotFinite
from ferjax.training.hooks.save import Save
from ferjax.training.hooks.speed import Speed

__all__ = ["EarlyStop", "EpochTold", "Hook", "Log", "Loop", "NotFinite", "RunEpoch", "Save", "Speed", "StepTold"]
