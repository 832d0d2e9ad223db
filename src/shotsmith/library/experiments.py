"""Whole experiments from Python: what the verbs `run`, `evaluate`, `headroom` and `compare` do.

Nothing is printed. Progress is told to whoever is given as `progress` (shotsmith.progress).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shotsmith import experiment
from shotsmith.attempts import absent_folders, attempt
from shotsmith.errors import InputError
from shotsmith.evaluation import compare as comparing
from shotsmith.evaluation.compare import Comparison
from shotsmith.evaluation.results import read_results
from shotsmith.experiment.headroom import Headroom
from shotsmith.experiment.headroom import headroom as measure_headroom
from shotsmith.experiment.parts import Parts
from shotsmith.progress import Progress, Silent
from shotsmith.recipe import Recipe, load_recipe, parse_recipe
from shotsmith.runs import Run, show

QUERIES = 200
"""Validation queries of `headroom`."""


def run(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    folder: str | Path | None = None,
    *,
    until: str | None = None,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Do everything that a recipe says, from data to report, into a run folder; what is done there is skipped.

    `recipe` is a file, or the same content as a mapping. `folder` is `runs/NAME` by default. `until` names the last
    stage, `fresh` deletes what the folder holds. `shotsmith.load` takes the folder of the run.

    Raises RecipeError listing every fault of the recipe, and whatever a stage raises; what was done before stays.
    """
    parsed = _recipe(recipe)
    place = Path(folder) if folder is not None else Path("runs") / parsed.name
    made = absent_folders(place)
    opened = Run.create(place, parsed, fresh=fresh)
    with opened.lock(), attempt(place, made):
        experiment.run(parsed, opened, progress or Silent(), until)
    return opened


def evaluate(folder: str | Path | Run, *, progress: Progress | None = None) -> dict[str, Any]:
    """Evaluate a run anew on its test queries: accuracies, contrasts, the best free selector (as `shotsmith show`).

    Raises InputError where the folder is no run, or is not trained yet.
    """
    opened = folder if isinstance(folder, Run) else Run.open(Path(folder))
    with opened.lock():
        experiment.stage(opened, "evaluate", progress or Silent())
    shown = show(opened)
    return {key: shown[key] for key in ("test", "contrasts", "best_free", "validation", "recall")}


def headroom(
    recipe: str | Path | Mapping[str, Any] | Recipe, *, queries: int = QUERIES, progress: Progress | None = None
) -> Headroom:
    """Whether training is worth it: every free selector and the oracle, on validation queries.

    Nothing is trained or kept. Raises RecipeError for a fault of the recipe, ShotsmithError where every completion
    failed.
    """
    parsed = _recipe(recipe)
    with tempfile.TemporaryDirectory() as temporary:
        opened = Run.create(Path(temporary) / parsed.name, parsed)
        with Parts(parsed, opened, progress or Silent()) as parts:
            parts.make_data()
            return measure_headroom(parts, queries)


def compare(*folders: str | Path, selectors: list[str] | None = None, shared: bool = False) -> Comparison:
    """Compare the test results of runs with those of the first: differences, intervals and p, Holm's correction made.

    `selectors` names those that are compared, by default the last phase of each run. `shared` uses the test queries
    that all runs have, where they differ. Raises InputError for fewer than two runs, or one without results.
    """
    if len(folders) < 2:
        raise InputError("comparing takes at least two runs")
    results = {str(folder): read_results(Run.open(Path(folder)).results) for folder in folders}
    return comparing.compare(results, selectors=selectors, metric=None, shared=shared)


def _recipe(recipe: str | Path | Mapping[str, Any] | Recipe) -> Recipe:
    if isinstance(recipe, Recipe):
        return recipe
    return parse_recipe(recipe) if isinstance(recipe, Mapping) else load_recipe(Path(recipe))
