"""What a reward may look at. Whatever is missing or no number is an error that names the example, never a 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shotsmith.errors import ShotsmithError
from shotsmith.metrics.cider import CiderScorer
from shotsmith.records import Completion, Example

_ROUNDING = 1e-3  # a certain answer's log-probability may come out this far above 0


@dataclass(frozen=True, slots=True)
class Answered:
    """A query with what the VLM returned for it after some demonstrations."""

    query: Example
    completion: Completion
    demonstrations: int = 0
    """How many were shown."""
    zero_shot: float | None = None
    """Log-probability (nats) of `query.answer` with no demonstrations; only where `needs_zero_shot` says so."""
    captions: CiderScorer | None = None
    """Knows the reference captions of the query's split; only where `needs_captions` says so."""

    @property
    def text(self) -> str:
        """The generated answer. Raises ShotsmithError where none was asked for."""
        if self.completion.text is None:
            raise self.lacks("a generated answer, but none was asked for")
        return self.completion.text

    def log_prob(self, answer: str) -> float:
        """Log-probability of an answer, in nats. Raises ShotsmithError where it is missing, not finite or above 0."""
        return self._checked(self.completion.log_probs.get(answer), f"the log-probability of '{answer}'")

    def zero_shot_log_prob(self) -> float:
        """The same for the most common true answer with no demonstrations."""
        what = f"the log-probability of '{self.query.answer}' with no demonstrations"
        return self._checked(self.zero_shot, what)

    def caption_scorer(self) -> CiderScorer:
        """The scorer of captions. Raises ShotsmithError where there is none."""
        if self.captions is None:
            raise self.lacks("the reference captions of its split")
        return self.captions

    def _checked(self, log_prob: float | None, what: str) -> float:
        if log_prob is None:
            raise self.lacks(what)
        if not math.isfinite(log_prob) or log_prob > _ROUNDING:
            raise self.lacks(f"{what}, but got {log_prob}")
        return min(log_prob, 0.0)

    def lacks(self, what: str) -> ShotsmithError:
        """The error that says what the reward needs and this query lacks."""
        return ShotsmithError(f"example {self.query.id}: the reward needs {what}")
