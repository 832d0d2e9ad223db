"""A package that adds a data set, a metric, a gain, a VLM backend, a kind of server and a verb to Shotsmith.

It is installed wherever this folder is on sys.path.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from shotsmith.cli.options import Json, print_json
from shotsmith.data.splits import Splits
from shotsmith.errors import DataError, InputError
from shotsmith.metrics.metric import Metric
from shotsmith.recipe import PolicySettings, VLMSettings
from shotsmith.recipe.servers import Backend, ServerKind
from shotsmith.records import Completion, Example, Request

if TYPE_CHECKING:
    from torch import nn


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


class Constant:
    """A VLM that gives the same answer to everything."""

    batch_tokens = 100
    counts_tokens = False
    gives_log_probs = False

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.identity = f"constant:{answer}"

    def length(self, request: Request) -> int:
        return 1

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        return [Completion(self.answer) for _ in requests]


def _load_constant(settings: VLMSettings) -> Constant:
    answer = settings.backend.options.get("answer") if settings.backend is not None else None
    if not isinstance(answer, str):
        raise InputError("is no text", field="vlm.backend.options.answer")
    return Constant(answer)


CONSTANT = Backend(_load_constant)
NO_VLM = Backend(lambda _settings: None)
LIKELY = Backend(_load_constant, gives_log_probs=True)

ECHO = ServerKind(greedy={"top_k": 1})


def recent(settings: PolicySettings) -> nn.Module:
    """The gain of `recent.py`: torch is not imported before a policy is made."""
    from recent import Recent

    return Recent(settings)
