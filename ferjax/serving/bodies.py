"""How many requests are answered at once, and their bodies: read as they come, no longer than the limits say."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from ferjax.serving.limits import Limits
from ferjax.serving.refusal import Refusal

_RETRY_AFTER_S = 1

_Answer = TypeVar("_Answer")


class Admission:
    """Counts the requests that are being answered, and the bytes of their bodies, and ends those that last too long."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.requests = 0
        self.bytes = 0
        self._deadlines: set[asyncio.Timeout] = set()

    @contextlib.asynccontextmanager
    async def admit(self) -> AsyncIterator["Held"]:
        """Count a request while it is answered. Raises Refusal for too many, and where `give_up` ends this one."""
        if self.requests >= self.limits.requests:
            raise _too_many()
        held, deadline = Held(self), asyncio.timeout(None)
        self.requests += 1
        self._deadlines.add(deadline)
        try:
            async with deadline:
                yield held
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise refuse_at_end() from error
        finally:
            self._deadlines.remove(deadline)
            self.requests -= 1
            self.bytes -= held.bytes

    def give_up(self) -> int:
        """End what is being answered, each with a refusal; return how many requests these are."""
        going = [deadline for deadline in self._deadlines if not deadline.expired()]
        for deadline in going:
            deadline.reschedule(asyncio.get_running_loop().time())
        return len(going)


class Held:
    """What one request holds of the memory for bodies."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.bytes = 0

    def take(self, count: int) -> None:
        """Count bytes that have come. Raises Refusal where all requests together have too many."""
        if self._admission.bytes + count > self._admission.limits.waiting_bytes:
            raise _too_many()
        self._admission.bytes += count
        self.bytes += count


async def read_chunks(request: Request, limits: Limits, held: Held) -> AsyncGenerator[bytes, None]:
    """Yield a body as it comes. Raises Refusal for one that is too large or takes too long."""
    declared = request.headers.get("content-length", "")
    # isdigit() holds for digits of other scripts too, and int() reads no endless ones.
    if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > limits.body_bytes):
        raise _too_large(limits)
    deadline = asyncio.get_running_loop().time() + limits.upload_s
    count, more = 0, True
    while more:
        try:
            async with asyncio.timeout_at(deadline):
                message = await request.receive()
        except TimeoutError:
            sentence = f"The upload was not complete after {limits.upload_s:g} seconds: send smaller pictures."
            raise Refusal(408, sentence) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk, more = message.get("body", b""), message.get("more_body", False)
        count += len(chunk)
        if count > limits.body_bytes:
            raise _too_large(limits)
        held.take(len(chunk))
        yield chunk


async def while_connected(request: Request, answer: Awaitable[_Answer]) -> _Answer:
    """Await an answer; cancel it, and raise ClientDisconnect, where the client leaves whose body has been read."""
    task, waits, has_left = asyncio.current_task(), True, False
    assert task is not None

    async def watch() -> None:
        nonlocal has_left
        while (await request.receive())["type"] != "http.disconnect":
            await asyncio.sleep(0)
        if waits:
            has_left = True
            task.cancel()

    watching = asyncio.ensure_future(watch())
    try:
        return await answer
    except asyncio.CancelledError:
        if not has_left:
            raise
        task.uncancel()
        raise ClientDisconnect from None
    finally:
        waits = False
        watching.cancel()


def refuse_at_end() -> Refusal:
    """Make the refusal of what a server that ends has not done."""
    return Refusal(503, "The server is ending, and this was not done in time: ask again when it is back.")


def _too_large(limits: Limits) -> Refusal:
    return Refusal(413, f"The upload has more than {limits.body_bytes / 1e6:g} MB: send fewer or smaller pictures.")


def _too_many() -> Refusal:
    return Refusal(503, "Too many requests are being answered: ask again in a second.", retry_after_s=_RETRY_AFTER_S)
