"""A few queries with pools and random embeddings, and an `ask` that answers from a function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from shotsmith.records import Completion, Example, Failure, Request
from shotsmith.selectors.protocol import Embedded, Tasks


def make_example(number: int, answers: tuple[str, ...] = ()) -> Example:
    """Example `number`, shown on image 1000 + number."""
    return Example(
        id=number,
        images=(Path(f"{number}.png"),),
        image_id=1000 + number,
        question=f"what is {number}?",
        answers=answers or (f"it is {number}",) * 10,
        question_type=f"type {number % 2}",
    )


def random_embeddings(count: int, seed: int, width: int = 6) -> Embedded:
    """Unit-length rows."""
    rows = np.random.default_rng(seed).standard_normal((2, count, width)).astype(np.float32)
    images, questions = rows / np.linalg.norm(rows, axis=2, keepdims=True)
    return Embedded(images, questions)


def make_tasks(queries: int = 5, index: int = 30, pool: int = 10, seed: int = 0) -> Tasks:
    """Queries 100, 101, ... over an index of examples 0, 1, ... with random pools."""
    generator = np.random.default_rng(seed)
    return Tasks(
        queries=tuple(make_example(100 + number) for number in range(queries)),
        index=tuple(make_example(number) for number in range(index)),
        pools=np.stack([generator.permutation(index)[:pool] for _ in range(queries)]).astype(np.int64),
        query_embeddings=random_embeddings(queries, seed + 1),
        index_embeddings=random_embeddings(index, seed + 2),
    )


class ScriptedVLM:
    """`ask` for tests: answers with a function of the request and remembers what it was asked."""

    def __init__(self, answer: Callable[[Request], Completion | Failure]) -> None:
        self.answer = answer
        self.calls: list[list[Request]] = []
        self.origins: list[str] = []

    def ask(self, requests: Sequence[Request], origin: str) -> list[Completion | Failure]:
        self.calls.append(list(requests))
        self.origins.append(origin)
        return [self.answer(request) for request in requests]
