"""The web application: the page and its files, the images that it sends, and a WebSocket for what is computed."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from importlib import resources
from pathlib import Path, PurePosixPath

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from cnnexplain.errors import CnnExplainError, UsageError
from cnnexplain.rendering import palettes
from cnnexplain.studio import access, network
from cnnexplain.studio.page import Page
from cnnexplain.studio.requests import Studio

LARGEST_UPLOAD = 64 << 20
"""The most bytes of an image file that a page sends."""

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}

VIEWS = ("/", "/see/{layer:path}")
"""The addresses of the views. The same page shows them all."""


def application(studio: Studio, allowed: access.Access) -> ASGIApp:
    """The application for pages with access."""

    def route(path: str, answer: Callable[[Studio, Request], Awaitable[Response]], method: str = "GET") -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                return await answer(studio, request)
            except CnnExplainError as error:
                return JSONResponse({"error": str(error)}, 400)

        return Route(path, endpoint, methods=[method])

    async def socket(websocket: WebSocket) -> None:
        await _converse(studio, websocket)

    async def index(_studio: Studio, _request: Request) -> Response:
        return _page_file("index.html")

    routes = [
        *(route(path, index) for path in VIEWS),
        route("/pages/{name}", _file),
        route("/model", _model),
        route("/inputs", _upload, "POST"),
        route("/inputs/{name}", _input),
        route("/samples/{index:int}", _sample),
        WebSocketRoute("/socket", socket),
    ]
    return access.guarded(Starlette(routes=routes), allowed)


async def _converse(studio: Studio, websocket: WebSocket) -> None:
    await websocket.accept()
    page = Page(websocket)
    sending = asyncio.create_task(page.pass_on())
    try:
        while (message := await page.receive()) is not None:
            try:
                studio.take(page, message)
            except UsageError as error:
                await websocket.close(1007, str(error)[:120])
                return
    finally:
        studio.leave(page)
        sending.cancel()


async def _file(_studio: Studio, request: Request) -> Response:
    return _page_file(request.path_params["name"])


def _page_file(name: str) -> Response:
    folder = resources.files("cnnexplain.studio") / "pages"
    if name not in {file.name for file in folder.iterdir()}:
        raise HTTPException(404, f"There is no file '{name}'.")
    kind = TYPES[PurePosixPath(name).suffix]
    return Response((folder / name).read_bytes(), media_type=kind, headers={"Cache-Control": "no-cache"})


async def _model(studio: Studio, _request: Request) -> Response:
    samples = [PurePosixPath(name).name for name in studio.samples]
    return JSONResponse({**network.described(studio.classifier), "samples": samples, "palettes": palettes.tables()})


async def _upload(studio: Studio, request: Request) -> Response:
    """Keeps an image file that a page sends, as pixels of the input size."""
    with tempfile.TemporaryDirectory(prefix="cnnexplain-") as folder:
        path = f"{folder}/image"
        size = 0
        with Path(path).open("wb") as file:
            async for part in request.stream():
                size += len(part)
                if size > LARGEST_UPLOAD:
                    return JSONResponse({"error": f"The image has more than {LARGEST_UPLOAD >> 20} MiB."}, 413)
                file.write(part)
        try:
            return JSONResponse({"input": await run_in_threadpool(studio.inputs.read, path)})
        except CnnExplainError as error:
            return JSONResponse({"error": str(error).replace(f"{folder}/", "")}, 400)


async def _input(studio: Studio, request: Request) -> Response:
    return Response(studio.inputs.png(request.path_params["name"]), media_type="image/png")


async def _sample(studio: Studio, request: Request) -> Response:
    index = request.path_params["index"]
    if index >= len(studio.samples):
        raise UsageError(f"There is no sample {index}; there are {len(studio.samples)}.")
    return JSONResponse({"input": await run_in_threadpool(studio.inputs.read, studio.samples[index])})
