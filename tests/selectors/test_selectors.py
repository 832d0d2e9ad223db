"""The contract of every selector, and what each one means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from small_tasks import make_tasks

from shotsmith.embeddings.nearest import mixed_similarity, most_similar_allowed
from shotsmith.policies.pointer import build_policy
from shotsmith.recipe import PolicySettings
from shotsmith.selectors.diverse import Diverse
from shotsmith.selectors.mmices import Mmices
from shotsmith.selectors.policy import PolicySelector
from shotsmith.selectors.protocol import Embedded, Selector, Tasks
from shotsmith.selectors.random import Random
from shotsmith.selectors.reversed import Reversed
from shotsmith.selectors.similar import by_both, image_similar, mixed, nearest, nearest_candidates
from shotsmith.selectors.training_free import TRAINING_FREE


def policy_selector() -> PolicySelector:
    return PolicySelector("grpo", build_policy(PolicySettings(hidden_size=8), 12, seed=0), batch_size=2)


SELECTORS: dict[str, Callable[[], Selector]] = {
    **TRAINING_FREE,
    "grpo": policy_selector,
    "grpo_reversed": lambda: Reversed(policy_selector()),
}
"""A new training-free selector is picked up by itself."""


@pytest.fixture(scope="module", params=["pools", "bank"])
def tasks(request: pytest.FixtureRequest) -> Tasks:
    """Pools of 12, or a bank of 40 of which each query must not be shown two rows."""
    made = make_tasks(queries=7, index=40, pool=12)
    if request.param == "pools":
        return made
    return replace(made, pools=None, barred=[np.array([row, 30 + row], dtype=np.int64) for row in range(7)])


def part(tasks: Tasks, rows: list[int]) -> Tasks:
    """Some of the queries."""
    return replace(
        tasks,
        queries=tuple(tasks.queries[row] for row in rows),
        pools=None if tasks.pools is None else tasks.pools[rows],
        barred=[tasks.barred[row] for row in rows] if len(tasks.barred) else (),
        query_embeddings=tasks.query_embeddings.rows(np.array(rows, dtype=np.int64)),
    )


@pytest.mark.parametrize("name", SELECTORS)
@pytest.mark.parametrize("shots", [1, 2, 4, 12])
def test_sequences_are_distinct_and_hold_nothing_that_is_barred(name: str, shots: int, tasks: Tasks) -> None:
    sequences = SELECTORS[name]().select(tasks, shots)
    assert len(sequences) == 7
    candidates = 40 if tasks.pools is None else 12
    for row, sequence in enumerate(sequences):
        assert len(sequence) == (0 if name == "zero_shot" else shots)
        assert len(set(sequence)) == len(sequence)
        assert all(type(position) is int and 0 <= position < candidates for position in sequence)
        assert not set(sequence) & set(tasks.barred_from(row).tolist())


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
        grows_on_the_left = name not in {"random", "grpo_reversed"}
        assert few == (many[len(many) - len(few) :] if grows_on_the_left else many[: len(few)])


def test_random_draws_and_seeds_differ(tasks: Tasks) -> None:
    draws = {str(Random(seed, draw).select(tasks, 3)) for seed in (0, 1) for draw in (0, 1, 2)}
    assert len(draws) == 6


def test_the_most_similar_candidate_stands_next_to_the_query(tasks: Tasks) -> None:
    query = tasks.query_embeddings.images[3]
    cosines = tasks.index_embeddings.images @ query
    if tasks.pools is None:
        cosines[tasks.barred_from(3)] = -2
    else:
        cosines = cosines[tasks.pools[3]]
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


def test_a_bank_is_searched_in_blocks_as_one_query_after_the_other() -> None:
    tasks = replace(make_tasks(queries=9, index=3000), pools=None, barred=[np.array([5])] * 9)
    alone = [nearest_candidates(tasks, row, 20) for row in range(9)]
    assert [found.tolist() for found in nearest(tasks, by_both, 20)] == alone
    plain = mixed_similarity(tasks.query_embeddings.rows(np.array([4])), tasks.index_embeddings)
    assert alone[4] == most_similar_allowed(plain, np.array([5]), 20).tolist()


def test_equal_cosines_go_to_the_lower_row() -> None:
    tasks = make_tasks(queries=2, index=50)
    rows = np.ones((50, 6), dtype=np.float32) / 6**0.5
    rows += 1e-7 * np.random.default_rng(0).standard_normal(rows.shape).astype(np.float32)
    tasks = replace(tasks, pools=None, index_embeddings=Embedded(rows, rows))
    assert nearest_candidates(tasks, 1, 5) == [0, 1, 2, 3, 4]


def bank_of(images: list[list[float]], questions: list[list[float]]) -> Tasks:
    """One query, at (1, 0) by image and by question, over a bank."""
    near = np.array([[1.0, 0.0]], dtype=np.float32)
    return replace(
        make_tasks(queries=1, index=len(images), pool=1),
        pools=None,
        query_embeddings=Embedded(near, near),
        index_embeddings=Embedded(np.array(images, dtype=np.float32), np.array(questions, dtype=np.float32)),
    )


def test_mmices_ranks_the_most_similar_images_by_their_questions() -> None:
    near, half, far = [1.0, 0.0], [0.8, 0.6], [0.0, 1.0]
    tasks = bank_of([near, half, far, half], [far, half, near, near])
    assert Mmices(kept=3).select(tasks, 2) == [(1, 3)]  # row 2 has the best question but not the image
    assert Mmices(kept=4).select(tasks, 2) == [(3, 2)]


def test_diverse_passes_over_what_says_the_same_again() -> None:
    best, copy, other = [0.96, 0.28], [0.95, 0.3122], [0.8, -0.6]
    tasks = bank_of([best, copy, other], [best, copy, other])
    assert mixed().select(tasks, 2) == [(1, 0)]
    assert Diverse().select(tasks, 2) == [(2, 0)]
    assert Diverse(weight=1.0).select(tasks, 2) == [(1, 0)]
