"""Whether a figure rises or falls over epochs: the slope of a straight line with its confidence interval."""

from __future__ import annotations

from dataclasses import dataclass

from scipy import stats

from shotsmith.diagnosis.evidence import Curve

FEWEST = 4
"""Epochs a line is fitted to at least: with fewer, the interval of its slope says next to nothing."""
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Slope:
    """Change per epoch, and its interval (t, residuals taken as independent: neighbouring epochs make it narrow)."""

    slope: float
    low: float
    high: float


def slope(curve: Curve) -> Slope | None:
    """The least-squares slope (scipy.stats.linregress); None where there are too few epochs."""
    if len(curve) < FEWEST:
        return None
    fitted = stats.linregress(curve.epochs, curve.values)
    margin = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(curve) - 2)) * float(fitted.stderr)
    return Slope(float(fitted.slope), float(fitted.slope) - margin, float(fitted.slope) + margin)
