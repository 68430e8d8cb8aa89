"""The number of steps in one call of the device."""

import time

from ferjax.parallel import Dispatch

# A dispatch of many steps lasts about this long, so that a signal is heard and a line is shown in time.
_DISPATCH_S = 1.0


class Stride:
    """The number of steps of the next dispatch; if it is adaptive, as many as fit in a second."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self.steps = 1 if dispatch.adaptive else dispatch.steps_at_most
        self._fetched_s = time.monotonic()

    def restart(self) -> None:
        """Start to count now: the time so far was no step's."""
        self._fetched_s = time.monotonic()

    def learn(self, steps: int) -> None:
        """Learn from a dispatch of this many steps, whose figures have just come, how long a step takes."""
        if self._dispatch.adaptive:
            now = time.monotonic()
            wanted = round(steps * _DISPATCH_S / max(now - self._fetched_s, 1e-6))
            self.steps = max(1, min(self._dispatch.steps_at_most, wanted))
            self._fetched_s = now
