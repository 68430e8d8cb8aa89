"""What a run of one or several processes decides together: whether to leave, and whether to save."""

import time

from jaxtyping import Array

from ferjax.interrupt import Interrupt
from ferjax.parallel import Layout, Votes, count_processes


class Wishes:
    """The answers to what the loop asks between two dispatches: must the run leave, or save?

    A run of one process follows its own signals and its own clock. Of several processes none may leave or save alone,
    since the others would wait for it in the next step. So each process casts its votes with a dispatch, and all of
    them follow the sum of the votes, which they read at the same place of their loops.
    """

    def __init__(self, interrupt: Interrupt, save_interval_s: float, layout: Layout) -> None:
        self._interrupt, self._save_interval_s = interrupt, save_interval_s
        self._votes = Votes(layout) if count_processes() > 1 else None
        self._saved_s = time.monotonic()
        self._leave = self._save = False

    @property
    def leave(self) -> bool:
        """Whether the run must save and leave now."""
        return bool(self._interrupt) if self._votes is None else self._leave

    @property
    def save(self) -> bool:
        """Whether the run must save now."""
        return self._is_time_to_save() if self._votes is None else self._save

    @property
    def stop_evaluating(self) -> bool:
        """Whether to break off a pass over a split; several processes always finish it together."""
        return bool(self._interrupt) and self._votes is None

    def cast(self) -> Array | None:
        """Vote, where there are several processes; the result is fetched with the dispatch's figures."""
        return None if self._votes is None else self._votes.cast(bool(self._interrupt), self._is_time_to_save())

    def hear(self, votes: Array | None) -> None:
        """Take the fetched sums of the votes."""
        if votes is not None:
            self._leave, self._save = (bool(count) for count in votes)

    def saved(self) -> None:
        """Note that the run has been saved; the time until the next save starts now."""
        self._saved_s, self._save = time.monotonic(), False

    def seconds_since_save(self) -> float:
        """Return the seconds since the last save, or since the start."""
        return time.monotonic() - self._saved_s

    def _is_time_to_save(self) -> bool:
        return self.seconds_since_save() > self._save_interval_s
