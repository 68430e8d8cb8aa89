"""uvicorn with what it lacks: a line that says where it answers, ends for what lasts too long, answers in JSON."""

import asyncio
import contextlib
import errno
import json
import logging
import math
import signal
import socket
from collections.abc import Iterator
from typing import Any

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from ferjax.documents.words import count
from ferjax.errors import UserError
from ferjax.serving.bodies import Admission
from ferjax.serving.limits import Limits
from ferjax.serving.shield import HEADERS, LINGER_S

# Requests have been read after `upload_s`; what most of them need then is far less.
_ANSWER_S = 30.0
# How long those that are refused at the end have to take their answer: a client that still sends is let finish.
_LEAVE_S = 2 * LINGER_S
# Connections that wait to be taken; of 200 at once none should be turned away.
_BACKLOG = 2048

logger = logging.getLogger("ferjax")


def listen(host: str, port: int) -> socket.socket:
    """Open the port. Raises UserError where it is taken or the address is not one of this machine."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UserError(f"Port {port} of {host} is taken: choose another with --port.") from error
        raise UserError(
            f"{host}:{port} cannot be listened on ({error.strerror}): choose another --host or --port."
        ) from error
    opened.set_inheritable(True)
    return opened


def run(app: Starlette, opened: socket.socket, limits: Limits) -> None:
    """Answer until SIGTERM or Ctrl-C, and finish then what has been begun.

    What is not done `limits.upload_s` + 30 seconds later, or at a second Ctrl-C, is refused.
    """
    grace_s = limits.upload_s + _ANSWER_S
    config = uvicorn.Config(
        app,
        http=_create_protocol(limits.header_s),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=math.ceil(grace_s + _LEAVE_S),
        backlog=_BACKLOG,
    )
    with _outlive_signals():
        _Server(config, app.state.admission, grace_s).run([opened])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, admission: Admission, grace_s: float) -> None:
        super().__init__(config)
        self._admission, self._grace_s = admission, grace_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for opened in sockets or ():
            host, port = opened.getsockname()[:2]
            name = f"[{host}]" if ":" in host else host
            logger.info("ferjax answers on http://%s:%d; Ctrl-C ends it.", name, port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logger.info("Finishing what has been begun.")
        late = asyncio.get_running_loop().call_later(self._grace_s, self._give_up)
        await super().shutdown(sockets)
        late.cancel()
        if self.force_exit:  # by a second Ctrl-C, at which uvicorn drops all that it has
            self._give_up()
            if self.server_state.tasks:
                await asyncio.wait(self.server_state.tasks, timeout=_LEAVE_S)
            await self.lifespan.shutdown()

    def _give_up(self) -> None:
        if refused := self._admission.give_up():
            logger.warning("Refused what was not done in time: %s.", count(refused, "request"))


@contextlib.contextmanager
def _outlive_signals() -> Iterator[None]:
    """Have signals do nothing where uvicorn raises them again, after it has ended well because of them."""
    kept = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _create_protocol(header_s: float) -> type[asyncio.Protocol]:
    class Protocol(H11Protocol):
        """Closes a connection that has sent no whole header after `header_s`, and says in JSON what is no request."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._waiting = self.loop.call_later(header_s, self._close_silent)

        def data_received(self, data: bytes) -> None:
            if self._awaits_request and self._waiting.cancelled():  # a request after the first one
                self._waiting = self.loop.call_later(header_s, self._close_silent)
            super().data_received(data)
            if not self._awaits_request:
                self._waiting.cancel()

        @property
        def _awaits_request(self) -> bool:
            return self.cycle is None or self.cycle.response_complete

        def _close_silent(self) -> None:
            if self._awaits_request and not self.transport.is_closing():
                self.transport.close()

        def _unsupported_upgrade_warning(self) -> None:
            """Say nothing: uvicorn would advise to install what is of no use here."""

        def send_400_response(self, msg: str) -> None:
            body = json.dumps({"error": "This is no request of HTTP that can be read."}).encode()
            own = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
            headers = [(name.encode(), value.encode()) for name, value in {**own, **HEADERS}.items()]
            answer = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
            for event in (answer, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            self._waiting.cancel()
            super().connection_lost(exc)

    return Protocol
