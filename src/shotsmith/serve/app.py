"""The routes of the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from shotsmith import __version__
from shotsmith.errors import ShotsmithError
from shotsmith.library.selector import Selector
from shotsmith.serve.changing import Changes
from shotsmith.serve.faults import Refused, as_refused, refusal
from shotsmith.serve.guard import Guard
from shotsmith.serve.log import SelectionsLog
from shotsmith.serve.messages import messages_with
from shotsmith.serve.metrics import Metrics
from shotsmith.serve.pictures import Pictures
from shotsmith.serve.proxy import Proxy
from shotsmith.serve.queries import taken
from shotsmith.serve.settings import ServeSettings
from shotsmith.serve.upstream import Upstream
from shotsmith.serve.wire import Health, IndexBody, Indexed, SelectBody, Selections, told
from shotsmith.serve.worker import Wanted, Worker

_LONGEST_PLACE = 200
_CHAT = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}


def create_app(selector: Selector, settings: ServeSettings) -> FastAPI:
    """The application. Raises InputError where the log cannot be written, or the upstream address is none."""
    server = Server(selector, settings)
    app = FastAPI(
        title="Shotsmith",
        version=__version__,
        summary="Selects the demonstrations to show a vision-language model.",
        lifespan=server.lifespan,
    )

    @app.post("/select", response_model=None, responses={200: {"model": Selections}})
    async def select(body: SelectBody) -> Response:
        """Select demonstrations for one query, or for many."""
        return JSONResponse(await server.select(body))

    @app.post("/index", response_model=None, responses={200: {"model": Indexed}})
    async def index(body: IndexBody) -> Response:
        """Add examples to the bank, and remove examples from it. All of it is done, or nothing."""
        return JSONResponse(await server.index(body))

    @app.get("/healthz")
    async def healthz() -> Health:
        """Say that the server answers, and with which selector."""
        return Health(selector=selector.name, examples=len(selector), version=__version__)

    @app.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(server.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.post("/v1/chat/completions", response_model=None, openapi_extra=_CHAT)
    async def chat_completions(request: Request) -> Response:
        """Complete a chat by the upstream server, with demonstrations before its last user turn."""
        return await server.proxied().complete(request)

    @app.get("/v1/models", response_model=None)
    async def models(request: Request) -> Response:
        """List the models of the upstream server."""
        return await server.proxied().models(request)

    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_middleware(Guard, settings=settings, metrics=server.metrics)
    return app


class Server:
    """What the routes share."""

    def __init__(self, selector: Selector, settings: ServeSettings) -> None:
        """Raises InputError where the log cannot be written, or the upstream address is none."""
        self.selector = selector
        self.settings = settings
        self.metrics = Metrics()
        self.log = None if settings.log is None else SelectionsLog(settings.log, settings.log_bytes, settings.log_files)
        self._upstream = None if settings.upstream is None else Upstream(settings)
        self.metrics.examples.set(len(selector))

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """Start the worker; at the end finish what is under way."""
        upstream = self._upstream
        self.worker = Worker(self.selector, self.settings, self.metrics, self.log)
        self.changes = Changes(self.settings, self.worker)
        self.proxy = None if upstream is None else Proxy(self.settings, self.worker, upstream, self.metrics)
        try:
            yield
        finally:
            self.worker.close()
            self.changes.close()
            if upstream is not None:
                await upstream.close()

    def proxied(self) -> Proxy:
        """The proxy. Raises Refused where there is none."""
        if self.proxy is None:
            raise Refused(404, "no upstream server is configured: start with --upstream URL")
        return self.proxy

    async def select(self, body: SelectBody) -> dict[str, Any]:
        """The answer of `/select`. Raises Refused."""
        asked = body.asked()
        if len(asked) > self.settings.max_queries:
            raise Refused(422, f"a request has at most {self.settings.max_queries} queries", "queries")
        params = ["image"] if body.queries is None else [f"queries[{number}].image" for number in range(len(asked))]
        pool = None if body.pool is None else tuple(body.pool)
        wanted = Wanted(body.shots, pool, body.max_tokens, body.unfamiliar)
        with Pictures(self.settings) as pictures:
            given = await asyncio.to_thread(taken, asked, pictures, params)
            try:
                found = await self.worker.select(given.queries, given.digests, wanted, pictures.pixels)
            except ShotsmithError as error:
                raise as_refused(error, "queries") from error
        tokens = body.max_tokens is not None
        if not body.messages:
            return {"selections": [told(one, tokens=tokens, messages=None) for one in found]}

        def answers() -> list[dict[str, Any]]:
            by_id = body.images == "id"
            return [
                told(one, tokens=tokens, messages=messages_with(one, urls, by_id=by_id))
                for one, urls in zip(found, given.urls(), strict=True)
            ]

        return {"selections": await asyncio.to_thread(answers)}

    async def index(self, body: IndexBody) -> dict[str, Any]:
        """The answer of `/index`. Raises Refused."""
        changed = await self.changes.make(body)
        self.metrics.examples.set(changed["examples"])
        return changed


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return refusal(error.status, error.message, error.param, error.headers)


async def _invalid(_request: Request, error: Exception) -> Response:
    """The first fault of a body. What the client sent is not repeated: it may be no valid text."""
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    return refusal(422, str(fault["msg"]).removeprefix("Value error, "), _place(fault["loc"], error.body))


def _place(loc: Sequence[int | str], body: object) -> str | None:
    """The field of a body that a fault is in; names of types, which are no fields, are left out."""
    place = ""
    for part in loc[1:]:
        if isinstance(part, int) and isinstance(body, list) and part < len(body):
            place, body = f"{place}[{part}]", body[part]
        elif isinstance(part, str) and isinstance(body, dict):
            place, body = f"{place}.{part}", body.get(part)
        else:
            break
    return place.removeprefix(".")[:_LONGEST_PLACE] or None


async def _http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, str(error.detail), headers=error.headers)
