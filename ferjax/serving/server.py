"""uvicorn with what it lacks: a line that says where it answers, and an end for connections that say nothing."""

import asyncio
import contextlib
import errno
import logging
import signal
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from ferjax.errors import UserError
from ferjax.serving.limits import Limits

# Requests have been read after `upload_s`; what they need then is far less.
_ANSWER_S = 30.0
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


def run(app: ASGIApp, opened: socket.socket, limits: Limits) -> None:
    """Answer until SIGTERM or Ctrl-C, and finish then what has been begun."""
    config = uvicorn.Config(
        app,
        http=_create_protocol(limits.header_s),
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=round(limits.upload_s + _ANSWER_S),
        backlog=_BACKLOG,
    )
    with _outlive_signals():
        _Server(config).run([opened])


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for opened in sockets or ():
            host, port = opened.getsockname()[:2]
            name = f"[{host}]" if ":" in host else host
            logger.info("ferjax answers on http://%s:%d; Ctrl-C ends it.", name, port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        logger.info("Finishing what has been begun.")
        await super().shutdown(sockets)


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
        """Closes a connection that has sent no whole header after `header_s`."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._waiting = self.loop.call_later(header_s, self._close_silent)

        def _close_silent(self) -> None:
            if self.cycle is None and not self.transport.is_closing():
                self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            self._waiting.cancel()
            super().connection_lost(exc)

    return Protocol
