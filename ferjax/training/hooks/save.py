"""Saving checkpoints: every few minutes, at each epoch's end, and before a run leaves."""

from ferjax.training.hooks.base import EpochTold, Hook, Loop


class Save(Hook):
    """Saves every run that is at the loop's step; must come after hooks that can stop a failed run."""

    def after_dispatch(self, loop: Loop) -> None:
        if loop.wishes.save:
            self._save(loop)

    def on_epoch(self, loop: Loop, told: EpochTold) -> None:
        self._save(loop)

    def on_end(self, loop: Loop) -> None:
        self._save(loop)
        for run in loop.runs:
            run.checkpoints.wait()

    def _save(self, loop: Loop) -> None:
        with loop.stopwatch.pause():
            loop.drain()
            for slot, run in enumerate(loop.runs):
                if run in loop.present():
                    run.save(loop.compiled.take(loop.state, slot), validated=loop.is_validated)
        loop.wishes.saved()
