"""Threads that requests share in turns: none of them waits until another one's many pictures are done."""

import asyncio
import collections
import concurrent.futures
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")


# A piece lies ready for a thread that has done its own, since the event loop may be busy then.
_AHEAD = 1


@dataclasses.dataclass(frozen=True)
class _Piece:
    work: Callable[[], Any]
    future: "asyncio.Future[Any]"


class Turns:
    """So many threads, each of which takes a piece of one request, then of the next one that waits.

    All calls come from the thread of one event loop.
    """

    def __init__(self, threads: int) -> None:
        self._count = threads
        self._threads: concurrent.futures.ThreadPoolExecutor | None = None
        self._free = 0
        self._requests: collections.deque[collections.deque[_Piece]] = collections.deque()

    async def map(self, function: Callable[[_Item], _Answer], items: Sequence[_Item]) -> list[_Answer]:
        """Return the function's answer for each of a request's items, in order; what it raises is raised.

        Then, and where this is cancelled, what has not begun never begins.
        """
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[_Answer]] = [loop.create_future() for _ in items]
        works = (functools.partial(function, item) for item in items)
        if pieces := collections.deque(map(_Piece, works, futures)):
            self._requests.append(pieces)
            self._begin(loop)
        try:
            return await asyncio.gather(*futures)
        finally:
            for future in futures:
                future.cancel()

    def start(self) -> None:
        """Begin to take work."""
        self._threads = concurrent.futures.ThreadPoolExecutor(self._count, "ferjax-pictures")
        self._free = self._count + _AHEAD

    def drop(self, error: Exception) -> None:
        """Have what has not been begun end with an error."""
        for piece in (piece for pieces in self._requests for piece in pieces if not piece.future.done()):
            piece.future.set_exception(error)
        self._requests.clear()

    def stop(self) -> None:
        """Wait for what has been begun; any thread may call this."""
        if self._threads is not None:
            self._threads.shutdown()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._free and self._requests:
            pieces = self._requests.popleft()
            piece = pieces.popleft()
            if pieces:
                self._requests.append(pieces)
            if not piece.future.cancelled():
                self._free -= 1
                working = loop.run_in_executor(self._threads, piece.work)
                working.add_done_callback(functools.partial(self._end, loop, piece))

    def _end(self, loop: asyncio.AbstractEventLoop, piece: _Piece, done: "asyncio.Future[Any]") -> None:
        self._free += 1
        if done.cancelled():
            piece.future.cancel()
        elif (error := done.exception()) is not None:
            if not piece.future.done():
                piece.future.set_exception(error)
        elif not piece.future.done():
            piece.future.set_result(done.result())
        self._begin(loop)
