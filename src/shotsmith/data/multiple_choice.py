"""Multiple-choice questions: the options of a row, how they are shown, and which of them is the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shotsmith.data.rows import Row, shown
from shotsmith.metrics.choice import LETTERS
from shotsmith.recipe import TableColumns


@dataclass(frozen=True, slots=True)
class Offered:
    """The options of a question."""

    texts: tuple[str, ...]
    names: tuple[str, ...]
    """What answers with each of them: its letter, or its text."""

    def below(self, question: str) -> str:
        """The question with a line for each option, with its letter."""
        lines = (f"{letter}. {text}" for letter, text in zip(LETTERS, self.texts, strict=False))
        return "\n".join([question, *lines])

    def answers(self, row: Row, column: str) -> tuple[str, ...]:
        """The right options, as they are answered with. Raises DataError for a value that names none of them."""
        value = row.present(column)
        values = value if isinstance(value, list) else [value]
        if not values:
            raise row.fault("is empty", column)
        return tuple(self.names[self._place(row, one, column)] for one in values)

    def _place(self, row: Row, value: object, column: str) -> int:
        """Which option a value is: by its text, its letter, or its number counted from 0, in that order."""
        count = len(self.texts)
        if isinstance(value, str):
            text = value.strip()
            if text in self.texts:
                return self.texts.index(text)
            if text.upper() in LETTERS[:count] and len(text) == 1:
                return LETTERS.index(text.upper())
            value = int(text) if text.isdecimal() else text
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count:
            return value
        raise row.fault(f"is none of the {count} options: {shown(value)}", column)


def offered(row: Row, columns: TableColumns) -> Offered | None:
    """The options of a row; None where no column holds any.

    Raises DataError for fewer than two of them, more than there are letters, and two that are the same.
    """
    if columns.options is None:
        return None
    values: Sequence[object] = row.filled(columns.options)
    texts = [row.checked_text(value, f"{columns.options}[{place}]").strip() for place, value in enumerate(values)]
    if not 2 <= len(texts) <= len(LETTERS):
        raise row.fault(f"has {len(texts)} options; there can be 2 to {len(LETTERS)}", columns.options)
    if len(set(texts)) < len(texts):
        raise row.fault("has two options that are the same", columns.options)
    by_letter = columns.answer_with == "letter"
    return Offered(tuple(texts), tuple(LETTERS[: len(texts)]) if by_letter else tuple(texts))
