"""Whole small runs on captions and on labelled texts: measured, compared and told by the metric of their data."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import small_language_models
from typer.testing import CliRunner

from shotsmith import experiment
from shotsmith.cli import app
from shotsmith.data.official import read_official
from shotsmith.data.world import make_world
from shotsmith.evaluation.results import read_results
from shotsmith.metrics.cider import CiderScorer
from shotsmith.progress import Silent
from shotsmith.recipe import WorldSettings, parse_recipe
from shotsmith.runs import Run, show

SMALL: dict[str, Any] = {
    "pools": {"size": 6},
    "policy": {"hidden_size": 16},
    "beam": {"queries": 4},
    "supervised": {"epochs": 0},
    "rollouts": {"sampled": 1, "random": 1, "beam": 1},
    "rce": {"epochs": 0},
    "grpo": {"epochs": 1, "steps_per_epoch": 1, "num_generations": 2, "queries_per_step": 2},
    "evaluation": {"shots": [1, 2], "random_draws": 1, "oracle_tries": 4, "resamples": 100},
}
COUNTS = {"train_queries": 6, "val_queries": 3, "test_queries": 6}
ACCURACY = re.compile(r"accurac|percent", re.IGNORECASE)


def finished(folder: Path, data: dict[str, Any], **others: Any) -> Run:
    recipe = parse_recipe({"name": "small", "data": data | COUNTS, **SMALL, **others})
    run = Run.create(folder / "run", recipe)
    experiment.run(recipe, run, Silent())
    return run


def write_captions(folder: Path) -> Path:
    """The pictures of a built-in world in the layout of the Karpathy split, with captions made of the answers."""
    make_world(folder, WorldSettings(seed=3, bank=None, train=40, val=12, test=16))
    rows = []
    for split in ("train", "val", "test"):
        files = (
            folder / f"OpenEnded_mscoco_{split}2014_questions.json",
            folder / f"mscoco_{split}2014_annotations.json",
        )
        for one in {one.image: one for one in read_official(*files, folder / f"{split}2014")}.values():
            raw = [f"{one.answer}", f"a picture of {one.answer}", f"{one.answer} {one.question_type}"]
            row = {"filepath": one.image.parent.name, "filename": one.image.name, "cocoid": one.image_id}
            rows.append(row | {"split": split, "sentences": [{"raw": text} for text in raw]})
    file = folder / "dataset_coco.json"
    file.write_text(json.dumps({"images": rows, "dataset": "coco"}))
    return file


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("captions")
    file = write_captions(folder / "coco")
    weights = {"vqa_accuracy": 0, "cider": 1}
    return finished(folder, {"captions": {"file": str(file), "images": str(file.parent)}}, reward=weights)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("texts")
    draws = random.Random(0)
    for number, (name, count) in enumerate((("train", 40), ("dev", 12))):
        lines = [f"{draws.choice('abcdef') * (2 + row)} film {number}\t{row % 2}" for row in range(count)]
        (folder / f"{name}.tsv").write_text("\n".join(["sentence\tlabel", *lines]) + "\n")
    files = {"train": str(folder / "train.tsv"), "test": str(folder / "dev.tsv"), "val_share": 0.2}
    return finished(folder, {"texts": files})


def write_table(folder: Path, answer: Callable[[int], object], **others: object) -> dict[str, Any]:
    """Questions without images whose answers follow from their numbers."""
    for name, numbers in (("train", range(40)), ("test", range(100, 112))):
        rows = [{"question": f"what is {'abcdef'[n % 6] * (n + 2)}?", "answers": answer(n), **others} for n in numbers]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    files = {"train": str(folder / "train.jsonl"), "test": str(folder / "test.jsonl"), "val_share": 0.2}
    return files | {"columns": {"image": None}}


def test_numbers_are_reported_by_their_error_and_compared_by_closeness(tmp_path: Path):
    table = write_table(tmp_path, lambda n: str(n % 7)) | {"metric": "mean_absolute_error"}
    run = finished(tmp_path, {"table": table}, reward={"vqa_accuracy": 0, "mean_absolute_error": 1})
    shown = show(run)
    metrics = list(dict.fromkeys(row["metric"] for row in shown["test"]))
    assert metrics[0] == "closeness" == shown["best_free"]["metric"]
    # The built-in VLM need not answer with numbers: then there is no error to report, and closeness is 0.
    assert {"relaxed_accuracy"} <= {*metrics} <= {"closeness", "relaxed_accuracy", "mean_absolute_error"}
    votes = [one for one in read_results(run.results) if one.selector == "majority_vote"]
    assert votes and all(one.value("mean_absolute_error") is not None for one in votes)
    assert {"val/closeness"} <= {name for row in run.epochs() for name in row}
    assert "Mean absolute error" in run.report_markdown.read_text()


def test_options_are_chosen_by_their_likelihood_from_the_data_to_the_report(tmp_path: Path):
    table = write_table(tmp_path, lambda n: n % 2, options=["red", "blue"]) | {"metric": "choice_likelihood"}
    table["columns"] |= {"options": "options"}
    run = finished(tmp_path, {"table": table}, reward={"vqa_accuracy": 0, "choice_likelihood": 1})
    results = read_results(run.results)
    assert {one.text for one in results} <= {"A", "B"} and {one.failure for one in results} == {None}
    assert {row["metric"] for row in show(run)["test"]} == {"choice_likelihood"}
    assert "Multiple choice by likelihood" in run.report_markdown.read_text()


def test_classes_are_reported_by_macro_f1_beside_exact_match(tmp_path: Path):
    table = write_table(tmp_path, lambda n: ["red", "blue"][n % 2]) | {"metric": "macro_f1"}
    run = finished(tmp_path, {"table": table}, reward={"vqa_accuracy": 0, "macro_f1": 1})
    assert {row["metric"] for row in show(run)["test"]} == {"exact_match", "macro_f1"}
    assert "Macro F1" in run.report_markdown.read_text()
    told = CliRunner().invoke(app, ["show", str(run.folder)])
    assert "Macro F1 in percent" in told.stdout and "Accuracy in percent" in told.stdout


def test_a_language_model_answers_a_whole_run_of_texts(tmp_path: Path):
    table = write_table(tmp_path, lambda n: n % 2, options=["red", "blue"]) | {"metric": "choice_letter"}
    table["columns"] |= {"options": "options"}
    (tmp_path / "model").mkdir()
    model = small_language_models.save_qwen2(tmp_path / "model")
    run = finished(tmp_path, {"table": table}, vlm={"path": str(model)}, reward={"vqa_accuracy": 0, "choice_letter": 1})
    results = read_results(run.results)
    assert {one.failure for one in results} == {None} and len({one.text for one in results}) > 2
    assert {row["metric"] for row in show(run)["test"]} == {"choice_letter"}


def test_captions_are_measured_by_cider_on_the_split_s_references(captioned: Run):
    from shotsmith.data.load import load_splits

    test = load_splits(captioned.recipe.data, captioned.world).test
    scorer, truths = CiderScorer([one.answers for one in test]), {one.id: one.answers for one in test}
    results = read_results(captioned.results)
    assert results and all(one.vqa_accuracy is None and one.exact_match is None for one in results)
    for one in results:
        assert one.cider == pytest.approx(scorer.score(one.text, truths[one.query_id]))
    assert any(one.cider for one in results)
    oracle = {(one.query_id, one.shots): one.cider for one in results if one.selector == "oracle"}
    assert all(
        one.cider <= oracle[one.query_id, one.shots] + 1e-9 for one in results if one.selector == "image_similar"
    )


def test_labels_are_measured_by_exact_match_without_any_selector_by_image(labelled: Run):
    results = read_results(labelled.results)
    assert {one.exact_match for one in results} <= {0.0, 1.0} and all(one.cider is None for one in results)
    assert {"image_similar", "mixed"}.isdisjoint(one.selector for one in results)
    assert {"text_similar", "grpo", "oracle"} <= {one.selector for one in results}


@pytest.mark.parametrize(("kind", "metric"), [("captioned", "cider"), ("labelled", "exact_match")])
def test_the_metric_is_named_wherever_figures_are(kind: str, metric: str, request: pytest.FixtureRequest):
    run: Run = request.getfixturevalue(kind)
    shown = show(run)
    assert {row["metric"] for row in shown["test"]} == {metric} and shown["contrasts"]
    assert {"selector", "shots", "metric", "accuracy", "low", "high", "n"} <= shown["test"][0].keys()
    text = run.report_markdown.read_text()
    assert {"cider": "CIDEr-D", "exact_match": "Exact match"}[metric] in text
    compared = CliRunner().invoke(app, ["compare", str(run.folder), str(run.folder), "--json"])
    assert compared.exit_code in (0, 2)


def test_nothing_is_said_of_accuracy_where_captions_are_measured(captioned: Run):
    told = captioned.report_markdown.read_text().partition("resolved recipe")[0]
    assert "CIDEr" in told
    lines = [line for line in told.splitlines() if ACCURACY.search(line) and "vqa_accuracy" not in line]
    assert not lines
    for page in (captioned.report_html,):
        assert not re.search(r"accuracy \d", page.read_text())
