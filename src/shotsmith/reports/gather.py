"""Reads everything a report speaks of from the run folder alone: no encoder, no VLM, no policy is loaded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from collections.abc import Sequence as Many
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from shotsmith.data.load import load_splits
from shotsmith.data.splits import Splits, choose_queries
from shotsmith.diagnosis.diagnose import diagnose
from shotsmith.diagnosis.evidence import Evidence, evidence_of
from shotsmith.embeddings.embedded import Embedded
from shotsmith.errors import DataError, InputError
from shotsmith.evaluation.compare import Comparison, compare
from shotsmith.evaluation.results import Result
from shotsmith.files import Row, read_json
from shotsmith.recipe.data import SOURCES
from shotsmith.recipe.evaluation import CONFIDENCE
from shotsmith.reports.against import run_names
from shotsmith.reports.data import Against, Pointing, ReportData, Shortened
from shotsmith.reports.facts import facts
from shotsmith.reports.gallery import gallery
from shotsmith.reports.kinds import by_kind
from shotsmith.reports.pointing import Chosen, pointing
from shotsmith.reports.shown_most import shown_most
from shotsmith.runs import PHASES, Run, show

logger = logging.getLogger(__name__)

Shown = Mapping[str, Any]


def gather(source: Path, against: Path | None = None) -> ReportData:
    """The data of a run's folder or of a training log; `against` is another of either kind.

    Raises InputError where there is neither, DataError where something in it is damaged.
    """
    evidence = evidence_of(source, against)
    data = replace(_data(source, evidence), findings=tuple(diagnose(evidence)))
    if against is None or evidence.against is None:
        return data
    other = _shown(against, evidence.against)
    names = run_names(facts(data.shown), facts(other))
    return replace(data, against=Against(other, _comparison(names, (data.shown, other), evidence)))


def _data(source: Path, evidence: Evidence) -> ReportData:
    shown = _shown(source, evidence)
    if not source.is_dir():
        return ReportData(shown)
    run, results = Run.open(source), evidence.results
    data = ReportData(
        shown=shown,
        environment=read_json(run.environment_file) if run.environment_file.exists() else None,
        failures=sum(result.failure is not None for result in results),
        shortened=_shortened(results),
    )
    return _answered(data, run, results) if results else data


def _shortened(results: Many[Result]) -> Shortened | None:
    """What the budget of a prompt did to the evaluation's demonstrations; None where it did nothing."""
    counts = [sum(getattr(result, name) for result in results) for name in ("left_out", "without_image")]
    return Shortened(sum(len(result.sequence) for result in results), *counts) if any(counts) else None


def _shown(source: Path, evidence: Evidence) -> Row:
    """What `show` says of a run; of a log the same form, with the settings that are known of it."""
    if source.is_dir():
        return show(Run.open(source))
    nothing: Row = {name: [] for name in ("stages", "test", "contrasts", "evaluations")}
    known = {"run": str(source), "recipe": {}, "settings": evidence.settings, "epochs": list(evidence.epochs)}
    return nothing | known


def _comparison(names: tuple[str, str], shown: tuple[Shown, Shown], evidence: Evidence) -> Comparison | None:
    """This run minus the other; None where they have no answers to the same questions.

    Compared are the trained phases that both have; where they share none, the last of each.
    """
    other = evidence.against
    if other is None or evidence.trained is None or other.trained is None:
        return None
    if any(shown[0]["recipe"]["data"].get(kind) != shown[1]["recipe"]["data"].get(kind) for kind in SOURCES):
        return None
    there = [{result.selector for result in results} for results in (evidence.results, other.results)]
    shared = [phase for phase in PHASES if all(phase in selectors for selectors in there)]
    try:
        runs = {names[1]: other.results, names[0]: evidence.results}
        return compare(runs, selectors=shared or None, shared=True)
    except InputError as error:
        logger.warning("the two cannot be compared: %s", error)
        return None


def _answered(data: ReportData, run: Run, results: Many[Result]) -> ReportData:
    """The data with what follows from the answers: kinds of question, the gallery, and what the policy showed.

    What the policy showed is that at the gallery's number of shots.
    """
    settings = run.recipe.data
    splits = load_splits(settings, run.world, skipped=run.skipped, image_ids=run.image_ids)
    rows = choose_queries(splits.test, settings.test_queries, settings.seed)
    queries = [splits.test[row] for row in rows]
    _check_shown(run, splits, results)
    trained = next((phase for phase in reversed(PHASES) if any(r.selector == phase for r in results)), "grpo")
    free = facts(data.shown).best_free or "zero_shot"
    data = replace(data, kinds=by_kind(results, free, trained, CONFIDENCE))
    found = gallery(results, queries, splits.bank, before=free, after=trained)
    if found is None:
        return data
    chosen = _first_choices(results, trained, found.shots)
    return replace(
        data,
        gallery=found,
        pointing=_pointing(run, splits, rows, [chosen.get(query.id, ()) for query in queries]),
        shown_most=shown_most(chosen.values(), splits.bank, trained, found.shots),
    )


def _check_shown(run: Run, splits: Splits, results: Many[Result]) -> None:
    """Raise DataError where results show demonstrations that the data do not hold (any more)."""
    there = {example.id for example in splits.bank}
    for result in results:
        if strangers := set(result.sequence) - there:
            problem = f"shows example {min(strangers)}, which is not in the bank"
            if run.image_ids == "place":
                problem += "; this run was made when image ids followed from the place of the files: move them back"
            raise DataError(problem, file=run.results, row=result.query_id, field="sequence")


def _first_choices(results: Many[Result], selector: str, shots: int) -> dict[int, tuple[int, ...]]:
    """What the selector chose for each query (of several seeds the lowest), as dataset ids."""
    chosen: dict[int, tuple[int, ...]] = {}
    for result in sorted(results, key=lambda r: r.seed or 0):
        if result.selector == selector and result.shots == shots:
            chosen.setdefault(result.query_id, result.sequence)
    return chosen


def _pointing(run: Run, splits: Splits, rows: Many[int], chosen: Many[tuple[int, ...]]) -> tuple[Pointing, ...]:
    """Nothing where embeddings are not in the folder, or what a recipe's pools are.

    Without pools every query is shown the bank; the ranks are among the most similar entries of it.
    """
    bank_file = run.embeddings("train" if splits.own_bank is None else "bank")
    files = [run.embeddings("test"), bank_file, *([run.pools("test")] if run.recipe.pools else [])]
    if not all(file.exists() for file in files):
        return ()
    test, bank, *pools = (load_file(file) for file in files)
    row_of = {example.id: row for row, example in enumerate(splits.bank)}
    return pointing(
        Chosen(
            queries=Embedded(test["images"], test["questions"]).rows(np.asarray(rows, dtype=np.int64)),
            index=Embedded(bank["images"], bank["questions"]),
            pools=pools[0]["pools"] if pools else None,
            rows=[[row_of[number] for number in sequence] for sequence in chosen],
        )
    )
