"""Evidence from a run's folder or from a training log: no VLM, no policy and no image is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safetensors.numpy import load_file

from shotsmith.completions.uniform import sole_text_of
from shotsmith.data.load import load_splits
from shotsmith.data.splits import choose_queries
from shotsmith.diagnosis.evidence import Evidence
from shotsmith.errors import DataError, InputError
from shotsmith.evaluation.contrasts import contrast_of
from shotsmith.evaluation.results import read_results
from shotsmith.plugins import Table
from shotsmith.runs import PHASES, Run, show
from shotsmith.runs.folder import flat

LOGS: Table[Callable[[Path, Evidence | None], Evidence]] = Table("shotsmith.logs")
"""Readers of training logs, by the name of what wrote them; each raises InputError for a file that it cannot read."""


def evidence_of(path: Path, against: Path | None = None) -> Evidence:
    """Of a run's folder or of a training log; `against` is another of either kind. Raises InputError."""
    other = None if against is None else evidence_of(against)
    return evidence_of_run(Run.open(path), other) if path.is_dir() else _evidence_of_log(path, other)


def _evidence_of_log(path: Path, against: Evidence | None) -> Evidence:
    """What the first reader finds that can read the file."""
    problem = InputError("is no folder of a run, and nothing that reads training logs is installed", file=path)
    for reader in LOGS.values():
        try:
            return reader(path, against)
        except InputError as error:
            problem = error
    raise problem


def evidence_of_run(run: Run, against: Evidence | None = None) -> Evidence:
    """What the folder holds so far. Raises InputError or DataError where something in it is damaged."""
    results = tuple(read_results(run.results)) if run.results.exists() else ()
    shown = show(run)
    trained = next((name for name in reversed(PHASES) if any(row["selector"] == name for row in shown["test"])), None)
    best = (shown["best_free"] or {}).get("selector")
    return Evidence(
        name=run.folder.resolve().name,
        epochs=tuple(shown["epochs"]),
        settings=flat(shown["recipe"]),
        results=results,
        pools=_pools(run) if results and run.pools("test").exists() else {},
        best_free=best,
        sole_completion=None if results else sole_text_of(run),
        outcome=None if trained is None else contrast_of(shown["contrasts"], trained, best),
        evaluations=len(run.evaluations()),
        against=against,
    )


def _pools(run: Run) -> dict[int, tuple[int, ...]]:
    """Dataset ids of the candidates of each test query; none where every query chooses from the whole bank."""
    if run.recipe.pools is None:
        return {}
    data = run.recipe.data
    splits = load_splits(data, run.world, check=False, skipped=run.skipped, image_ids=run.image_ids)
    chosen = choose_queries(splits.test, data.test_queries, data.seed)
    pools = load_file(run.pools("test"))["pools"].tolist()
    if len(pools) != len(chosen):
        raise DataError(f"holds {len(pools)} pools for {len(chosen)} queries", file=run.pools("test"))
    return {
        splits.test[row].id: tuple(splits.bank[place].id for place in pool)
        for row, pool in zip(chosen, pools, strict=True)
    }
