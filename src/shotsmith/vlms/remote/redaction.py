"""What servers say, made fit for messages and files: without secrets, on one line, in printable characters."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, unquote, urlsplit

from shotsmith.recipe.urls import HIDDEN

_LONGEST = 400
"""Characters of a server's message that are kept."""
_WORTH_HIDING = 4
"""Characters from which on a user name is hidden in messages: a shorter one is part of many words."""
_TELLING = 12
"""Characters from which on a secret does not stand in an answer by chance."""


class Redaction:
    """Replaces secrets in whatever a server says: as they are, quoted for a URL or JSON, and as Basic credentials."""

    def __init__(self, key: str | None, url: str) -> None:
        forms = {form for secret in _secrets(key, url) for form in _forms(secret)}
        self._pattern = _pattern(filter(None, forms))
        self._long = _pattern(form for form in forms if len(form) >= _TELLING)

    def __call__(self, text: str) -> str:
        """The text without secrets, on one line, in printable characters, cut where it is long."""
        hidden = self._pattern.sub(HIDDEN, text)
        line = " ".join("".join(letter if letter.isprintable() else " " for letter in hidden).split())
        line = self._pattern.sub(HIDDEN, line)  # a line break inside a secret is gone now
        return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."

    def holds_secret(self, text: str) -> bool:
        """Whether a secret stands in the text that is too long to stand there by chance."""
        return self._long.search(text) is not None


def basic_credentials(url: str) -> str | None:
    """What a Basic `Authorization` header holds for the user name and password in an address; None without them."""
    account, at, _ = urlsplit(url).netloc.rpartition("@")
    if not at:
        return None
    name, _, password = account.partition(":")
    return base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()


def _pattern(forms: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)", re.IGNORECASE)


def _secrets(key: str | None, url: str) -> Iterator[str]:
    if key:
        yield key
    parts = urlsplit(url)
    account, at, _ = parts.netloc.rpartition("@")
    if at:
        name, _, password = account.partition(":")
        yield account
        yield password
        if len(name) >= _WORTH_HIDING or not password:
            yield name
        yield basic_credentials(url) or ""
    for parameter in parts.query.split("&"):
        name, equals, value = parameter.partition("=")
        if name != "api-version":
            yield value if equals else name


def _forms(secret: str) -> Iterable[str]:
    plain = unquote(secret)
    return secret, plain, quote(plain), quote(plain, safe=""), json.dumps(plain)[1:-1]
