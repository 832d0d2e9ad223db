"""Controls of a whole run: rows beside the others, which no winner is told by, paid for once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shotsmith import experiment
from shotsmith.cli import app
from shotsmith.evaluation.controls import CONTROLS, control_of
from shotsmith.evaluation.results import Result, read_results
from shotsmith.progress import Silent
from shotsmith.recipe import dump_recipe, parse_recipe
from shotsmith.runs import Run, show


@pytest.fixture(scope="module")
def controlled(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The finished run, evaluated again with all controls in its recipe."""
    folder = tmp_path_factory.mktemp("controls") / "run"
    shutil.copytree(finished.folder, folder)
    settings = Run.open(folder).recipe.model_dump(mode="json")
    settings["evaluation"]["controls"] = list(CONTROLS)
    (folder / "recipe.yaml").write_text(dump_recipe(parse_recipe(settings)) + "# end of the recipe\n")
    run = Run.open(folder)
    experiment.stage(run, "evaluate", Silent())
    return run


def by_name(run: Run) -> dict[str, list[Result]]:
    rows: dict[str, list[Result]] = {}
    for result in read_results(run.results):
        rows.setdefault(result.selector, []).append(result)
    return rows


def test_the_trained_policy_and_the_best_free_selector_have_rows_for_every_control(controlled: Run) -> None:
    rows = by_name(controlled)
    found = {control_of(name) for name in rows} - {None}
    shown_by = {selector for selector, _ in found}
    assert "grpo" in shown_by and len(shown_by) == 2
    assert {control for selector, control in found if selector == "grpo"} == set(CONTROLS)
    for name, own in rows.items():
        if (base := control_of(name)) is not None:
            there = [(r.query_id, r.shots, r.seed, r.draw, sorted(r.sequence)) for r in rows[base[0]]]
            assert [(r.query_id, r.shots, r.seed, r.draw, sorted(r.sequence)) for r in own] == there


def test_controls_change_answers_and_leave_every_other_row_as_it_was(finished: Run, controlled: Run) -> None:
    before, after = by_name(finished), by_name(controlled)
    assert {name: after[name] for name in before} == before
    blank = [(r.text, o.text) for r, o in zip(after["grpo_blank_image"], after["grpo"], strict=True)]
    labels = [(r.text, o.text) for r, o in zip(after["grpo_shuffled_labels"], after["grpo"], strict=True)]
    assert any(one != other for one, other in blank) and any(one != other for one, other in labels)


def test_no_winner_is_told_by_a_control(finished: Run, controlled: Run) -> None:
    before, after = show(finished), show(controlled)
    for key in ("contrasts", "best_free", "validation", "recall"):
        assert after[key] == before[key]
    assert any(control_of(row["selector"]) for row in after["test"])


def test_evaluating_with_them_again_asks_nothing(controlled: Run) -> None:
    experiment.stage(controlled, "evaluate", Silent())
    (row,) = (row for row in controlled.stages() if row["name"] == "evaluate")
    with_controls = row["vlm_calls"]
    experiment.stage(controlled, "evaluate", Silent())
    (row,) = (row for row in controlled.stages() if row["name"] == "evaluate")
    assert row["vlm_calls"] == with_controls


def test_copying_is_told_of_every_selector_that_shows_something(controlled: Run) -> None:
    rows = show(controlled)["copying"]
    told = {row["selector"] for row in rows}
    showing = {name for name, own in by_name(controlled).items() if any(one.sequence for one in own)}
    assert told == {name for name in showing if not name.startswith("majority_vote")}
    assert {"grpo", "grpo_shuffled_labels", "oracle"} <= told
    assert {row["shots"] for row in rows} == {1, 2, "mean"}


def test_the_report_and_the_terminal_have_them(controlled: Run) -> None:
    experiment.stage(controlled, "report", Silent())
    assert "GRPO, blank image" in controlled.report_markdown.read_text(encoding="utf-8")
    said = CliRunner().invoke(app, ["show", str(controlled.folder)]).stdout
    assert "grpo_blank_image" in said
    assert "GRPO repeats the answer of a demonstration in" in " ".join(said.split())


def test_the_verb_adds_them_to_a_run_whose_recipe_has_none(finished: Run, tmp_path: Path) -> None:
    shutil.copytree(finished.folder, tmp_path / "run")
    arguments = ["evaluate", str(tmp_path / "run"), "--json", "--quiet"]
    done = CliRunner().invoke(app, [*arguments, "--controls", "blank_image, shuffled_order"])
    selectors = {row["selector"] for row in json.loads(done.stdout)["test"]}
    assert {"grpo_blank_image", "grpo_shuffled_order"} <= selectors and "grpo_shuffled_labels" not in selectors
    assert Run.open(tmp_path / "run").recipe == finished.recipe
    refused = CliRunner().invoke(app, [*arguments, "--controls", "blank"])
    assert refused.exit_code == 2 and "evaluation.controls" in refused.stderr


def test_runs_from_before_controls_and_copying_can_be_shown_and_gone_on_with(finished: Run, tmp_path: Path) -> None:
    shutil.copytree(finished.folder, tmp_path / "old")
    old = Run.open(tmp_path / "old")
    settings = {line for line in old.recipe_file.read_text().splitlines() if "controls" in line}
    assert len(settings) == 1
    old.recipe_file.write_text(old.recipe_file.read_text().replace(settings.pop() + "\n", ""))
    summary = json.loads(old.summary.read_text())
    assert summary.pop("copying")
    old.summary.write_text(json.dumps(summary))
    assert show(old)["copying"] == []
    assert CliRunner().invoke(app, ["show", str(old.folder)]).exit_code == 0
    again = Run.create(old.folder, finished.recipe)
    experiment.run(finished.recipe, again, Silent())
    assert again.stages() == finished.stages()
