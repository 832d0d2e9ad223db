"""The report's sentences, one file per language; what they say is decided elsewhere.

A language is a table from keys to templates of `str.format`, with singular and plural (see `counting`). To add one,
write a sibling of `en.py` with the same
keys and enter it in `LANGUAGES`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from shotsmith.evaluation.controls import control_of
from shotsmith.metrics.table import METRICS, OF_CAPTIONS
from shotsmith.plugins import Table
from shotsmith.reports.language.captions import of_captions
from shotsmith.reports.language.counting import COUNTING
from shotsmith.reports.language.en import TEXT as ENGLISH
from shotsmith.reports.language.zh import TEXT as CHINESE
from shotsmith.selectors.named import AT_BANK

NAMES = frozenset(
    "a after b before column criterion free last_phase measure metric phase policy selector".split(),
)
"""The values that are words of ours, with a name in every language; what a run is called, say, is not."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence before it is said: which one, and with which values."""

    key: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Language:
    """Says statements."""

    code: str
    """How it is asked for."""
    tag: str
    """For the page's lang attribute (BCP 47)."""
    text: Mapping[str, str]

    def measured_by(self, metric: str | None) -> Language:
        """The same where results are in that metric."""
        return replace(self, text=of_captions(self.code, self.text)) if metric == OF_CAPTIONS else self

    def say(self, key: str, **values: object) -> str:
        """The sentence `key` with its values; those that are NAMES (of selectors, columns ...) are translated."""
        translated = {name: self._translated(name, value) for name, value in values.items()}
        said = COUNTING.format(self.text[key], **translated)
        return spaced(said) if self.code == "zh" else said

    def quote(self, key: str, **values: object) -> str:
        """The same, but the values are the words of others and stay as they are."""
        return COUNTING.format(self.text[key], **values)

    def state(self, statement: Statement) -> str:
        """Say a statement."""
        return self.say(statement.key, **statement.values)

    def name(self, word: str) -> str:
        """What a selector, metric, column or phase is called in text; the word itself where it has no other name."""
        if word.endswith(AT_BANK):
            return self.text["name.at_bank"].format(name=self.name(word.removesuffix(AT_BANK)))
        if found := control_of(word):
            return self.text[f"name.{found[1]}"].format(name=self.name(found[0]))
        return self.text.get(f"name.{word}", METRICS[word].title if word in METRICS else word)

    def interval(self, low: float, high: float) -> str:
        """Both ends of an interval of a difference."""
        return self.say("interval", low=low, high=high)

    def sentences(self, said: Iterable[str]) -> str:
        """Sentences one after the other, with the gap that the language leaves between them."""
        return self.text["sentence.gap"].join(said)

    def _translated(self, name: str, value: object) -> object:
        return self.name(value) if name in NAMES and isinstance(value, str) else value


def spaced(text: str) -> str:
    """Chinese as it is set: a space between Chinese and Latin characters, none between Chinese ones."""
    text = _TIGHT.sub("", text)
    return _LOOSE.sub(" ", text)


_HAN = "[\u4e00-\u9fff]"
_TIGHT = re.compile(f"(?<={_HAN}) +(?={_HAN})")
_LOOSE = re.compile(f"(?<={_HAN})(?=[A-Za-z0-9]|[-+][0-9])|(?<=[A-Za-z0-9%])(?={_HAN})")

SENTENCES: Table[Mapping[str, Mapping[str, str]]] = Table("shotsmith.sentences", Mapping)
"""Sentences that other packages add: language code -> key -> template. English stands in for a language they lack."""


def _with_added(code: str, text: Mapping[str, str]) -> Mapping[str, str]:
    added = [sentences.get(code) or sentences["en"] for sentences in SENTENCES.values()]
    return {key: said for table in (*added, text) for key, said in table.items()}


LANGUAGES = {
    "en": Language("en", "en", _with_added("en", ENGLISH)),
    "zh": Language("zh", "zh-CN", _with_added("zh", CHINESE)),
}
