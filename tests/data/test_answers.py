from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from small_tasks import make_example

from shotsmith.data.answers import check_answers, unreachable
from shotsmith.data.load import load_splits
from shotsmith.data.splits import Splits
from shotsmith.errors import DataError
from shotsmith.metrics.vqa import best_accuracy
from shotsmith.recipe import parse_recipe

OFFICIAL = ("vqa_accuracy", "vqa_accuracy_normalised", "vqa_accuracy_stemmed")


def queries(*answers: tuple[str, ...]):
    return [make_example(number, some) for number, some in enumerate(answers)]


def recipe_of(**sections: Any):
    return parse_recipe({"data": {"table": {"train": "a", "test": "b", **sections.pop("table", {})}}, **sections})


@pytest.mark.parametrize("metric", OFFICIAL)
@pytest.mark.parametrize(("count", "ceiling"), [(1, "always 0"), (2, "at most 1/3"), (3, "at most 2/3")])
def test_fewer_than_four_answers_never_earn_1_under_the_official_rule(metric: str, count: int, ceiling: str):
    few = queries(("red",) * count, ("blue",) * count)
    (told,) = unreachable(metric, few)
    assert f"2 of 2 validation and test queries have fewer than 4 answers, so that their {metric} is {ceiling}:" in told
    assert "exact_match" in told
    assert best_accuracy(few[0].answers) == pytest.approx((count - 1) / 3)


def test_four_answers_are_enough_and_other_metrics_need_one():
    assert best_accuracy(("red",) * 4) == 1
    assert not list(unreachable("vqa_accuracy", queries(("red",) * 4, ("blue",) * 10)))
    for metric in ("exact_match", "anls", "cider"):
        assert not list(unreachable(metric, queries(("red",), ("blue",))))


def test_a_mixture_of_few_and_many_answers_is_told():
    (told,) = unreachable("vqa_accuracy", queries(("red",), ("blue",) * 10, ("green",) * 10))
    assert "1 of 3" in told and "others have up to 10, so that scores are not comparable" in told


@pytest.mark.parametrize(
    ("answers", "fits"),
    [
        ((("7",), ("8.5",)), "relaxed_accuracy or mean_absolute_error"),
        ((("two dogs",), ("red",)), "exact_match"),
        ((("a long text about a dog",), ("red",)), "token_f1 or anls"),
    ],
)
def test_the_metric_that_fits_is_named(answers: tuple[tuple[str, ...], ...], fits: str):
    (told,) = unreachable("vqa_accuracy", queries(*answers))
    assert f"the metric {fits} fits" in told


def test_one_answer_to_all_queries_is_told():
    (told,) = unreachable("exact_match", queries(("Red",), ("a red",), ("red.",)))
    assert "all 3 validation and test queries have the answer 'Red'" in told
    assert not list(unreachable("exact_match", queries(("red",), ("blue",)))) and not list(unreachable("anls", []))


def test_what_cannot_be_reached_is_logged_when_the_data_are_checked(caplog: pytest.LogCaptureFixture):
    part = tuple(queries(("red",), ("blue",)))
    with caplog.at_level(logging.WARNING):
        check_answers(recipe_of(), Splits(part, part, part))
        check_answers(recipe_of(table={"metric": "exact_match"}), Splits(part, part, part))
    told = [record.message for record in caplog.records]
    assert len(told) == 2 and "always 0" in told[0]
    assert "reward.vqa_accuracy always earns 0; set it to 0 and reward.exact_match to 1" in told[1]
    caplog.clear()
    many = tuple(queries(("red",) * 10, ("blue",) * 10))
    check_answers(recipe_of(), Splits(many, many, many))
    check_answers(
        recipe_of(table={"metric": "exact_match"}, reward={"vqa_accuracy": 0, "exact_match": 1}),
        Splits(part, part, part),
    )
    assert not caplog.records


@pytest.mark.parametrize(
    ("reward", "problem"),
    [({"closeness": 1}, "is not a number: 'red'"), ({"choice_likelihood": 1}, "has no options")],
)
def test_a_reward_that_cannot_score_the_answers_is_an_error_that_names_the_example(
    reward: dict[str, float], problem: str
):
    part = tuple(queries(("7",) * 4, ("red",) * 4))
    with pytest.raises(DataError, match=problem) as caught:
        check_answers(recipe_of(reward=reward), Splits(part, part, part))
    assert caught.value.field == "answers" and next(iter(reward)) in str(caught.value)
    check_answers(recipe_of(reward=dict.fromkeys(reward, 0)), Splits(part, part, part))


@pytest.mark.parametrize(
    ("metric", "good", "bad", "problem"),
    [
        ("mean_absolute_error", "7", "seven", "is not a number: 'seven'"),
        ("closeness", "7", "seven", "is not a number: 'seven'"),
        ("choice_letter", "B", "red", "is not the letter of an option: 'red'"),
        ("macro_f1", "cat", ["cat", "dog"], "is not one class, but 2"),
    ],
)
def test_answers_that_the_metric_cannot_score_name_file_row_and_column(
    tmp_path: Path, metric: str, good: object, bad: object, problem: str
):
    def table(name: str, *answers: object) -> str:
        rows = [{"question": f"{name} {n}?", "said": answer} for n, answer in enumerate(answers)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        return str(tmp_path / f"{name}.jsonl")

    columns = {"image": None, "answers": "said"}
    files = {"train": table("train", good, good), "val": table("val", good), "test": table("test", good, bad)}
    data = {"table": files | {"columns": columns, "metric": metric}}
    with pytest.raises(DataError, match=rf"test\.jsonl, row 1, field said: {problem}"):
        load_splits(parse_recipe({"data": data}).data)
    kept = load_splits(parse_recipe({"data": data | {"skip_bad": True}}).data, skipped=tmp_path / "skipped.jsonl")
    assert len(kept.test) == 1 and problem in json.loads((tmp_path / "skipped.jsonl").read_text())["problem"]
    files["test"] = table("fine", good)
    bank = {"table": {"file": table("bank", bad), "columns": columns}}
    splits = load_splits(parse_recipe({"data": {"table": data["table"] | files, "bank": bank}}).data)
    assert len(splits.bank) == 1  # what is only shown is not scored
