"""The contract of every selector, and what each one means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from small_tasks import make_tasks

from shotsmith.policies.pointer import build_policy
from shotsmith.recipe import PolicySettings
from shotsmith.selectors.policy import PolicySelector
from shotsmith.selectors.protocol import Embedded, Selector, Tasks
from shotsmith.selectors.random import Random
from shotsmith.selectors.reversed import Reversed
from shotsmith.selectors.similar import image_similar
from shotsmith.selectors.training_free import TRAINING_FREE


def policy_selector() -> PolicySelector:
    return PolicySelector("grpo", build_policy(PolicySettings(hidden_size=8), 12, seed=0), batch_size=2)


SELECTORS: dict[str, Callable[[], Selector]] = {
    **TRAINING_FREE,
    "grpo": policy_selector,
    "grpo_reversed": lambda: Reversed(policy_selector()),
}
"""A new training-free selector is picked up by itself."""


@pytest.fixture(scope="module")
def tasks() -> Tasks:
    return make_tasks(queries=7, index=40, pool=12)


def part(tasks: Tasks, rows: list[int]) -> Tasks:
    """Some of the queries."""
    return replace(
        tasks,
        queries=tuple(tasks.queries[row] for row in rows),
        pools=tasks.pools[rows],
        query_embeddings=tasks.query_embeddings.rows(np.array(rows, dtype=np.int64)),
    )


@pytest.mark.parametrize("name", SELECTORS)
@pytest.mark.parametrize("shots", [1, 2, 4, 12])
def test_sequences_are_distinct_positions_of_the_pool(name: str, shots: int, tasks: Tasks) -> None:
    sequences = SELECTORS[name]().select(tasks, shots)
    assert len(sequences) == 7
    for sequence in sequences:
        assert len(sequence) == (0 if name == "zero_shot" else shots)
        assert len(set(sequence)) == len(sequence)
        assert all(type(position) is int and 0 <= position < 12 for position in sequence)


@pytest.mark.parametrize("name", SELECTORS)
def test_a_selector_is_named_as_in_the_table(name: str) -> None:
    assert SELECTORS[name]().name == name


@pytest.mark.parametrize("name", SELECTORS)
def test_the_same_tasks_give_the_same_sequences(name: str, tasks: Tasks) -> None:
    assert SELECTORS[name]().select(tasks, 3) == SELECTORS[name]().select(tasks, 3)


@pytest.mark.parametrize("name", SELECTORS)
def test_a_query_is_answered_alone_as_among_others(name: str, tasks: Tasks) -> None:
    together = SELECTORS[name]().select(tasks, 3)
    assert SELECTORS[name]().select(part(tasks, [5, 1]), 3) == [together[5], together[1]]


@pytest.mark.parametrize("name", SELECTORS)
def test_the_answers_are_not_looked_at(name: str, tasks: Tasks) -> None:
    blind = replace(
        tasks,
        queries=tuple(replace(query, answers=("hidden",), question_type="") for query in tasks.queries),
    )
    assert SELECTORS[name]().select(blind, 3) == SELECTORS[name]().select(tasks, 3)


@pytest.mark.parametrize("name", SELECTORS)
def test_more_shots_extend_fewer_shots_at_one_end(name: str, tasks: Tasks) -> None:
    selector = SELECTORS[name]()
    for few, many in zip(selector.select(tasks, 2), selector.select(tasks, 5), strict=True):
        grows_on_the_left = name in {"image_similar", "text_similar", "mixed", "grpo_reversed"}
        assert few == (many[len(many) - len(few) :] if grows_on_the_left else many[: len(few)])


def test_random_draws_and_seeds_differ(tasks: Tasks) -> None:
    draws = {str(Random(seed, draw).select(tasks, 3)) for seed in (0, 1) for draw in (0, 1, 2)}
    assert len(draws) == 6


def test_the_most_similar_candidate_stands_next_to_the_query(tasks: Tasks) -> None:
    query = tasks.query_embeddings.images[3]
    cosines = tasks.index_embeddings.images[tasks.pools[3]] @ query
    best = tuple(np.argsort(-cosines)[:3].tolist())
    assert image_similar().select(tasks, 3)[3] == best[::-1]
    assert replace(image_similar(), place_best="first").select(tasks, 3)[3] == best


@pytest.mark.parametrize(("name", "best"), [("image_similar", 0), ("text_similar", 1), ("mixed", 2)])
def test_each_similar_selector_looks_at_its_own_similarity(name: str, best: int) -> None:
    near, far, half = [1.0, 0.0], [0.0, 1.0], [0.8, 0.6]
    candidates = Embedded(np.array([near, far, half], dtype=np.float32), np.array([far, near, half], dtype=np.float32))
    tasks = replace(
        make_tasks(queries=1, index=3, pool=3),
        pools=np.array([[0, 1, 2]], dtype=np.int64),
        query_embeddings=Embedded(np.array([near], dtype=np.float32), np.array([near], dtype=np.float32)),
        index_embeddings=candidates,
    )
    assert TRAINING_FREE[name]().select(tasks, 1) == [(best,)]
