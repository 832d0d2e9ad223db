"""What a report is made of. Nothing here is a sentence: those are in `language/`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from shotsmith.diagnosis.finding import Finding
from shotsmith.evaluation.compare import Comparison

Change = Literal["fixed", "broken", "unchanged"]
CHANGES: tuple[Change, ...] = ("fixed", "broken", "unchanged")


@dataclass(frozen=True, slots=True)
class Demonstration:
    """An example as the prompt showed it."""

    images: tuple[Path, ...]
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One selector's try at a query: what was shown, in order, and what the VLM answered."""

    selector: str
    demonstrations: tuple[Demonstration, ...]
    text: str
    accuracy: float
    """VQA accuracy of `text`, 0 to 1."""


@dataclass(frozen=True, slots=True)
class GalleryRow:
    """A test query, answered before and after training."""

    query_id: int
    images: tuple[Path, ...]
    question: str
    question_type: str
    answers: tuple[str, ...]
    """All human answers (10 for VQA)."""
    answer: str
    """The most common of them."""
    before: Attempt
    """By the best selector that needs no training."""
    after: Attempt
    """By the trained policy."""
    zero_shot: Attempt | None = None
    """Without any demonstration."""

    @property
    def change(self) -> Change:
        """Fixed where the accuracy rose, broken where it fell."""
        if self.after.accuracy == self.before.accuracy:
            return "unchanged"
        return "fixed" if self.after.accuracy > self.before.accuracy else "broken"


@dataclass(frozen=True, slots=True)
class Gallery:
    """Some test queries, and how many there are of each kind."""

    rows: tuple[GalleryRow, ...]
    shots: int
    """Number of demonstrations in the prompts."""
    counts: Mapping[Change, int]
    """Of all test queries with that number of demonstrations, not only of those in `rows`."""


@dataclass(frozen=True, slots=True)
class Pointing:
    """Where in the pool or the bank a policy points, the candidates ranked by similarity to the query."""

    measure: Literal["image_similarity", "text_similarity"]
    counts: tuple[int, ...]
    """counts[r]: demonstrations chosen that rank r-th in their pool (0: the most similar), or in the r-th of equal
    parts of the ranks among a whole bank."""
    candidates: int = 0
    """How many were ranked; 0: as many as there are counts."""

    @property
    def per_count(self) -> float:
        """Ranks behind each count."""
        return (self.candidates or len(self.counts)) / len(self.counts)


@dataclass(frozen=True, slots=True)
class Kind:
    """Accuracy on one kind of question, mean over the numbers of shots, as it is reported."""

    name: str
    n: int
    """Queries of this kind."""
    free: float
    """Of the best free selector."""
    trained: float
    """Of the trained policy."""
    oracle: float | None
    """None where it was not asked."""
    difference: float
    """Trained minus free in points; above 0 where the policy is better, also in a metric where lower is better."""
    low: float | None
    high: float | None
    """The interval of the difference; None for a single query."""


@dataclass(frozen=True, slots=True)
class ShownMost:
    """The entries of the bank that a policy shows most often."""

    selector: str
    shots: int
    entries: tuple[tuple[Demonstration, int], ...]
    """With the number of queries that each was shown to, the most frequent first."""
    distinct: int
    """Different entries that were shown at all."""
    bank: int
    """Entries of the bank."""
    queries: int


@dataclass(frozen=True, slots=True)
class Against:
    """Another run, and what the answers of both say of their difference."""

    shown: Mapping[str, Any]
    """What `shotsmith.runs.show` returns of it."""
    comparison: Comparison | None = None
    """On the test queries of both; None where one of them has no answers."""


@dataclass(frozen=True, slots=True)
class Shortened:
    """What the budget of a prompt did to the demonstrations that selectors chose on test queries."""

    demonstrations: int
    left_out: int
    without_image: int


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything a report says is computed from this."""

    shown: Mapping[str, Any]
    """What `shotsmith.runs.show` returns; of a training log, the same form with an empty recipe."""
    gallery: Gallery | None = None
    """None before the evaluation."""
    pointing: tuple[Pointing, ...] = ()
    kinds: tuple[Kind, ...] = ()
    """Empty where the data tell no kinds of question apart, or nothing was compared."""
    shown_most: ShownMost | None = None
    """None before the evaluation."""
    environment: Mapping[str, Any] | None = None
    """What `environment.json` holds."""
    failures: int = 0
    """Completions that failed after all retries."""
    shortened: Shortened | None = None
    """What the budget of a prompt did; None where it did nothing."""
    notes: tuple[str, ...] = ()
    """Anything else the reader should know, as sentences."""
    findings: tuple[Finding, ...] | None = None
    """What the diagnosis found; None where it was not asked."""
    against: Against | None = None
    """Another run to compare with."""
