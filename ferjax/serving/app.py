"""The routes of the page and the API."""

import contextlib
import logging
import pathlib
from collections.abc import AsyncIterator, Collection
from typing import Any

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ferjax import __version__
from ferjax.documents.words import shorten
from ferjax.serving.bodies import Admission, read_chunks, refuse_at_end, while_connected
from ferjax.serving.browser import RUNTIME_FILES, Browser
from ferjax.serving.docs_page import write_page
from ferjax.serving.limits import Limits
from ferjax.serving.measures import Measures
from ferjax.serving.openapi import describe
from ferjax.serving.refusal import Refusal
from ferjax.serving.service import Service
from ferjax.serving.shield import Shield
from ferjax.serving.uploads import read_uploads
from ferjax.serving.wishes import parse_wishes

PAGE = pathlib.Path(__file__).parent / "page"

logger = logging.getLogger("ferjax")


def create_app(
    service: Service, *, limits: Limits, measures: Measures, hosts: Collection[str] | None = None
) -> Starlette:
    """Make the application, which starts the service and stops it again; `hosts` are the names that it answers to.

    Its `state.admission` is what ends requests that last too long.
    """
    admission = Admission(limits)
    browser = Browser(service.network)
    description = describe(service.network, limits)
    docs = write_page(description)

    async def predict(request: Request) -> Response:
        wishes = parse_wishes(request.query_params.multi_items())
        async with admission.admit() as held:
            with measures.in_progress.track_inprogress():
                uploads = await read_uploads(request, read_chunks(request, limits, held), limits)
                return JSONResponse(await while_connected(request, service.answer(uploads, wishes)))

    async def say_health(request: Request) -> Response:
        works = service.batches.works
        answer = {"status": "ok" if works else "stopped", "version": __version__, **_describe_network(service)}
        return JSONResponse(answer, 200 if works else 503)

    async def say_measures(request: Request) -> Response:
        return Response(measures.write(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def describe_api(request: Request) -> Response:
        root = request.scope.get("root_path", "")  # where another application mounts this one
        return JSONResponse({**description, "servers": [{"url": root}]} if root else description)

    async def show_docs(request: Request) -> Response:
        return HTMLResponse(docs)

    async def describe_browser(request: Request) -> Response:
        return JSONResponse(await anyio.to_thread.run_sync(browser.describe))

    async def send_network(request: Request) -> Response:
        data = await anyio.to_thread.run_sync(browser.read, request.path_params["name"])
        if data is None:
            raise HTTPException(404)
        return Response(data, media_type="application/octet-stream")

    async def send_runtime(request: Request) -> Response:
        name, packed = request.path_params["name"], "gzip" in request.headers.get("accept-encoding", "")
        data = await anyio.to_thread.run_sync(lambda: browser.read_runtime(name, packed=packed))
        if data is None:
            raise HTTPException(404)
        headers = {"vary": "accept-encoding", **({"content-encoding": "gzip"} if packed else {})}
        return Response(data, media_type=RUNTIME_FILES[name], headers=headers)

    async def show_page(request: Request) -> Response:
        return FileResponse(PAGE / "index.html")

    @contextlib.asynccontextmanager
    async def live(app: Starlette) -> AsyncIterator[None]:
        await anyio.to_thread.run_sync(service.start)
        yield
        service.drop(refuse_at_end())
        await anyio.to_thread.run_sync(service.stop)

    routes = [
        Route("/", show_page),
        Route("/predict", predict, methods=["POST"]),
        Route("/health", say_health),
        Route("/metrics", say_measures),
        Route("/openapi.json", describe_api),
        Route("/docs", show_docs),
    ]
    for_browser = [
        Route("/browser.json", describe_browser),
        Route("/browser/{name}", send_network),
        Route("/browser/ort/{name}", send_runtime),
    ]
    names = [route.path for route in routes]
    app = Starlette(
        routes=[*routes, *for_browser, Mount("/page", StaticFiles(directory=PAGE))],
        middleware=[Middleware(Shield, measures=measures, routes=names, hosts=hosts)],
        exception_handlers={
            Refusal: _refuse,
            HTTPException: _refuse_route,
            ClientDisconnect: _leave,
            Exception: _fail,
        },
        lifespan=live,
    )
    app.state.admission = admission  # for the server, which ends what is not done in time
    return app


def _describe_network(service: Service) -> dict[str, Any]:
    network = service.network
    return {"network": network.module.name or type(network.module).__name__, "classes": list(network.classes)}


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    headers = {} if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
    return JSONResponse({"error": error.sentence}, error.status, headers)


async def _refuse_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path, headers = request.url.path, error.headers
    sentences = {404: f"There is nothing at {shorten(path)}.", 405: f"{shorten(path)} does not take {request.method}."}
    sentence = f"{sentences.get(error.status_code, error.detail)} /openapi.json says what there is."
    return JSONResponse({"error": sentence}, error.status_code, headers)


async def _leave(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody is there any more to read it; 499 is what nginx counts it as


async def _fail(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "The server could not answer this; its log says why."}, 500)
