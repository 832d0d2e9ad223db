"""Prompts that cannot fit are found before anything is asked, and budgets are kept from end to end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_experiment import small_bank_recipe

from shotsmith import experiment
from shotsmith.errors import DataError, InputError
from shotsmith.evaluation.evaluate import Entrant, evaluate
from shotsmith.evaluation.results import read_results
from shotsmith.experiment.fitting import check_context, check_queries
from shotsmith.experiment.parts import Parts
from shotsmith.progress import Silent
from shotsmith.recipe import Recipe
from shotsmith.recipe.models import PromptSettings
from shotsmith.records import Completion, Example, Request
from shotsmith.runs import Run
from shotsmith.selectors.random import Random
from shotsmith.vlms.prompting.budget import PromptBudget


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs over one world."""
    folder = tmp_path_factory.mktemp("runs")
    with parts_of(folder) as parts:
        parts.make_data()
    return folder


@contextmanager
def parts_of(folder: Path, shots: tuple[int, ...] = (1, 2), **prompt: Any) -> Iterator[Parts]:
    recipe = small_bank_recipe().model_dump(mode="json")
    recipe["evaluation"]["shots"] = shots
    recipe["vlm"]["prompt"] |= prompt
    checked = Recipe.model_validate(recipe)
    file = folder / "run"
    run = Run.open(file) if file.exists() else Run.create(file, checked)
    with Parts(checked, run, Silent()) as parts:
        yield parts


def test_sequences_beyond_the_context_are_refused_before_the_vlm_is_asked(made: Path):
    refused = r"prompts of 120 demonstrations .* holds 1,019 .*max_tokens=1019"
    with parts_of(made, (1, 120)) as parts:
        with pytest.raises(InputError, match=refused) as caught:
            parts.ask([Request(parts.splits.test[0])], "evaluation")
        assert caught.value.field == "vlm.prompt.max_tokens"


def test_with_a_budget_they_are_answered_with_what_fits_and_it_is_counted(made: Path):
    with parts_of(made, (1, 60), max_tokens=600) as parts:
        tasks = replace(parts.tasks("test"), queries=parts.tasks("test").queries[:3])
        results = evaluate(tasks, [Entrant(Random())], [1, 60], parts.ask)
        short, long = results[:3], results[3:]
        assert all(result.text is not None for result in results)
        assert all(result.left_out == 0 for result in short)
        for row, result in enumerate(long):
            assert len(result.sequence) == 60 and 0 < result.left_out < 60
            sequence = Random().select(tasks, 60)[row]
            length = parts.collector.vlm.length
            shown = tasks.demonstrations(row, sequence[result.left_out :])
            one_more = tasks.demonstrations(row, sequence[result.left_out - 1 :])
            assert length(Request(tasks.queries[row], shown)) <= 600 < length(Request(tasks.queries[row], one_more))
        left_out = sum(result.left_out for result in long)
        counted = {"prompts": 6, "demonstrations": 183, "left_out": left_out, "without_image": 0}
        assert dict(parts.shortened()) == counted


def test_demonstrations_are_shown_without_images_where_the_recipe_says_so(made: Path):
    with parts_of(made, (4,), max_images=3, over_budget="show_without_image") as parts:
        tasks = replace(parts.tasks("test"), queries=parts.tasks("test").queries[:2])
        results = evaluate(tasks, [Entrant(Random())], [4], parts.ask)
        assert [(result.left_out, result.without_image) for result in results] == [(0, 2), (0, 2)]
        request = tasks.request(0, Random().select(tasks, 4)[0])
        assert [len(shown.images) for shown in (*request.demonstrations, request.query)] == [0, 0, 1, 1, 1]
        (completion,) = parts.ask([request], "evaluation")
        assert isinstance(completion, Completion) and completion.text == results[0].text, (
            "the very prompt that was asked"
        )


def test_a_budget_that_a_query_exceeds_alone_is_refused_before_the_vlm_is_asked(made: Path):
    with parts_of(made, max_tokens=3) as parts, pytest.raises(DataError, match="more than max_tokens 3"):
        parts.ask([Request(parts.splits.test[0])], "evaluation")


def test_the_context_bounds_a_budget_too(made: Path):
    with parts_of(made, (120,), max_tokens=5000) as parts, pytest.raises(InputError, match="max_tokens=1019"):
        parts.ask([Request(parts.splits.test[0])], "evaluation")


def test_a_run_within_a_budget_says_what_it_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    recipe = small_bank_recipe().model_dump(mode="json")
    recipe["supervised"]["epochs"] = recipe["rce"]["epochs"] = recipe["evaluation"]["oracle_tries"] = 0
    recipe["grpo"]["epochs"] = 1
    recipe["vlm"]["prompt"]["max_images"] = 2
    checked = Recipe.model_validate(recipe)
    run = Run.create(tmp_path / "run", checked)
    caplog.set_level("INFO", "shotsmith.experiment")
    experiment.run(checked, run, Silent())
    results = read_results(run.results)
    shown = {(result.selector, result.shots): len(result.sequence) - result.left_out for result in results}
    assert max(shown.values()) == 1 and shown["zero_shot", 2] == 0
    left_out, chosen = sum(result.left_out for result in results), sum(len(result.sequence) for result in results)
    stages = {row["name"]: row.get("budget") for row in run.stages()}
    assert stages["train"] and stages["train"]["left_out"] > 0 and not stages["embed"]  # type: ignore[index]
    assert stages["evaluate"] and "the budget of a prompt left out" in caplog.text
    sentence = f"Of {chosen:,} demonstrations chosen for test queries, the budget of a prompt left out {left_out:,}"
    assert sentence in " ".join(run.report_markdown.read_text().split())


def example(number: int, images: int, question: str) -> Example:
    return Example(number, tuple(Path(f"{n}.png") for n in range(images)), number, question, ("red",))


def test_every_query_must_fit_alone_into_the_bound_of_images():
    budget = PromptBudget(PromptSettings(max_images=2))
    check_queries([example(1, 0, "a?"), example(2, 2, "b?")], budget)
    with pytest.raises(DataError, match="3 images") as caught:
        check_queries([example(1, 0, "a?"), example(3, 3, "c?")], budget)
    assert caught.value.row == 3


def test_the_longest_texts_decide_whether_prompts_fit():
    queries, bank = [example(0, 0, "q" * 5)], [example(n, 0, "q" * n) for n in range(1, 20)]

    def length(request: Request) -> int:
        return sum(len(shown.question) for shown in (*request.demonstrations, request.query))

    check_context(queries, bank, 3, length, 5 + 19 + 18 + 17)
    with pytest.raises(InputError, match="up to 59 tokens"):
        check_context(queries, bank, 3, length, 5 + 19 + 18 + 17 - 1)
