"""The report stage: everything measured, as Markdown and as one page."""

from __future__ import annotations

from shotsmith.evaluation.results import Result, read_results
from shotsmith.evaluation.summary import best_training_free
from shotsmith.experiment.parts import Parts
from shotsmith.files import read_json
from shotsmith.records import Sequence
from shotsmith.reports.data import ReportData
from shotsmith.reports.gallery import gallery
from shotsmith.reports.pointing import pointing
from shotsmith.reports.write import write_report
from shotsmith.runs import PHASES, show
from shotsmith.selectors.protocol import Tasks


def report(parts: Parts) -> int:
    """Write report.md and report.html from what is in the run folder."""
    run = parts.run
    test = parts.tasks("test")
    results = read_results(run.results)
    trained = next((phase for phase in reversed(PHASES) if any(r.selector == phase for r in results)), "grpo")
    shown = show(run)
    before = best_training_free(shown["test"]) or "zero_shot"
    shown_queries = gallery(results, test.queries, test.index, before=before, after=trained)
    sequences = _sequences(test, results, trained, shown_queries.shots if shown_queries else None)
    data = ReportData(
        shown=shown,
        gallery=shown_queries,
        pointing=pointing(test, sequences) if sequences else (),
        environment=read_json(run.environment_file),
        failures=sum(result.failure is not None for result in results),
    )
    write_report(run, data)
    return 0


def _sequences(tasks: Tasks, results: list[Result], selector: str, shots: int | None) -> list[Sequence]:
    """What the selector chose for every query (lowest seed), as positions in the pools."""
    chosen: dict[int, Result] = {}
    for result in sorted(results, key=lambda r: r.seed or 0):
        if result.selector == selector and result.shots == shots:
            chosen.setdefault(result.query_id, result)
    if not chosen:
        return []
    sequences = []
    for query, pool in zip(tasks.queries, tasks.pools.tolist(), strict=True):
        positions = {tasks.index[row].id: position for position, row in enumerate(pool)}
        sequences.append(tuple(positions[number] for number in chosen[query.id].sequence))
    return sequences
