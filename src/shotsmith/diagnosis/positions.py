"""A policy that prefers places of the pool to what stands there."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding, Value

SURE = 0.001
"""p of the chi-square test below which places are not chosen evenly."""
LARGE = 0.3
"""Cohen's w, sqrt(chi2 / n), from which on the effect is of medium size: with many queries a tiny one is sure, too."""
EXPECTED = 5
"""Choices a place must expect for the chi-square test to hold."""


def position_bias(evidence: Evidence) -> Finding | None:
    """Places of random pools should be chosen evenly; of one seed and one number of shots, so that choices are new.

    Where every query chooses from the whole bank there are no places to prefer.
    """
    if evidence.trained is None or not evidence.pools or evidence.setting("pools.sampler") not in (None, "random"):
        return None
    counts = _counts(evidence, evidence.trained)
    if len(counts) < 2 or counts.sum() < EXPECTED * len(counts):
        return None
    test = stats.chisquare(counts)
    if test.pvalue >= SURE or math.sqrt(test.statistic / counts.sum()) < LARGE:
        return None
    place = int(counts.argmax())
    values: dict[str, Value] = {"selector": evidence.trained, "chi2": float(test.statistic), "degrees": len(counts) - 1}
    values |= {"p": float(test.pvalue), "place": place + 1, "share": 100 * float(counts[place] / counts.sum())}
    return Finding("position_bias", "warning", values | {"expected": 100 / len(counts), "choices": int(counts.sum())})


def _counts(evidence: Evidence, selector: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """How often each place of the pools was chosen at the greatest number of shots, by the first seed."""
    own = [result for result in evidence.results if result.selector == selector]
    seed = min((result.seed or 0 for result in own), default=0)
    shots = max((result.shots for result in own), default=0)
    counts = np.zeros(max(map(len, evidence.pools.values()), default=0), dtype=np.int64)
    for result in own:
        if (result.seed or 0, result.shots) != (seed, shots) or result.query_id not in evidence.pools:
            continue
        places = {number: place for place, number in enumerate(evidence.pools[result.query_id])}
        for number in result.sequence:
            if number in places:
                counts[places[number]] += 1
    return counts
