"""Detect changes between two runs that had no effect: a dead setting, or a missing signal that stayed the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding, Value
from shotsmith.diagnosis.signal import LOW_SPREAD
from shotsmith.files import Row
from shotsmith.runs import EPOCH_KEYS, PHASES

OUTSIDE_TRAINING = (
    *("name", "seeds", "store", "evaluation.", "data.test_queries"),
    *("vlm.device", "vlm.batch_tokens", "vlm.vision_cache"),
)
"""Settings that need not change the values of an epoch: names, additional seeds, and what acts after training."""
STOPPING = (".epochs", ".patience", ".best_by")
"""Settings that decide the number of epochs or the best epoch; the epochs of both runs may be equal."""
MIN_ROWS = 2
"""The fewest epoch rows that must agree."""
SAME_SPREAD = 0.1
"""Relative difference up to which the advantage spreads of two runs count as equal."""


def setting_without_effect(evidence: Evidence) -> Iterator[Finding]:
    """A setting differs between two runs, and its phase and all later phases have equal values in both."""
    other = evidence.against
    if other is None:
        return
    for key in evidence.settings.keys() & other.settings.keys():
        here, there = evidence.settings[key], other.settings[key]
        if here == there or key.startswith(OUTSIDE_TRAINING) or key.endswith(STOPPING):
            continue
        pairs = _paired_rows(evidence, other, key)
        if len(pairs) >= MIN_ROWS and all(_are_equal(*pair) for pair in pairs):
            values: dict[str, Value] = {
                "setting": key,
                "here": str(here),
                "there": str(there),
                "other": other.name,
                "rows": len(pairs),
            }
            yield Finding("setting_without_effect", "fault", values)


def signal_unmoved(evidence: Evidence) -> Finding | None:
    """Two runs have the same small advantage spread, although their learning rates differ (where these are known)."""
    other = evidence.against
    if other is None:
        return None
    spreads = evidence.curve("adv_std"), other.curve("adv_std")
    if not all(spreads) or max(spread.mean for spread in spreads) >= LOW_SPREAD:
        return None
    here, there = (spread.mean for spread in spreads)
    if abs(here - there) > SAME_SPREAD * max(here, there):
        return None
    rates = [run.number("grpo.learning_rate") for run in (evidence, other)]
    values: dict[str, Value] = {"adv_std": here, "other_adv_std": there, "other": other.name}
    if rates[0] is None or rates[1] is None:
        return Finding("signal_unmoved", "fault", values)
    if rates[0] == rates[1]:
        return None
    return Finding("signal_unmoved_by_rate", "fault", values | {"rate": rates[0], "other_rate": rates[1]})


def _paired_rows(evidence: Evidence, other: Evidence, key: str) -> list[tuple[Row, Row]]:
    """Pair the epoch rows that both runs have, in the phases that a setting can affect."""
    section = key.split(".")[0]
    phases = PHASES[PHASES.index(section) :] if section in PHASES else PHASES
    rows = {tuple(row[name] for name in EPOCH_KEYS): row for row in other.epochs if row["phase"] in phases}
    places = ((tuple(row[name] for name in EPOCH_KEYS), row) for row in evidence.epochs)
    return [(row, rows[place]) for place, row in places if place in rows]


def _are_equal(a: Mapping[str, object], b: Mapping[str, object]) -> bool:
    """Whether all values measured in both rows are equal, times and VLM costs apart; False where there are none."""
    names = {name for name in a.keys() & b.keys() if not name.startswith(("time/", "vlm/")) and name not in EPOCH_KEYS}
    both = [name for name in names if a[name] is not None and b[name] is not None and name != "learning_rate"]
    return bool(both) and all(a[name] == b[name] for name in both)
