"""Saving checkpoints: every few minutes, at each epoch's end, and before a run leaves."""

import jax

from ferjax.parallel import count_processes
from ferjax.state import FINITE, TrainState, flag_finite
from ferjax.training.hooks.base import EpochTold, Hook, Loop

# Between two saves at the ends of epochs, on a GPU or TPU.
_APART_S = 10.0
_flag = jax.jit(flag_finite)


class Save(Hook):
    """Saves every run that is at the loop's step; must come after hooks that can stop a failed run.

    A state that is not finite anywhere is not saved, and its run fails: the checkpoint before stays the newest.
    """

    def after_dispatch(self, loop: Loop) -> None:
        if loop.wishes.save:
            self._save(loop)

    def on_epoch(self, loop: Loop, told: EpochTold) -> None:
        # An epoch of an accelerator can be shorter than a save. Several processes save together or not at all, and
        # their clocks differ.
        in_a_hurry = jax.default_backend() != "cpu" and count_processes() == 1
        if not in_a_hurry or loop.wishes.seconds_since_save() > _APART_S:
            self._save(loop)

    def on_end(self, loop: Loop) -> None:
        self._save(loop)
        for run in loop.runs:
            run.checkpoints.wait()

    def _save(self, loop: Loop) -> None:
        loop.drain()  # these steps are training, whose time counts
        # On a TPU Orbax copies to the host in a way that jax takes for implicit.
        with loop.stopwatch.pause(), jax.transfer_guard_device_to_host("allow"):
            for slot, run in enumerate(loop.runs):
                if run in loop.present():
                    state = loop.compiled.take(loop.state, slot)
                    if spoilt := _find_spoilt(state):
                        loop.fail(run, loop.step, spoilt)
                    else:
                        run.save(state, validated=loop.is_validated)
        loop.wishes.saved()


def _find_spoilt(state: TrainState) -> str | None:
    """Return what the first array of a state is called that holds a number that is not finite; None where all are."""
    flags = jax.device_get(_flag(state))
    spoilt = (f"{FINITE[part]} {name}" for part in FINITE for name, finite in flags[part].items() if not finite)
    return next(spoilt, None)
