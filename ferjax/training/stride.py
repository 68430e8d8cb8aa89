"""How many steps one call of the device takes."""

import time

from ferjax.parallel import Dispatch

# A dispatch of many steps lasts about this long, so that a signal is heard and a line is shown in time.
_DISPATCH_S = 1.0


class Stride:
    """The number of steps of the next dispatch; where it is adaptive, as many as a second holds."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self.steps = 1 if dispatch.adaptive else dispatch.steps_at_most
        self._fetched_s = time.monotonic()

    def restart(self) -> None:
        """Count from here on: what passed so far was no step."""
        self._fetched_s = time.monotonic()

    def learn(self, steps: int) -> None:
        """Take note that the figures of a dispatch of so many steps have come."""
        if self._dispatch.adaptive:
            now = time.monotonic()
            wanted = round(steps * _DISPATCH_S / max(now - self._fetched_s, 1e-6))
            self.steps = max(1, min(self._dispatch.steps_at_most, wanted))
            self._fetched_s = now
