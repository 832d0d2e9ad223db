"""What stands before every route of a page: known hosts, no requests of other sites, and headers that confine it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY = 65536
"""Bytes of the largest body of a request."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Headers of every response. The page loads its own files only, runs no script written into it, and is in no frame."""


class Guard:
    """ASGI middleware that refuses what another site's page could send, and confines what is answered."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        """`host` is the address that the server listens on."""
        self._app = app
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that is refused, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def confined(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        if (refusal := self._refusal(scope)) is None:
            await self._app(scope, receive, confined)
        else:
            status, why = refusal
            # The rest of a body that was not read would be taken for the next request.
            answer = JSONResponse({"error": {"message": why}}, status, {"Connection": "close"})
            await answer(scope, receive, confined)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not is_known(host, self._host):
            return 403, "this server does not answer to that host name; open it by the address that it printed"
        if scope["method"] in ("GET", "HEAD"):
            return None
        if not _is_same_origin(headers, host):
            return 403, "requests of other sites are refused"
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return 415, "the body must be application/json"
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return 411, "the length of the body must be given"
        if int(length[:20]) > MOST_BODY:
            return 413, f"the body has more than {MOST_BODY:,} bytes"
        return None


def is_known(host: str, listening: str) -> bool:
    """Whether a Host header may name a server that listens on an address.

    A site whose own name leads to this machine (DNS rebinding) is refused: a loopback server has loopback names only,
    any other server the address that it listens on, the name of the machine, and addresses, which no site can take.
    """
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    name = name.strip("[]").lower().rstrip(".")
    if name in ("localhost", listening.lower()) or _is_loopback(name):
        return True
    return not _is_loopback(listening) and (_is_address(name) or name == socket.gethostname().lower())


def _is_same_origin(headers: Headers, host: str) -> bool:
    """Browsers send both headers with a POST; programs that are no browser need not."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
    return site == "same-origin" and (origin is None or origin.partition("://")[2].lower() == host.lower())


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    return _is_address(name) and ipaddress.ip_address(name).is_loopback


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
