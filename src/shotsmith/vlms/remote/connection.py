"""A server over HTTP: JSON to and fro, every reply bounded, and no secret in anything that is raised."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx2

from shotsmith.recipe.servers import ServerSettings
from shotsmith.recipe.urls import without_credentials
from shotsmith.vlms.remote.body import ENCODINGS, parse, read_body
from shotsmith.vlms.remote.redaction import Redaction, basic_credentials
from shotsmith.vlms.remote.retry import BadStatus, BrokenAnswer, Disconnected

_MIB = 2**20
_ERROR_BYTES = 64 * 1024
"""Bytes of a reply with an error status that are read."""
_NO_TIMEOUT = httpx2.Timeout(None)
"""Every request has a deadline of its own (`retry.persist`), which also ends replies that come in drops."""

for _name in ("httpx2", "httpcore2"):  # they log whole addresses and headers
    logging.getLogger(_name).setLevel(logging.WARNING)


class Connection:
    """A client of one server, for one event loop: use it in an `async with` statement."""

    def __init__(self, server: ServerSettings, key: str | None) -> None:
        self.address = without_credentials(server.url)
        """Fit to be shown."""
        self.redact = Redaction(key, server.url)
        self._base = urlsplit(server.url)
        self._deadline = server.timeout_seconds
        self._limit = int(server.reply_megabytes * _MIB)
        self._client = httpx2.AsyncClient(
            auth=httpx2.Auth(),  # neither from the address nor from ~/.netrc
            headers=_headers(server.url, key),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=server.concurrency),
            timeout=_NO_TIMEOUT,
        )

    async def __aenter__(self) -> Connection:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, at)

    async def get(self, path: str) -> Any:
        """The JSON under a path of the API. Raises BadStatus, BrokenAnswer, Disconnected or TimeoutError."""
        return await self._json(self._client.build_request("GET", self._url(path)))

    async def post(self, path: str, body: Any) -> Any:
        """What the server replies to JSON that is posted; raises as `get` does."""
        content = json.dumps(body)  # ASCII: whatever a question holds can be sent
        headers = {"Content-Type": "application/json"}
        return await self._json(self._client.build_request("POST", self._url(path), content=content, headers=headers))

    async def is_there(self) -> bool:
        """Whether anything at all answers."""
        try:
            async with asyncio.timeout(self._deadline):
                await self.get("models")
        except (Disconnected, TimeoutError):
            return False
        except (BadStatus, BrokenAnswer):
            return True
        return True

    async def _json(self, request: httpx2.Request) -> Any:
        with self._explained():
            response = await self._client.send(request, stream=True)
            try:
                return await self._read(response)
            finally:
                await response.aclose()

    async def _read(self, response: httpx2.Response) -> Any:
        encoding = response.headers.get("content-encoding", "")
        if response.is_success:
            if _length(response) > self._limit:
                raise BrokenAnswer(f"the server's reply has {_length(response):,} bytes (vlm.server.reply_megabytes)")
            return parse(await read_body(response.aiter_raw(), encoding, self._limit))
        try:
            content = await read_body(response.aiter_raw(), encoding, _ERROR_BYTES, whole=False)
        except BrokenAnswer as error:
            content = str(error).encode()
        message = self.redact(_message(content))
        if response.is_redirect:
            message = f"it redirects to {self.redact(response.headers.get('location', ''))}: name that address"
        raise BadStatus(response.status_code, message, response.headers.get("retry-after", ""))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn the client's errors into those of `retry`."""
        try:
            yield
        except httpx2.TimeoutException as error:
            raise TimeoutError from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, UnicodeError) as error:
            raise Disconnected(self.redact(str(error) or type(error).__name__)) from error

    def _url(self, path: str) -> str:
        base = self._base
        host = base.netloc.rpartition("@")[2]
        return urlunsplit(base._replace(netloc=host, path=f"{base.path.rstrip('/')}/{path}"))


def _headers(url: str, key: str | None) -> dict[str, str]:
    headers = {"Accept": "application/json", "Accept-Encoding": ENCODINGS, "User-Agent": "shotsmith"}
    if key is not None:
        return headers | {"Authorization": f"Bearer {key}"}
    basic = basic_credentials(url)
    return headers if basic is None else headers | {"Authorization": f"Basic {basic}"}


def _length(response: httpx2.Response) -> int:
    told = response.headers.get("content-length", "")
    return int(told) if told.isascii() and told.isdecimal() and len(told) < 20 else 0


def _message(content: bytes) -> str:
    """What an error body says, wherever it says it; the body itself where that is not known."""
    try:
        told = parse(content)
    except BrokenAnswer:
        return content.decode(errors="replace")
    for name in ("error", "message", "detail", "msg"):
        while isinstance(told, list) and told:
            told = told[0]
        if isinstance(told, dict) and told.get(name):
            told = told[name]
    return told if isinstance(told, str) else content.decode(errors="replace")
