"""Ctrl-C and SIGTERM as a question that the loop asks between steps, so that a run can save before it leaves."""

import logging
import signal
import types

logger = logging.getLogger("ferjax")


class InterruptedRun(KeyboardInterrupt):
    """The run was asked to leave: by which signal, and in the message what was saved and how to go on."""

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.signum = signum


class Interrupt:
    """A context in which the first signal only sets `signum`, and a second one raises InterruptedRun at once."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self._old: dict[int, object] = {}

    def __enter__(self) -> "Interrupt":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._old[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def __bool__(self) -> bool:
        return self.signum is not None

    def _receive(self, signum: int, _: types.FrameType | None) -> None:
        if self.signum is not None:
            raise InterruptedRun(signum, "Left at once; the next start goes on from the last finished checkpoint.")
        self.signum = signum
        logger.info("%s: finishing the step, then saving; once more to leave without.", signal.Signals(signum).name)
