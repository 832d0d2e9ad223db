"""What a page says of a run beside its progress: curves, findings, and what the evaluation came to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from shotsmith.checkpoints.ranking import rank
from shotsmith.diagnosis.diagnose import diagnose
from shotsmith.diagnosis.evidence import evidence_of_run
from shotsmith.evaluation.majority_vote import MAJORITY_VOTE
from shotsmith.files import Row
from shotsmith.recipe.evaluation import CONFIDENCE
from shotsmith.reports.diagnosed import PARTS
from shotsmith.reports.facts import Facts, facts
from shotsmith.reports.language import Language
from shotsmith.reports.overview import headline
from shotsmith.runs import PHASES, Run, show
from shotsmith.runs.showing import columns
from shotsmith.selectors.named import AT_BANK

CURVES = ("val_reward", "reward", "train_loss", "ppo_loss", "val_loss", "kl", "entropy", "frac_reward_zero_std")
"""The figures of an epoch that are drawn."""


def curves(run: Run, epochs: Sequence[Row]) -> dict[str, Any]:
    """Figures by epoch, the planned epochs of each phase, and the best epoch of each seed and phase so far."""
    rows = [columns(row) for row in epochs]
    kept = ("seed", "phase", "epoch", *CURVES)
    best = [
        found
        for seed in dict.fromkeys(row["seed"] for row in rows)
        for phase in PHASES
        if (found := rank((row for row in rows if (row["seed"], row["phase"]) == (seed, phase)), "val_reward", 1))
    ]
    return {
        "planned": {phase: getattr(run.recipe, phase).epochs for phase in PHASES},
        "rows": [{key: _finite(row[key]) for key in kept} for row in rows],
        "best": [{key: row[key] for key in ("seed", "phase", "epoch", "val_reward")} for (row,) in best],
    }


def findings(run: Run, language: Language) -> list[dict[str, Any]]:
    """What the diagnosis finds so far, most severe first."""
    return [
        {"key": one.key, "severity": one.severity, "overrides": one.overrides}
        | {part: language.say(f"finding.{one.key}.{part}", **one.values) for part in PARTS}
        for one in diagnose(evidence_of_run(run))
    ]


def outcome(run: Run, language: Language) -> dict[str, Any]:
    """The verdict, and the accuracy of every selector on the test queries."""
    found = facts(show(run))
    language = language.measured_by(found.metric)
    return {
        "verdict": headline(found, language),
        "metric": found.metric and language.name(found.metric),
        "shots": list(found.shots),
        "confidence": CONFIDENCE,
        "report": str(run.report_html) if run.report_html.exists() else None,
        "selectors": [
            {
                "name": name,
                "title": language.name(name),
                "kind": _kind(name, found),
                "cells": [cells.get(shots) and _cell(cells[shots]) for shots in found.shots],
            }
            for name, cells in found.test.items()
        ],
    }


def _cell(row: Any) -> dict[str, float]:
    return {key: row[key] for key in ("accuracy", "low", "high")}


def _kind(name: str, found: Facts) -> str:
    """How a selector is shown: the policy that counts, the best free selector, another policy, a bound, or free."""
    if name == found.trained:
        return "trained"
    if name == found.best_free:
        return "best_free"
    if name.removesuffix(AT_BANK).removesuffix("_reversed") in PHASES:
        return "policy"
    return "bound" if name in ("oracle", "beam") else "vote" if name == MAJORITY_VOTE else "free"


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
