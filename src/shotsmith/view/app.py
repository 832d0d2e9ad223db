"""The application: the page's files, the list of runs, and one router a panel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from shotsmith import __version__
from shotsmith.errors import ShotsmithError
from shotsmith.runs import Run
from shotsmith.view import demonstrations, live, queries
from shotsmith.view.guard import Guard

PAGE = Path(__file__).parent / "page"
"""The files of the page. They also work opened from disk."""
_MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


def make_app(runs: Mapping[str, Run], host: str = "127.0.0.1") -> FastAPI:
    """The application that shows `runs`, by name and in order, to a server that listens on `host`.

    It reads the run folders and writes nothing.
    """
    app = FastAPI(title="Shotsmith", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/api/runs")
    def listed() -> list[dict[str, Any]]:
        """List the runs of this page."""
        return [described(name, run) for name, run in runs.items()]

    for panel in (live, queries, demonstrations):
        app.include_router(panel.router(runs))

    @app.get("/", response_class=FileResponse)
    def index() -> FileResponse:
        """Return the page."""
        return _file("index.html")

    @app.get("/{file}", response_class=FileResponse)
    def file_of_page(file: str) -> FileResponse:
        """Return a script or style of the page."""
        return _file(file)

    app.add_exception_handler(ShotsmithError, _failed)
    app.add_exception_handler(StarletteHTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(Guard, host=host)
    return app


def described(name: str, run: Run) -> dict[str, Any]:
    """What the list of runs says of one: its name on the page, title, folder and status."""
    return {"name": name, "title": run.recipe.name, "folder": str(run.folder), "status": run.status()}


def _file(name: str) -> FileResponse:
    """A file of the page's folder. Raises HTTPException (404) for every other name."""
    files = {path.name: path for path in PAGE.iterdir() if path.suffix in _MEDIA_TYPES}
    if name not in files:
        raise HTTPException(404, "there is no such page")
    return FileResponse(files[name], media_type=_MEDIA_TYPES[files[name].suffix])


def _told(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message.encode("utf-8", "replace").decode()}}, status)


async def _failed(_request: Request, error: Exception) -> Response:
    """A file of the run that is damaged or lacking; its name helps whoever watches."""
    return _told(422, str(error))


async def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    return _told(error.status_code, str(error.detail))


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    return _told(422, f"{'.'.join(map(str, fault['loc'][1:]))}: {fault['msg']}")
