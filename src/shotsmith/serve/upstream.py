"""The server that completes chats: requests are sent on, and its answers are passed back as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import TypeVar

import httpx2
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from shotsmith.errors import InputError
from shotsmith.recipe.urls import without_credentials
from shotsmith.serve.faults import Refused
from shotsmith.serve.settings import ServeSettings

Result = TypeVar("Result")

GONE = 499
"""Status in the metrics of a request whose client went before there was an answer."""
_CONNECT_SECONDS = 10.0
_KEPT = ("content-type", "retry-after", "x-request-id", "openai-processing-ms")
"""Headers of an answer that are passed back."""


class Upstream:
    """Client of one server with the OpenAI API."""

    def __init__(self, settings: ServeSettings) -> None:
        """Raises InputError where the address is none."""
        assert settings.upstream is not None
        self._settings = settings
        try:
            self._url = httpx2.URL(settings.upstream.rstrip("/") + "/")
        except httpx2.InvalidURL as error:
            raise InputError("is no URL", field="--upstream") from error
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise InputError(f"is no http or https URL: {without_credentials(settings.upstream)}", field="--upstream")
        timeout = httpx2.Timeout(settings.upstream_seconds, connect=_CONNECT_SECONDS)
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=32)
        self._client = httpx2.AsyncClient(timeout=timeout, limits=limits)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def pass_on(
        self, request: Request, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Send a request on; the answer streams back, with `headers` beside its own.

        The request upstream ends where the client goes. Raises Refused (502, 504) where no answer comes.
        """
        sent = {"accept": request.headers.get("accept", "*/*"), "accept-encoding": "identity"}
        if key := self._authorization(request):
            sent["authorization"] = key
        if body is not None:
            sent["content-type"] = "application/json"
        method = "GET" if body is None else "POST"
        asked = self._client.build_request(method, self._url.join(path), content=body, headers=sent)
        try:
            answer = await _unless_gone(request, self._client.send(asked, stream=True))
        except httpx2.TimeoutException as error:
            raise Refused(504, "the upstream server did not answer in time") from error
        except httpx2.HTTPError as error:
            raise Refused(502, f"the upstream server cannot be reached: {error}") from error
        if answer is None:
            return Response(status_code=GONE)
        kept = {name: answer.headers[name] for name in _KEPT if name in answer.headers}
        return StreamingResponse(_content(answer), answer.status_code, {**kept, **(headers or {})})

    def _authorization(self, request: Request) -> str | None:
        """The upstream key; without one, what the client gave, unless that is the key of this server."""
        if self._settings.upstream_key is not None:
            return f"Bearer {self._settings.upstream_key}"
        return request.headers.get("authorization") if self._settings.key is None else None


async def _content(answer: httpx2.Response) -> AsyncIterator[bytes]:
    try:
        async for part in answer.aiter_raw():
            yield part
    finally:
        await answer.aclose()


async def _unless_gone(request: Request, work: Coroutine[object, object, Result]) -> Result | None:
    """What `work` returns; None, and the work is cancelled, where the client goes first."""
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for one in (working, gone):
            one.cancel()
        await asyncio.gather(working, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
