"""Addresses of servers: checked when a recipe is read, and never written out with the credentials in them."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, PlainSerializer

HIDDEN = "***"
"""Stands for credentials wherever an address is written."""

_SHOWN = ("api-version",)
"""Query parameters that are no credentials."""


def without_credentials(url: str) -> str:
    """The address with user name, password and query values hidden."""
    parts = urlsplit(url)
    account, at, host = parts.netloc.rpartition("@")
    query = "&".join(map(_hidden, parts.query.split("&"))) if parts.query else ""
    return urlunsplit(parts._replace(netloc=f"{HIDDEN}{at}{host}" if account or at else host, query=query))


_ACCOUNT = re.compile(r"(:/+)[^\s'\"]*@")
_PARAMETER = re.compile(r"(?<=[?&])([^\s=&'\"#]+)=[^\s&'\"#]+")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+[^\s'\"]+")


def hiding_credentials(text: str) -> str:
    """A text that may repeat addresses, with the credentials in them hidden: user names, passwords, query values."""
    return _ADDRESS.sub(lambda found: _PARAMETER.sub(_said, _ACCOUNT.sub(rf"\1{HIDDEN}@", found.group())), text)


def _said(found: re.Match[str]) -> str:
    return found.group() if found.group(1) in _SHOWN else f"{found.group(1)}={HIDDEN}"


def _hidden(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    return parameter if name in _SHOWN else f"{name}{equals}{HIDDEN}" if equals else HIDDEN


def _checked(url: str) -> str:
    """The address. Its faults are told without it: pydantic and the reader of recipes repeat no more than this."""
    fault = ValueError("is no address of a server, such as http://localhost:8000/v1")
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # its message repeats the address
        raise fault from None
    if not sound or not url.isascii() or not url.isprintable() or " " in url:
        raise fault
    if parts.fragment or "@" in parts.path:
        raise ValueError(
            "is no address of a server: '@', '/', '?' and '#' in a password are written %40, %2F, %3F, %23"
        )
    return url


ServerUrl = Annotated[str, AfterValidator(_checked), PlainSerializer(without_credentials)]
"""The address of a server, with or without credentials; only the process that reads it knows them."""


def _variable(name: str) -> str:
    if not name.isidentifier() or not name.isascii():
        raise ValueError("must be the name of an environment variable that holds the key, not the key itself")
    return name


EnvironmentName = Annotated[str, AfterValidator(_variable)]
"""The name of an environment variable; most keys that are put there by mistake are refused without being repeated."""
