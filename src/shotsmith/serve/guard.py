"""What stands before every route: known hosts, the key, rates, the number of requests under way, the size of bodies."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shotsmith.serve.faults import Refused, refusal
from shotsmith.serve.metrics import Metrics
from shotsmith.serve.settings import ServeSettings

BODY_SECONDS = 30.0
"""How long a client may take to send a body."""
OPEN = frozenset({"/healthz"})
"""Routes without key and rate."""
_CLIENTS = 10_000
"""Addresses whose rate is remembered."""


class Guard:
    """ASGI middleware. It reads bodies whole, so that a route sees only those within the limit."""

    def __init__(self, app: ASGIApp, settings: ServeSettings, metrics: Metrics) -> None:
        """Limits are those of the settings."""
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._rates = None if settings.rate is None else Rates(settings.rate)
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._under_way += 1
        try:
            self._admit(scope)
            body = await self._body(scope, receive)
            await self._app(scope, _once(body, receive), watched)
        except Refused as error:
            # The rest of a body that was not read would be taken for the next request.
            headers = {**(error.headers or {}), "connection": "close"}
            await refusal(error.status, error.message, error.param, headers)(scope, receive, watched)
        finally:
            self._under_way -= 1
            self._metrics.request(_route(scope), status, time.perf_counter() - started)

    def _admit(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if not self._is_known(headers.get("host", "")):
            raise Refused(403, "this server answers to localhost only; start it with --host to change that")
        if scope["path"] in OPEN:
            return
        self._check_key(headers.get("authorization", ""))
        client = scope["client"][0] if scope.get("client") else ""
        if self._rates is not None and (wait := self._rates.wait(client)):
            raise Refused(429, "too many requests", headers={"retry-after": str(int(wait) + 1)})
        if self._under_way > self._settings.max_concurrent:
            raise Refused(503, "too many requests are under way", headers={"retry-after": "1"})
        if headers.get("content-length", "0").isdecimal() and self._is_large(
            int(headers.get("content-length", "0")[:20])
        ):
            raise self._too_large()
        if (
            scope["method"] == "POST"
            and headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json"
        ):
            raise Refused(415, "the body must be application/json")

    def _is_known(self, host: str) -> bool:
        """Whether a loopback server is addressed as one: a web page that gives its own name a loopback address is not
        let in (DNS rebinding)."""
        if not _is_loopback(self._settings.host):
            return True
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        return name.lower() in ("localhost", self._settings.host) or _is_loopback(name.strip("[]"))

    def _check_key(self, given: str) -> None:
        if self._settings.key is None:
            return
        scheme, _, key = given.partition(" ")
        is_right = hmac.compare_digest(key.strip().encode("latin-1"), self._settings.key.encode())
        if scheme.lower() != "bearer" or not is_right:
            raise Refused(401, "the key is missing or wrong", headers={"www-authenticate": "Bearer"})

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        if scope["method"] in ("GET", "HEAD"):
            return b""
        parts, size = [], 0
        try:
            async with asyncio.timeout(BODY_SECONDS):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refused(400, "the client has gone")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if self._is_large(size):
                        raise self._too_large()
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError as error:
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, f"the body did not come within {BODY_SECONDS:g} s") from error

    def _is_large(self, size: int) -> bool:
        return size > self._settings.max_body_bytes

    def _too_large(self) -> Refused:
        return Refused(413, f"the body has more than {self._settings.max_body_bytes:,} bytes")


class Rates:
    """Token buckets, one for each client: `rate` tokens come every second, at most two seconds' worth are kept."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        """`rate` is in requests per second."""
        self._rate = rate
        self._most = max(1.0, 2 * rate)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Take a token; 0, or the seconds until there is one."""
        now = self._clock()
        tokens, then = self._buckets.pop(client, (self._most, now))
        tokens = min(self._most, tokens + (now - then) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[client] = (tokens - 1 if tokens >= 1 else tokens, now)
        if len(self._buckets) > _CLIENTS:
            self._buckets.popitem(last=False)
        return wait


def _once(body: bytes, receive: Receive) -> Receive:
    """The body in one message, then whatever comes after it (that the client has gone)."""
    given = False

    async def next_message() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _route(scope: Scope) -> str:
    """The route as it is declared, so that there are few; unknown paths are one."""
    route = scope.get("route")
    return getattr(route, "path", "other")
