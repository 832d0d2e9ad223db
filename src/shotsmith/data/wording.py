"""How the texts of a row become a question and its answers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from shotsmith.data.containers import texts_in
from shotsmith.data.multiple_choice import offered
from shotsmith.data.rows import Row, shown
from shotsmith.metrics.table import METRICS
from shotsmith.recipe import TableColumns


@dataclass(frozen=True, slots=True)
class Wording:
    """What is asked, and the answers that labels stand for."""

    question: str = "{text}"
    """What is asked; {text} stands for the text of the question column."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The answer that each value stands for; empty: values are the answers."""
    metric: str | None = None
    """The metric that must be able to score predictions against the answers; None: any answers will do."""

    def asked(self, text: str) -> str:
        """The question."""
        return self.question.replace("{text}", text)

    def answer(self, row: Row, value: object, column: str) -> str:
        """The answer. Raises DataError for a value that stands for none."""
        if not self.labels:
            return row.checked_text(value, column)
        if isinstance(value, bool | float) or str(value) not in self.labels:
            raise row.fault(f"is none of the labels {', '.join(self.labels)}: {shown(value)}", column)
        return self.labels[str(value)]


PLAIN = Wording()
"""Texts as they are."""


def answers_of(row: Row, column: str, wording: Wording) -> tuple[str, ...]:
    """One value or a list of them, as answers; a list that was written as its text is read as the list it is.

    `COLUMN.FIELD` names a field of records: a list of them, one record, or one of lists. Raises DataError naming the
    column.
    """
    name, _, inner = column.partition(".") if column not in row.fields else (column, "", "")
    value = row.present(name)
    if inner:
        value = _field(row, value, inner, name)
    if isinstance(value, str) and not wording.labels and (texts := texts_in(value)) is not None:
        value = texts
    if isinstance(value, str) or (wording.labels and not isinstance(value, list)):
        return (wording.answer(row, value, column),)
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise row.fault(f"is not a text, and not a list of them: {shown(value)}", column)
    if not value:
        raise row.fault("is empty", column)
    for item in value:
        if isinstance(item, dict):
            named = " or ".join(f"{name}.{key}" for key in item)
            raise row.fault(f"holds records; name one of their fields in the column map: answers: {named}", column)
    return tuple(wording.answer(row, item, f"{column}[{position}]") for position, item in enumerate(value))


def asked_of(row: Row, columns: TableColumns, wording: Wording) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Question, answers and options of a row. Raises DataError where the metric cannot score the answers."""
    question = wording.asked(row.text(columns.question))
    options: tuple[str, ...] = ()
    if (choices := offered(row, columns)) is None:
        answers = answers_of(row, columns.answers, wording)
    else:
        question, options = choices.below(question), choices.names
        answers = choices.answers(row, columns.answers)
    problem = None if wording.metric is None else METRICS[wording.metric].problem(answers)
    if problem is not None:
        raise row.fault(f"{problem}; the data are measured by {wording.metric}", columns.answers)
    return question, answers, options


def column_of(name: str, columns: Collection[str]) -> str:
    """The column that a name stands for: itself, or the part before a dot where it names a field of records."""
    before = name.partition(".")[0]
    return before if name not in columns and before in columns else name


def _field(row: Row, value: object, inner: str, name: str) -> object:
    """The field `inner` of one record, of each of a list, or of a record of lists."""
    if isinstance(value, list):
        return [_field(row, item, inner, f"{name}[{position}]") for position, item in enumerate(value)]
    if not isinstance(value, dict) or inner not in value:
        raise row.fault(f"is not a record with the field '{inner}': {shown(value)}", name)
    return value[inner]
