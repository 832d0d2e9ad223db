"""The report's sentences, one file per language; what they say is decided elsewhere.

A language is a table from keys to templates of `str.format`. To add one, write a sibling of `en.py` with the same
keys and enter it in `LANGUAGES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shotsmith.reports.language.en import TEXT as ENGLISH


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence before it is said: which one, and with which values."""

    key: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Language:
    """Says statements."""

    code: str
    """For the page's lang attribute."""
    text: Mapping[str, str]

    def say(self, key: str, **values: object) -> str:
        """The sentence `key` with its values; values that are names (of selectors, columns ...) are translated."""
        return self.text[key].format(**{name: self._translated(value) for name, value in values.items()})

    def state(self, statement: Statement) -> str:
        """Say a statement."""
        return self.say(statement.key, **statement.values)

    def name(self, word: str) -> str:
        """What a selector, column, stage or phase is called in text; the word itself where it has no other name."""
        return self.text.get(f"name.{word}", word)

    def _translated(self, value: object) -> object:
        return self.name(value) if isinstance(value, str) else value


LANGUAGES = {"en": Language("en", ENGLISH)}
