"""What every answer has: headers that keep a browser from loading or telling anything elsewhere, and a whole answer."""

import asyncio
import contextlib
import time
from collections.abc import Collection, Mapping
from types import MappingProxyType

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ferjax.serving.measures import Measures

# 'wasm-unsafe-eval' lets a page run WebAssembly, and no text as a program.
HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "content-security-policy": (
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "permissions-policy": "camera=(self), microphone=(), geolocation=()",
        "cross-origin-resource-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "cache-control": "no-store",
    }
)

# A client that is still sending does not read; for so long and so much is taken in before the connection is closed.
LINGER_S, _LINGER_BYTES = 2.0, 64_000_000


class Shield:
    """An ASGI application around another: it checks the Host header, adds HEADERS, and counts every answer.

    `hosts` are the names that the server answers to, None for all: a page of another site that has its own name point
    to this machine would else be of the same origin.
    """

    def __init__(
        self, app: ASGIApp, *, measures: Measures, routes: Collection[str], hosts: Collection[str] | None
    ) -> None:
        self._app, self._measures, self._routes = app, measures, routes
        self._hosts = None if hosts is None else frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start_s, status, body_ended = time.perf_counter(), 500, False

        async def receive_watched() -> Message:
            nonlocal body_ended
            message = await receive()
            body_ended = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        async def send_whole(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if not body_ended and _has_body(scope):
                    headers["connection"] = "close"
            elif not message.get("more_body", False) and not body_ended and _has_body(scope):
                # Else the client may find its connection broken, and not the answer.
                await send({**message, "more_body": True})
                await _linger(receive)
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        app = self._app if self._answers_to(scope) else _refuse_host
        try:
            await app(scope, receive_watched, send_whole)
        finally:
            mounted_at = scope.get("root_path", "")  # by another application
            path = scope["path"].removeprefix(mounted_at)
            route = path if path in self._routes else "other"
            self._measures.requests.labels(route, str(status)).inc()
            self._measures.seconds.labels(route).observe(time.perf_counter() - start_s)

    def _answers_to(self, scope: Scope) -> bool:
        host = Headers(scope=scope).get("host", "")
        name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
        return self._hosts is None or name.lower() in self._hosts


async def _refuse_host(scope: Scope, receive: Receive, send: Send) -> None:
    sentence = "This server does not answer to that name: start it with --allowed_hosts NAME."
    await JSONResponse({"error": sentence}, 421)(scope, receive, send)


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


async def _linger(receive: Receive) -> None:
    """Take in what a client still sends, for a while."""
    taken, more = 0, True
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_S):
            while more and taken < _LINGER_BYTES:
                message = await receive()
                taken += len(message.get("body", b""))
                more = message["type"] == "http.request" and message.get("more_body", False)
