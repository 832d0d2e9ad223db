from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from small_tasks import make_example, random_embeddings

from shotsmith.data.splits import Splits
from shotsmith.errors import DataError
from shotsmith.evaluation.leaks import check_no_leak
from shotsmith.recipe import PoolSettings
from shotsmith.records import Example
from shotsmith.samplers.pools import draw_pools
from shotsmith.selectors.protocol import Tasks

SPLITS = Splits(
    train=tuple(make_example(number) for number in range(30)),
    val=tuple(make_example(number) for number in range(100, 106)),
    test=tuple(make_example(number) for number in range(200, 206)),
)


def tasks_of(queries: tuple[Example, ...]) -> Tasks:
    index, embedded = random_embeddings(30, seed=1), random_embeddings(len(queries), seed=2)
    pools = draw_pools(PoolSettings(size=8), queries, SPLITS.train, embedded, index)
    return Tasks(queries, SPLITS.train, pools, embedded, index)


def sound() -> dict[str, Any]:
    return {
        "splits": SPLITS,
        "train": tasks_of(SPLITS.train[:10]),
        "val": tasks_of(SPLITS.val),
        "test": tasks_of(SPLITS.test),
        "trained_on": [3, 7],
        "chosen_on": [100, 105],
    }


def check(parts: dict[str, Any]) -> None:
    tasks = (parts["train"], parts["val"], parts["test"])
    check_no_leak(parts["splits"], *tasks, trained_on=parts["trained_on"], chosen_on=parts["chosen_on"])


def test_what_the_samplers_draw_does_not_leak() -> None:
    check(sound())


def with_test_in_pool(parts: dict[str, Any]) -> None:
    train: Tasks = parts["train"]
    parts["train"] = replace(train, index=(*train.index[:29], SPLITS.test[0]))


def with_own_image(parts: dict[str, Any]) -> None:
    train: Tasks = parts["train"]
    pools = train.pools.copy()
    pools[4, 2] = 4
    parts["train"] = replace(train, pools=pools)


def with_twin_image(parts: dict[str, Any]) -> None:
    twin = replace(SPLITS.train[5], image_id=SPLITS.test[0].image_id)
    parts["splits"] = replace(SPLITS, train=(*SPLITS.train[:5], twin, *SPLITS.train[6:]))


def with_test_query_among_train(parts: dict[str, Any]) -> None:
    parts["train"] = tasks_of((*SPLITS.train[:9], SPLITS.test[0]))


def with_positions_outside(parts: dict[str, Any]) -> None:
    parts["val"] = replace(parts["val"], pools=np.full((6, 8), 30))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (with_test_in_pool, "row 200: leaks into the pools"),
        (with_own_image, "row 4: leaks: the train query"),
        (with_twin_image, "row 5: leaks: a test question or its image"),
        (with_test_query_among_train, "row 200: leaks into the train queries"),
        (with_positions_outside, "outside the index"),
        (lambda parts: parts.update(trained_on=[3, 203]), "row 203: leaks into training"),
        (lambda parts: parts.update(trained_on=[101]), "row 101: leaks into training"),
        (lambda parts: parts.update(chosen_on=[204]), "row 204: leaks into the choice of epochs"),
    ],
)
def test_each_leak_is_found(spoil: Callable[[dict[str, Any]], None], problem: str) -> None:
    parts = sound()
    spoil(parts)
    with pytest.raises(DataError, match=problem):
        check(parts)
