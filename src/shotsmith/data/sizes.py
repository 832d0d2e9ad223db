"""Whether the data are as large as a recipe asks for.

A default that is too large means as much as there is, which is logged. A size that the recipe sets itself and that
cannot be had is an error. All such errors are told at once.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from shotsmith.data.barring import Barred
from shotsmith.data.splits import Splits
from shotsmith.errors import DataError
from shotsmith.recipe import Recipe, Settings

logger = logging.getLogger(__name__)


def check_sizes(recipe: Recipe, splits: Splits, barred: Collection[Barred]) -> None:
    """Compare every size in the recipe with the splits, and with what the bank has left for its queries.

    `barred` holds what must not be shown to the queries of each split. Raises DataError naming every setting that asks
    for more than there is, and every split without examples; logs the defaults that do.
    """
    found = _Comparison()
    queries = {}
    for split, examples in splits.named().items():
        there = f"the {split} split has {len(examples)} examples"
        queries[split] = found.compare(recipe.data, f"{split}_queries", "data", len(examples), there)
    if recipe.supervised.epochs:
        there = f"there are {queries['train']} training queries"
        found.compare(recipe.beam, "queries", "beam", queries["train"], there)
    left = fewest_left(splits, barred)
    there = f"the bank has {len(splits.bank)} entries, of which {left} may be shown to every query of all splits"
    if recipe.pools is not None:
        found.compare(recipe.pools, "size", "pools", left, there)
    for name, longest in _longest(recipe).items():
        if longest > left:
            found.faults.append(f"{name}: {longest} demonstrations are wanted, but {there}")
    found.tell()


def fewest_left(splits: Splits, barred: Collection[Barred]) -> int:
    """How many entries of the bank may be shown to the query from which most are barred."""
    most = max((len(rows) for part in barred for rows in part.rows), default=0)
    return len(splits.bank) - most


def _longest(recipe: Recipe) -> dict[str, int]:
    """The longest sequence that each setting asks for."""
    return {
        "beam.shots": recipe.beam.shots if recipe.supervised.epochs else 0,
        "rollouts.shots": max(recipe.rollouts.shots),
        "grpo.shots": max(recipe.grpo.shots) if recipe.grpo.epochs else 0,
        "evaluation.shots": max(recipe.evaluation.shots),
    }


class _Comparison:
    """Collects what is wanted and cannot be had."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.cut: list[str] = []

    def compare(self, section: Settings, field: str, place: str, available: int, there: str) -> int:
        """Compare a size with what is there. Returns the size that holds: at most what is available."""
        wanted: int = getattr(section, field)
        told = f"{place}.{field}: {wanted} are wanted, but {there}"
        if not available or (wanted > available and section.is_set(field)):
            self.faults.append(told)
        elif wanted > available:
            self.cut.append(f"{place}.{field}: all {available} instead of {wanted}, as {there}")
        return min(wanted, available)

    def tell(self) -> None:
        """Raise DataError with all faults, or log the defaults that were cut, in one line."""
        if self.faults:
            raise DataError("; ".join(self.faults))
        if self.cut:
            logger.info("less data than the defaults ask for; %s", "; ".join(self.cut))
