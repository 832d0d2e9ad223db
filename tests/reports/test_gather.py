"""What a report speaks of is read from the run folder alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from shotsmith.data.load import load_splits
from shotsmith.data.splits import choose_queries
from shotsmith.data.world import make_world
from shotsmith.evaluation.results import Result, write_results
from shotsmith.files import write_json
from shotsmith.progress import Silent
from shotsmith.recipe import dump_recipe, parse_recipe
from shotsmith.reports.gather import gather
from shotsmith.runs import Run


@pytest.fixture
def evaluated(tmp_path: Path) -> Run:
    """Six queries; the policy takes the candidate most like the query, and is right where 'mixed' is wrong."""
    world = {
        "world": {"bank": None, "train": 60, "val": 8, "test": 8},
        "train_queries": 8,
        "val_queries": 4,
        "test_queries": 6,
    }
    recipe = parse_recipe({"name": "small", "data": world, "beam": {"queries": 4}, "pools": {"size": 16}})
    run = Run.create(tmp_path / "small", recipe)
    assert recipe.data.world
    make_world(run.world, recipe.data.world, Silent())
    splits = load_splits(recipe.data, run.world)
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        size = len(splits.named()[split])
        run.embeddings(split).parent.mkdir(exist_ok=True)
        parts = {part: rng.normal(size=(size, 8)).astype(np.float32) for part in ("images", "questions")}
        save_file(parts, run.embeddings(split))
        if split == "train":
            index = parts["images"]
        else:
            images = parts["images"]
    rows = choose_queries(splits.test, 6, recipe.data.seed)
    pools = np.stack([rng.choice(len(splits.train), 16, replace=False) for _ in rows])
    run.pools("test").parent.mkdir()
    save_file({"pools": pools}, run.pools("test"))
    results = []
    for row, pool in zip(rows, pools, strict=True):
        query = splits.test[row]
        nearest = int(pool[np.argmax(index[pool] @ images[row])])
        for selector, chosen, accuracy in (("mixed", int(pool[0]), 0.0), ("grpo", nearest, 1.0)):
            shown = (splits.train[chosen].id,)
            kind = query.question_type
            results.append(Result(query.id, selector, None, 1, 0, shown, query.answer, accuracy, accuracy, kind))
    results[0] = replace(results[0], text=None, vqa_accuracy=None, vqa_accuracy_normalised=None, failure="timeout")
    write_results(run.results, results)
    cell = {"shots": "mean", "metric": "vqa_accuracy", "low": 0, "high": 100, "n": 6}
    test = [{**cell, "selector": name, "accuracy": value} for name, value in (("mixed", 0.0), ("grpo", 100.0))]
    write_json(run.summary, {"test": test, "contrasts": []})
    return run


def test_gallery_pointing_and_failures_come_from_the_folder(evaluated: Run) -> None:
    data = gather(evaluated.folder)
    assert data.gallery and data.failures == 1 and data.against is None
    assert data.gallery.counts == {"fixed": 5, "broken": 0, "unchanged": 0}
    assert all(row.before.selector == "mixed" and row.images[0].exists() for row in data.gallery.rows)
    images, questions = data.pointing
    assert images.counts == (6, *[0] * 15), "the policy takes the most similar picture"
    assert sum(questions.counts) == 6


def test_without_pools_the_ranks_are_those_among_the_whole_bank(evaluated: Run, tmp_path: Path) -> None:
    settings = evaluated.recipe.model_dump(mode="json") | {"pools": None}
    last = evaluated.recipe_file.read_text().splitlines()[-1]
    evaluated.recipe_file.write_text(f"{dump_recipe(parse_recipe(settings))}{last}\n")
    images, _ = gather(evaluated.folder).pointing
    assert (len(images.counts), images.candidates, images.per_count, sum(images.counts)) == (60, 60, 1.0, 6)
    assert sum(images.counts[:20]) > 3, "the most similar of 16 at random are among the more similar of 60"


def test_without_embeddings_only_the_pointing_is_missing(evaluated: Run) -> None:
    evaluated.embeddings("train").unlink()
    data = gather(evaluated.folder)
    assert data.gallery and data.pointing == ()


def test_a_run_is_compared_on_the_same_questions_of_the_same_data_alone(evaluated: Run, tmp_path: Path) -> None:
    found = gather(evaluated.folder, evaluated.folder).against
    assert found and found.comparison
    assert {(row.difference, row.n) for row in found.comparison.rows} == {(0.0, 6)}
    elsewhere = Run.create(tmp_path / "other", parse_recipe({"name": "other", "data": {"world": {"seed": 7}}}))
    elsewhere.results.parent.mkdir()
    elsewhere.results.write_bytes(evaluated.results.read_bytes())
    other = gather(evaluated.folder, elsewhere.folder).against
    assert other and other.comparison is None


def test_kinds_of_question_and_what_is_shown_most_come_from_the_results(evaluated: Run) -> None:
    data = gather(evaluated.folder)
    assert data.shown_most and (data.shown_most.selector, data.shown_most.bank) == ("grpo", 60)
    counts = [count for _, count in data.shown_most.entries]
    assert data.shown_most.queries == 6 and sum(counts) == 6 and counts == sorted(counts, reverse=True)
    assert len(data.kinds) > 1
    assert {(kind.free, kind.trained, kind.difference) for kind in data.kinds} == {(0.0, 100.0, 100.0)}
    assert sum(kind.n for kind in data.kinds) == 5, "a failed completion counts for no kind"
    assert all((kind.low is None) == (kind.n == 1) for kind in data.kinds)
