from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_tasks import make_example, random_embeddings

from shotsmith.data.barring import barred_rows
from shotsmith.data.splits import Splits
from shotsmith.embeddings.pools import draw_pools
from shotsmith.errors import DataError
from shotsmith.evaluation.leaks import check_no_leak
from shotsmith.recipe import PoolSettings
from shotsmith.records import Example
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


def bank_tasks_of(queries: tuple[Example, ...], bank: tuple[Example, ...] = SPLITS.train) -> Tasks:
    """The same without pools: every query chooses from the whole bank."""
    index, embedded = random_embeddings(len(bank), seed=1), random_embeddings(len(queries), seed=2)
    return Tasks(queries, bank, None, embedded, index, barred=barred_rows(queries, bank))


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


def test_choosing_from_the_whole_bank_does_not_leak() -> None:
    check(sound() | {"train": bank_tasks_of(SPLITS.train[:10]), "val": bank_tasks_of(SPLITS.val)})


def test_a_bank_of_its_own_may_hold_what_is_barred_from_the_queries_that_equal_it() -> None:
    """A curated bank may hold a test query: it is barred from that query, and training never sees it as a query."""
    bank = (*(make_example(number) for number in range(300, 320)), SPLITS.test[0])
    splits = replace(SPLITS, own_bank=bank)
    named = {name: bank_tasks_of(examples, bank) for name, examples in SPLITS.named().items()}
    check(sound() | {"splits": splits} | named)


@pytest.mark.parametrize("equal", ["itself", "image", "content", "one of several"])
@pytest.mark.parametrize("pooled", [True, False])
def test_what_equals_a_query_must_not_be_shown_to_it(tmp_path: Path, equal: str, pooled: bool) -> None:
    query, entry = (replace(make_example(number), images=(tmp_path / f"{number}.png",)) for number in (200, 7))
    if equal == "itself":
        entry = replace(entry, id=query.id)
    if equal == "image":
        entry = replace(entry, image_id=query.image_id)
    for example, content in ((query, b"the same"), (entry, b"the same" if equal == "content" else b"not that")):
        example.image.write_bytes(content)
    if equal == "one of several":
        (tmp_path / "other.png").write_bytes(b"other")
        entry = replace(entry, images=(tmp_path / "other.png", *query.images))
    bank = (*SPLITS.train[:7], entry)
    tasks, splits = bank_tasks_of((query,), bank), replace(SPLITS, test=(query,), own_bank=bank)
    check_no_leak(splits, tasks)
    shown = replace(tasks, barred=()) if not pooled else replace(tasks, pools=np.array([[0, 7, 3]]))
    with pytest.raises(DataError, match=rf"row 200: leaks: the test query may be shown entry {entry.id} of the bank"):
        check_no_leak(splits, shown)


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
        (with_test_in_pool, "row 200: leaks into the bank"),
        (with_own_image, "row 4: leaks: the train query may be shown entry 4"),
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


def test_a_test_image_among_several_of_a_train_example_leaks() -> None:
    shared = replace(SPLITS.train[12], images=(*SPLITS.train[12].images, *SPLITS.test[0].images))
    train = (*SPLITS.train[:12], shared, *SPLITS.train[13:])
    with pytest.raises(DataError, match="a test question or its image is also in another split"):
        check_no_leak(replace(SPLITS, train=train))
