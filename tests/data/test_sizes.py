from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from small_tasks import make_example

from shotsmith.data.barring import Barred
from shotsmith.data.sizes import check_sizes, fewest_left
from shotsmith.data.splits import Splits
from shotsmith.errors import DataError
from shotsmith.recipe import Recipe, parse_recipe


def splits_of(train: int, val: int, test: int, bank: int | None = None) -> Splits:
    parts = [
        tuple(make_example(1000 * part + number) for number in range(size))
        for part, size in enumerate((train, val, test))
    ]
    return Splits(*parts, None if bank is None else tuple(make_example(9000 + number) for number in range(bank)))


def recipe_of(**sections: Any) -> Recipe:
    return parse_recipe({"data": {"texts": {"train": "a", "test": "b"}, **sections.pop("data", {})}, **sections})


def resolved(recipe: Recipe) -> Recipe:
    """As a run folder keeps it: every field written out."""
    return parse_recipe(recipe.model_dump(mode="json"))


def faults(recipe: Recipe, splits: Splits, *barred: Barred) -> list[str]:
    with pytest.raises(DataError) as caught:
        check_sizes(recipe, splits, barred)
    return str(caught.value).split("; ")


def test_defaults_take_what_there_is_and_say_so_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        check_sizes(recipe_of(pools={}, supervised={"epochs": 1}), splits_of(100, 20, 900), ())
    (record,) = caplog.records
    for told in (
        "data.train_queries: all 100 instead of 800, as the train split has 100 examples",
        "data.val_queries: all 20 instead of 200",
        "beam.queries: all 100 instead of 200",
    ):
        assert told in record.message
    assert "test_queries" not in record.message and "pools.size" not in record.message


def test_enough_data_are_passed_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        check_sizes(recipe_of(pools={}), splits_of(800, 200, 800), ())
    assert not caplog.records


def test_all_sizes_that_the_recipe_sets_itself_and_cannot_have_are_told_at_once() -> None:
    sizes = {"train_queries": 30, "val_queries": 9, "test_queries": 8}
    recipe = recipe_of(
        data=sizes,
        beam={"queries": 30},
        supervised={"epochs": 1},
        pools={"size": 25},
        evaluation={"shots": [1, 12]},
        grpo={"shots": [11]},
    )
    there = "the bank has 10 entries, of which 10 may be shown to every query of all splits"
    assert faults(recipe, splits_of(20, 6, 7, bank=10)) == [
        "data.train_queries: 30 are wanted, but the train split has 20 examples",
        "data.val_queries: 9 are wanted, but the val split has 6 examples",
        "data.test_queries: 8 are wanted, but the test split has 7 examples",
        "beam.queries: 30 are wanted, but there are 20 training queries",
        f"pools.size: 25 are wanted, but {there}",
        f"grpo.shots: 11 demonstrations are wanted, but {there}",
        f"evaluation.shots: 12 demonstrations are wanted, but {there}",
    ]


def test_a_default_can_be_cut_but_not_to_nothing() -> None:
    assert faults(recipe_of(), splits_of(100, 0, 900)) == [
        "data.val_queries: 200 are wanted, but the val split has 0 examples"
    ]
    told = faults(recipe_of(), splits_of(100, 20, 900, bank=3))
    assert "evaluation.shots: 4 demonstrations are wanted, but the bank has 3 entries" in told[-1]


def test_phases_that_are_left_out_ask_for_nothing() -> None:
    recipe = recipe_of(
        supervised={"epochs": 0}, grpo={"epochs": 0}, beam={"queries": 800, "shots": 9}, evaluation={"shots": [1, 2]}
    )
    check_sizes(recipe, splits_of(100, 20, 900, bank=3), ())


def test_what_is_barred_from_a_query_is_not_there() -> None:
    rows = [np.arange(2), np.arange(7), np.arange(0)]
    splits, barred = splits_of(20, 6, 7, bank=10), Barred(rows, {})
    assert fewest_left(splits, [barred]) == 3
    told = faults(recipe_of(pools={"size": 4}, evaluation={"shots": [3]}), splits, barred)
    assert told[0].startswith("pools.size: 4 are wanted, but the bank has 10 entries, of which 3 may be shown")


def test_a_resolved_recipe_says_no_more_than_the_one_it_came_from() -> None:
    """It writes out every default, which nobody asked for."""
    check_sizes(resolved(recipe_of()), splits_of(100, 20, 900), ())
    asked = recipe_of(data={"val_queries": 30})
    assert faults(resolved(asked), splits_of(100, 20, 900)) == faults(asked, splits_of(100, 20, 900))
