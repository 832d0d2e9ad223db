"""A run's selectors evaluated with another VLM than they were trained with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from shotsmith.checkpoints.native import load_manifest
from shotsmith.errors import InputError
from shotsmith.evaluation.controls import answers_shown
from shotsmith.evaluation.copying import copying
from shotsmith.evaluation.free import evaluate_free
from shotsmith.evaluation.leaks import check_no_leak
from shotsmith.evaluation.looks import record_look
from shotsmith.evaluation.results import read_results, write_results
from shotsmith.evaluation.summary import summarise
from shotsmith.evaluation.transfer import Answers, Transfer, transfer_matrix
from shotsmith.experiment.evaluating import choose_fixed_on, trained_entrants, trained_policies
from shotsmith.experiment.parts import Parts
from shotsmith.files import digest, read_json, write_json
from shotsmith.progress import Progress
from shotsmith.recipe import VLMSettings, parse_recipe
from shotsmith.runs import PHASES, Run


def vlm_of(file: Path, run: Run) -> VLMSettings:
    """The section `vlm` of a recipe, or of a YAML file that holds only this section.

    Raises InputError where there is none, RecipeError listing its faults.
    """
    try:
        value = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", file=file) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"is not valid YAML: {' '.join(str(error).split())}", file=file) from error
    if not isinstance(value, dict) or not isinstance(value.get("vlm"), dict):
        raise InputError("has no section vlm", file=file)
    return parse_recipe({**run.recipe.model_dump(mode="json"), "vlm": value["vlm"]}).vlm


def evaluate_with(run: Run, vlm: VLMSettings, progress: Progress) -> dict[str, Any]:
    """Evaluate the trained policies and every free selector on the test queries, answered by another VLM.

    Returns the tables of `evaluation.summary.summarise`; the best free selector is chosen anew, on validation queries
    answered by this VLM. They are kept under `evaluation/transfer`; the run's own evaluation stays as it is. Raises
    InputError where nothing is trained yet, or the VLM is the run's own.
    """
    recipe = run.recipe.model_copy(update={"vlm": vlm})
    if not run.is_done("train"):
        raise InputError(f"is not trained yet: shotsmith run {run.recipe_file}", file=run.folder)
    with Parts(recipe, run, progress) as parts:
        trained = trained_policies(parts)
        identity = parts.collector.vlm.identity
        if any(manifest.vlm == identity for _, manifest in trained):
            raise InputError("is the VLM that the run was trained with", field="--vlm")
        train, val, test = (parts.tasks(split) for split in ("train", "val", "test"))
        check_no_leak(parts.splits, train, val, test, chosen_on=[query.id for query in val.queries])
        record_look(run, (query.id for query in test.queries), (manifest for _, manifest in trained))
        settings, fixed = recipe.evaluation, choose_fixed_on(parts, val)
        validation = evaluate_free(val, settings, fixed, parts.ask, origin="transfer/validation")
        entrants = trained_entrants(trained)
        results = evaluate_free(test, settings, fixed, parts.ask, entrants=entrants, origin="transfer")
        shown = answers_shown(test.index, recipe.data.seed)
    tables = summarise(results, settings, validation, copied=copying(results, shown, settings))
    folder = _folder(run) / digest(identity)[:16]
    write_results(folder / "results.parquet", results)
    write_json(folder / "summary.json", {**tables, "vlm": identity})
    return tables


def compare_transfer(runs: Mapping[str, Run]) -> Transfer:
    """The matrix of the runs' selectors and VLMs, of what has been evaluated.

    Raises InputError for fewer than two runs, or two with the same VLM, and whatever `transfer_matrix` raises.
    """
    if len(runs) < 2:
        raise InputError("comparing takes at least two runs")
    vlms = {name: _own_vlm(run) for name, run in runs.items()}
    if len(set(vlms.values())) < len(vlms):
        raise InputError("two of the runs were trained with the same VLM")
    answers = {name: list(_answers(run, vlms[name])) for name, run in runs.items()}
    settings = next(iter(runs.values())).recipe.evaluation
    return transfer_matrix(vlms, answers, resamples=settings.resamples)


def _own_vlm(run: Run) -> str:
    """Identity of the VLM that a run's checkpoints were trained for."""
    for row in reversed(run.epochs()):
        folder = run.epoch(int(row["seed"]), row["phase"], int(row["epoch"]))
        if row["phase"] in PHASES and folder.exists():
            return load_manifest(folder).vlm
    raise InputError("nothing has been trained in this run yet", file=run.folder)


def _answers(run: Run, own: str) -> Iterator[Answers]:
    if run.results.exists():
        best = read_json(run.summary).get("best_free") or {}
        yield Answers(own, read_results(run.results), best.get("selector"))
    for file in sorted(_folder(run).glob("*/summary.json")):
        summary = read_json(file)
        best = summary.get("best_free") or {}
        yield Answers(summary["vlm"], read_results(file.with_name("results.parquet")), best.get("selector"))


def _folder(run: Run) -> Path:
    return run.folder / "evaluation" / "transfer"
