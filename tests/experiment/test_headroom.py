"""Is training worth it? On data where it can pay, where it cannot, and where nothing is ever right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from setting_probes.stages import MadeUpParts, MadeUpVlm
from small_experiment import small_recipe

from shotsmith.errors import InputError
from shotsmith.experiment.headroom import WORTH, headroom, verdict
from shotsmith.experiment.parts import Parts
from shotsmith.files import digest
from shotsmith.progress import Silent
from shotsmith.recipe import Recipe, parse_recipe
from shotsmith.records import Completion, Failure, Request
from shotsmith.runs import Run
from shotsmith.selectors.training_free import FREE


def recipe_of(**evaluation: object) -> Recipe:
    settings = small_recipe().model_dump(mode="json")
    settings["data"]["world"] |= {"bank": 150, "train": 40, "val": 60}
    settings["data"] |= {"val_queries": 50, "train_queries": 10}
    settings["pools"] = None
    settings["evaluation"] |= {"fixed_tries": 4, **evaluation}
    return parse_recipe(settings)


class Answers(MadeUpVlm):
    """Right where a function of the request says so."""

    def __init__(self, right: Callable[[Request], bool]) -> None:
        self.right = right
        self.asked: list[Request] = []

    def complete(self, requests: list[Request]) -> list[Completion | Failure]:
        self.asked += requests
        return [
            Completion(one.query.answer if self.right(one) else "wrong", dict.fromkeys(one.answers, -1.0))
            for one in requests
        ]


@pytest.fixture
def parts_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answers, Recipe], Parts]]:
    opened: list[Parts] = []

    def make(vlm: Answers, recipe: Recipe) -> Parts:
        monkeypatch.setattr("shotsmith.experiment.parts.load_vlm", lambda _settings: vlm)
        parts = MadeUpParts(recipe, Run.create(tmp_path / "run", recipe), Silent())
        parts.make_data()
        opened.append(parts)
        return parts

    yield make
    for parts in opened:
        parts.__exit__(None, None, None)


Make = Callable[[Answers, Recipe], Parts]


def one_in_ten(request: Request) -> bool:
    """Whether one of the tenth of the bank that helps this query is shown."""
    return any(int(digest(str(request.query.id), str(one.id))[:6], 16) % 10 == 0 for one in request.demonstrations)


def test_where_the_oracle_is_far_above_training_is_worth_it_and_only_validation_queries_are_asked(
    parts_with: Make,
) -> None:
    vlm, recipe = Answers(one_in_ten), recipe_of(oracle_tries=24)
    parts = parts_with(vlm, recipe)
    found = headroom(parts, 30)
    assert found.verdict == "worth" and found.gap["low"] >= WORTH
    assert found.queries == 30 and [gap["shots"] for gap in found.gaps] == [1, 2, "mean"]
    val = {query.id for query in parts.tasks("val").queries[:30]}
    assert {one.query.id for one in vlm.asked} == val
    assert {row["selector"] for row in found.rows} == {*FREE, "oracle"}
    assert not any((parts.run.folder / name).exists() for name in ("evaluations.jsonl", "metrics.jsonl"))


def test_where_a_free_selector_is_at_the_oracle_training_cannot_pay(parts_with: Make) -> None:
    found = headroom(parts_with(Answers(lambda one: bool(one.demonstrations)), recipe_of()), 30)
    assert found.verdict == "not_worth" and found.gap["high"] == 0
    assert found.best.accuracy_on_val == pytest.approx(100)


def test_where_nothing_is_ever_right_something_else_is_wrong(parts_with: Make) -> None:
    assert headroom(parts_with(Answers(lambda one: False), recipe_of()), 10).verdict == "nothing_right"


def test_one_answer_to_everything_is_told_from_data_without_headroom(parts_with: Make) -> None:
    """It is right now and then, and the oracle is no better than anything free."""

    class Same(Answers):
        def complete(self, requests: list[Request]) -> list[Completion | Failure]:
            return [Completion("Blue.", dict.fromkeys(one.answers, -1.0)) for one in requests]

    found = headroom(parts_with(Same(lambda one: True), recipe_of()), 30)
    assert (found.verdict, found.sole_answer) in (("same_answer", "Blue."), ("nothing_right", "Blue."))


def test_nothing_is_asked_twice(parts_with: Make) -> None:
    vlm, recipe = Answers(one_in_ten), recipe_of()
    parts = parts_with(vlm, recipe)
    first = headroom(parts, 20)
    asked = len(vlm.asked)
    assert headroom(parts, 20) == first and len(vlm.asked) == asked


def test_pools_of_a_recipe_do_not_restrict_it(parts_with: Make) -> None:
    settings = recipe_of().model_dump(mode="json") | {"pools": {"size": 8}}
    found = headroom(parts_with(Answers(lambda one: True), parse_recipe(settings)), 5)
    assert "fixed" in {row["selector"] for row in found.rows}
    assert not any("@bank" in row["selector"] for row in found.rows)


def test_an_interval_on_both_sides_of_the_threshold_is_unclear(parts_with: Make) -> None:
    found = headroom(parts_with(Answers(lambda one: True), recipe_of()), 5)
    wide = {"shots": "mean", "difference": WORTH, "low": WORTH - 2, "high": WORTH + 2, "n": 9}
    from shotsmith.evaluation.results import Result

    right = [Result(1, "mixed", None, 1, 0, (), "x", 1.0, 1.0, "")]
    assert verdict(wide, right, found.best) == "unclear"


def test_imported_rollouts_have_no_vlm_to_ask(parts_with: Make, tmp_path: Path) -> None:
    parts = parts_with(Answers(lambda one: True), recipe_of())
    parts.recipe = parts.recipe.model_copy(
        update={"rollouts": parts.recipe.rollouts.model_copy(update={"imported": tmp_path})}
    )
    with pytest.raises(InputError, match="no VLM"):
        headroom(parts, 5)
