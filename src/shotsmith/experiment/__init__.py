"""The only composition root: a recipe becomes objects, and stages that are skipped once they are done."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import get_args

from shotsmith.data.barring import Reason
from shotsmith.errors import InputError
from shotsmith.experiment.evaluating import evaluate
from shotsmith.experiment.parts import Parts
from shotsmith.experiment.reporting import report
from shotsmith.experiment.training import rank, restore_metrics, train
from shotsmith.files import write_json
from shotsmith.memory import PeakMemory
from shotsmith.plugins import Table
from shotsmith.progress import Progress
from shotsmith.recipe import Recipe
from shotsmith.runs import SPLITS, Run
from shotsmith.runs.progress_note import NotedProgress
from shotsmith.runs.stages import ORIGINS, STAGE_NAMES
from shotsmith.selectors.beam_file import write_beams
from shotsmith.selectors.beam_search import beam_search

logger = logging.getLogger(__name__)


def _data(parts: Parts) -> int:
    parts.make_data()
    _ = parts.splits
    return 0


def _embed(parts: Parts) -> int:
    _ = parts.embeddings
    return 0


def _pools(parts: Parts) -> int:
    if parts.recipe.pools is None:
        logger.info("no pools: every query chooses from all %d entries of the bank", len(parts.splits.bank))
    for split in SPLITS:
        parts.tasks(split)
    counts = {split: found.counts | {"twins": len(parts.twins.get(split, ()))} for split, found in parts.barred.items()}
    write_json(parts.run.barred, counts)
    if sum(len(rows) for rows in parts.twins.values()):
        told = ", ".join(f"{split} {found['twins']}" for split, found in counts.items())
        logger.warning("examples whose picture a later split has under another name, which are no queries: %s", told)
    logger.info("barred from the queries: %s", "; ".join(f"{split} {_told(found)}" for split, found in counts.items()))
    return 0


def _told(counts: Mapping[str, int]) -> str:
    reasons = ", ".join(f"{reason} {count}" for reason in get_args(Reason) if (count := counts[reason]))
    return f"{counts['affected']} of {counts['queries']} queries ({reasons or 'nothing'})"


def _beam(parts: Parts) -> int:
    if not parts.recipe.supervised.epochs:
        return 0  # nothing else learns from the beams
    before = parts.requests
    tasks, settings = parts.tasks("train"), parts.recipe.beam
    searched = range(min(settings.queries, len(tasks.queries)))
    found = beam_search(tasks, searched, settings, parts.ask, progress=parts.progress)
    write_beams(parts.run.beam, found, tasks)
    return parts.requests - before


_FUNCTIONS: Mapping[str, Callable[[Parts], int]] = {
    "data": _data,
    "embed": _embed,
    "pools": _pools,
    "beam": _beam,
    "train": train,
    "rank": rank,
    "evaluate": evaluate,
    "report": report,
}
"""The function that does each stage of `shotsmith.runs.stages.STAGES`.

It returns the number of completions that the stage needs, however many of them an interrupted attempt already had.
"""

OTHER_STAGES: Table[Mapping[str, Callable[[Parts], Mapping[str, str]]]] = Table("shotsmith.stages", Mapping)
"""The same stages of experiments that ask no VLM: `imported` where the recipe has `rollouts.imported`.

Each stage returns what it left out, and why.
"""


def run(recipe: Recipe, run: Run, progress: Progress, until: str | None = None) -> None:
    """Do every stage that is not done yet, in order, up to and including `until`.

    Raises InputError for an unknown stage, and whatever a stage raises; what was done before stays done.
    """
    if until is not None and until not in STAGE_NAMES:
        raise InputError(f"no stage is called '{until}'; the stages are {', '.join(STAGE_NAMES)}")
    last = STAGE_NAMES.index(until) + 1 if until is not None else len(STAGE_NAMES)
    with NotedProgress(run.progress_file, progress) as noted, Parts(recipe, run, noted) as parts:
        for name in STAGE_NAMES[:last]:
            if not run.is_done(name):
                noted.stage(name, lambda: parts.requests)
                _do(parts, name)


def stage(run: Run, name: str, progress: Progress, *, recipe: Recipe | None = None) -> None:
    """Do one stage again, with a recipe that may differ from the run's in what this stage alone reads.

    Raises InputError where an earlier stage is not done yet.
    """
    if name not in STAGE_NAMES:
        raise InputError(f"no stage is called '{name}'; the stages are {', '.join(STAGE_NAMES)}")
    missing = [earlier for earlier in STAGE_NAMES[: STAGE_NAMES.index(name)] if not run.is_done(earlier)]
    if missing:
        raise InputError(f"'{name}' needs '{missing[0]}' first: shotsmith run {run.recipe_file}", file=run.folder)
    with NotedProgress(run.progress_file, progress) as noted, Parts(recipe or run.recipe, run, noted) as parts:
        noted.stage(name, lambda: parts.requests)
        _do(parts, name)


def _do(parts: Parts, name: str) -> None:
    started = time.perf_counter()
    if name in STAGE_NAMES[STAGE_NAMES.index("train") + 1 :]:
        restore_metrics(parts.run)
    if parts.recipe.rollouts.imported is not None:
        if "imported" not in OTHER_STAGES:
            raise InputError("nothing that reads imported rollouts is installed", field="rollouts.imported")
        with PeakMemory(parts.run.memory_file, name) as peak:
            left_out = OTHER_STAGES["imported"][name](parts)
        parts.run.record(name, time.perf_counter() - started, 0, 0, left_out=left_out, peak_memory=peak.bytes)
        return
    before, shortened = parts.work(), parts.shortened()
    with parts.explaining(), PeakMemory(parts.run.memory_file, name) as peak:
        requests = _FUNCTIONS[name](parts)
    parts.sync()
    seconds = time.perf_counter() - started
    calls = sum(parts.calls(origin) for origin in ORIGINS.get(name, ()))
    budget = {kind: count - shortened[kind] for kind, count in parts.shortened().items()}
    if any(budget.values()):
        logger.info(
            "%s: of %d demonstrations the budget of a prompt left out %d, and had %d shown without their images",
            *(name, budget["demonstrations"], budget["left_out"], budget["without_image"]),
        )
    more: dict[str, Mapping[str, object] | int] = {"work": parts.work().since(before), "peak_memory": peak.bytes}
    if any(budget.values()):
        more["budget"] = budget
    parts.run.record(name, seconds, calls, requests - calls, **more)
