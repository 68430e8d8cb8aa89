"""Stopping a run whose numbers are no longer finite, so that its last good checkpoint stays the newest."""

import math
from collections.abc import Mapping

from ferjax.training.hooks.base import Hook, Loop, Scores, StepTold
from ferjax.training.seed_run import SeedRun


class NotFinite(Hook):
    """Checks every step's loss and update, and the validation's loss; must come before hooks that write or save.

    What these do not show, `Save` finds before it saves.
    """

    def on_step(self, loop: Loop, told: StepTold) -> None:
        for run, values in told.runs.items():
            for name, value in (("loss", values["loss"]), ("update's norm", values["update_norm"])):
                if not math.isfinite(value):
                    loop.fail(run, told.step, name)
                    break

    def on_validated(self, loop: Loop, validation: Mapping[SeedRun, Scores]) -> None:
        for run, scores in validation.items():
            if not math.isfinite(scores["loss"]):
                loop.fail(run, loop.step, "validation loss")
