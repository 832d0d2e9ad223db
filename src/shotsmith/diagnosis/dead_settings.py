"""A setting that differs between two runs and changed nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding, Value
from shotsmith.files import Row
from shotsmith.runs import EPOCH_KEYS, PHASES

LATER = (
    *("name", "seeds", "store", "evaluation.", "data.test_queries"),
    *("vlm.device", "vlm.batch_tokens", "vlm.vision_cache"),
)
"""Settings that need not change the figures of an epoch: they name things, add seeds, or act after training."""
CUT_SHORT = (".epochs", ".patience", ".best_by")
"""How many epochs there are, or which goes on: the epochs both runs have may well be the same."""
FEWEST = 2
"""Rows that must agree."""


def setting_without_effect(evidence: Evidence) -> Iterator[Finding]:
    """A setting whose phase, and all that follow, have the very same figures in both runs."""
    other = evidence.against
    if other is None:
        return
    for key in evidence.settings.keys() & other.settings.keys():
        here, there = evidence.settings[key], other.settings[key]
        if here == there or key.startswith(LATER) or key.endswith(CUT_SHORT):
            continue
        shared = _shared(evidence, other, key)
        if len(shared) >= FEWEST and all(_same(*rows) for rows in shared):
            values: dict[str, Value] = {
                "setting": key,
                "here": str(here),
                "there": str(there),
                "other": other.name,
                "rows": len(shared),
            }
            yield Finding("setting_without_effect", "fault", values)


def _shared(evidence: Evidence, other: Evidence, key: str) -> list[tuple[Row, Row]]:
    """Rows that both have, of the phases that the setting comes before."""
    section = key.split(".")[0]
    phases = PHASES[PHASES.index(section) :] if section in PHASES else PHASES
    rows = {tuple(row[name] for name in EPOCH_KEYS): row for row in other.epochs if row["phase"] in phases}
    places = ((tuple(row[name] for name in EPOCH_KEYS), row) for row in evidence.epochs)
    return [(row, rows[place]) for place, row in places if place in rows]


def _same(a: Mapping[str, object], b: Mapping[str, object]) -> bool:
    """Whether all that both measured is equal, and there is something; times and prices aside."""
    names = {name for name in a.keys() & b.keys() if not name.startswith(("time/", "vlm/")) and name not in EPOCH_KEYS}
    measured = [name for name in names if a[name] is not None and b[name] is not None and name != "learning_rate"]
    return bool(measured) and all(a[name] == b[name] for name in measured)
