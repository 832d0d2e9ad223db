"""A package that adds a data set, a metric and a verb to Shotsmith; installed wherever this folder is on sys.path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer

from shotsmith.cli.options import Json, print_json
from shotsmith.data.splits import Splits
from shotsmith.errors import DataError
from shotsmith.metrics.metric import Metric
from shotsmith.records import Example


def last_digit(prediction: str, answers: Sequence[str]) -> float:
    """1 where the last character of the prediction is that of an answer."""
    return float(prediction[-1:] in {answer[-1:] for answer in answers})


LAST_DIGIT = Metric("Last digit", last_digit)


def read_sums(options: Mapping[str, Any]) -> Splits:
    """Questions such as 'what is 3 plus 4'; `first` is the first number of the first question."""
    return _questions("plus", lambda a, b: a + b, options)


def read_products(options: Mapping[str, Any]) -> Splits:
    """Questions such as 'what is 3 times 4'."""
    return _questions("times", lambda a, b: a * b, options)


def read_nothing(options: Mapping[str, Any]) -> None:
    """A faulty reader."""


def _questions(word: str, of: Callable[[int, int], int], options: Mapping[str, Any]) -> Splits:
    first = options.get("first", 0)
    if not isinstance(first, int):
        raise DataError("is no whole number", field="data.reader.options.first")
    examples = [
        Example(
            number, (), number, f"what is {first + number} {word} {number + 2}", (str(of(first + number, number + 2)),)
        )
        for number in range(60)
    ]
    return Splits(tuple(examples[:40]), tuple(examples[40:48]), tuple(examples[48:]))


def add(first: int, second: int, as_json: Json = False) -> None:
    """Add two numbers."""
    total = first + second
    if as_json:
        print_json({"sum": total})
    else:
        typer.echo(total)
