"""Ctrl-C, TERM and the like as a question that the loop asks between steps, so that a run can save before it leaves."""

import logging
import signal
import types

from ferjax import machine

logger = logging.getLogger("ferjax")

SIGNALS = machine.list_interrupts()


class InterruptedRun(KeyboardInterrupt):
    """The run was asked to leave: by which signal, and in the message what was saved and how to go on."""

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.signum = signum


class LeftAtOnce(InterruptedRun):
    """A second signal came before the run had saved."""


class Interrupt:
    """A context in which a signal raises InterruptedRun at once; after `defer` the first one only sets `signum`.

    So what comes before the loop, such as a download, stops at once, with the message.
    """

    def __init__(self, message: str = "Stopped before the first step of this start; nothing is lost.") -> None:
        self._message = message
        self.signum: int | None = None
        self._deferred = False
        self._old: dict[int, object] = {}

    def __enter__(self) -> "Interrupt":
        for number in SIGNALS:
            if machine.is_ignored_hangup(number):
                continue
            self._old[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def defer(self) -> None:
        """Let signals wait: from now on the loop asks between steps whether one has come."""
        self._deferred = True

    def __bool__(self) -> bool:
        return self.signum is not None

    def _receive(self, signum: int, _: types.FrameType | None) -> None:
        if not self._deferred:
            raise InterruptedRun(signum, self._message)
        if self.signum is not None:
            raise LeftAtOnce(signum, "Left at once; the next start goes on from the last finished checkpoint.")
        self.signum = signum
        logger.info(
            "%s: finishing the step, then saving; a second one leaves at once, without saving.",
            signal.Signals(signum).name,
        )
