"""Steps that were too large: figures that are no numbers, updates left out, gradients that jump."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding

SPIKE = 10.0
"""Times the median of its phase that the mean gradient norm of an unstable epoch reaches."""
FEWEST = 4
"""Epochs that make a median."""


def skipped_updates(evidence: Evidence) -> Iterator[Finding]:
    """Updates whose loss or gradient was not finite."""
    for phase in evidence.phases:
        rows = [row for row in evidence.epochs if row["phase"] == phase and row.get("skipped_updates")]
        if rows:
            skipped = sum(row["skipped_updates"] for row in rows)
            values = {"phase": phase, "skipped": int(skipped), "epoch": min(row["epoch"] for row in rows)}
            yield Finding("skipped_updates", "fault", values, _slower(evidence, phase))


def figures_not_finite(evidence: Evidence) -> Finding | None:
    """NaN or infinity in a log that let them through."""
    rows = [row for row in evidence.epochs if row.get("not_finite")]
    if not rows:
        return None
    values = {"count": sum(row["not_finite"] for row in rows), "epoch": min(row["epoch"] for row in rows)}
    return Finding("figures_not_finite", "fault", values, _slower(evidence, "grpo"))


def gradient_spikes(evidence: Evidence) -> Iterator[Finding]:
    """An epoch whose gradients were many times larger than those of its phase; the worst one of each phase."""
    for phase in evidence.phases:
        worst = None
        for seed in evidence.seeds:
            norms = evidence.curve("grad_norm", phase, seed)
            if len(norms) < FEWEST:
                continue
            usual, (epoch, highest) = median(norms.values), norms.highest
            if highest > SPIKE * usual and (worst is None or highest > worst["norm"]):
                worst = {"seed": seed, "epoch": epoch, "norm": highest, "median": usual}
        if worst:
            yield Finding("gradient_spikes", "warning", {"phase": phase, **worst}, _slower(evidence, phase))


def _slower(evidence: Evidence, phase: str) -> dict[str, object]:
    rate = evidence.number(f"{phase}.learning_rate")
    return {} if rate is None else {f"{phase}.learning_rate": rate / 2}
