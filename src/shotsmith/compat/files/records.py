"""What Lever-Plus's files become: records of ours. `None` is what a file does not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from shotsmith.embeddings.embedded import Floats
from shotsmith.records import Example

Indices = tuple[int, ...]
"""Rows of the train split sorted by question id: Lever-Plus's "idx"."""

LeftOut = Literal["failed", "fallback", "repeated", "outside_pool", "out_of_range"]
"""Why nothing is learned from a row: the VLM call failed; it was not scored by the VQA metric; a demonstration stands
twice; one is not in the query's pool; one has no embedding."""


@dataclass(frozen=True, slots=True)
class ImportedQuery:
    """A training query and its pool."""

    query: int
    question_id: int | None = None
    image_id: int | None = None
    question: str | None = None
    answers: tuple[str, ...] = ()
    pool: Indices | None = None
    """Candidates in their order; None where the file has none."""


@dataclass(frozen=True, slots=True)
class ImportedRollout:
    """A sequence that the VLM answered with, and what was stored of it."""

    query: int
    number: int
    """Place in the query's list."""
    sequence: Indices
    """Demonstrations in the order shown."""
    method: str | None = None
    """How it was found: beam, sampled, random, retrieved."""
    correct: float | None = None
    """h: 1 for a right answer, else 0."""
    vqa_accuracy: float | None = None
    """s, 0 to 1."""
    gt_prob: float | None = None
    """p, 0 to 1."""
    relevance: float | None = None
    """r, 0 to 1: the larger of the next two."""
    token_f1: float | None = None
    edit_similarity: float | None = None
    log_prob: float | None = None
    """As stored; under which policy and temperature is not known."""
    temperature: float | None = None
    beam_rank: int | None = None
    beam_score: float | None = None
    text: str | None = None
    """What the VLM generated."""
    prediction: str | None = None
    """The answer cut out of it."""
    eval_mode: str | None = None
    split: str | None = None
    left_out: LeftOut | None = None


@dataclass(frozen=True, slots=True)
class ImportedBeam:
    """A sequence that beam search found."""

    query: int
    sequence: Indices
    """Demonstrations in the order shown."""
    score: float
    left_out: LeftOut | None = None
    found_at: int | None = None
    """Its place in the search's own list, where the file holds that list too: filters sort the other one anew."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A line of a metrics file."""

    entry: str
    shots: int
    value: float
    """As stored: 0 to 1 for an accuracy."""
    queries: int | None
    """Test queries, where the entry's name says how many."""


Role = Literal["query", "candidate", "image", "text"]
_FEATURES: tuple[Role, ...] = ("image", "text")


@dataclass(frozen=True, slots=True)
class Imported:
    """All that some files hold together."""

    examples: tuple[Example, ...] = ()
    """The train split by idx."""
    queries: tuple[ImportedQuery, ...] = ()
    """By idx."""
    rollouts: tuple[ImportedRollout, ...] = ()
    beams: tuple[ImportedBeam, ...] = ()
    embeddings: Mapping[Role, Floats] = field(default_factory=dict)
    """[N, d] each, row = idx."""
    accuracies: tuple[Accuracy, ...] = ()
    epochs: tuple[Mapping[str, object], ...] = ()
    """Rows of training logs, with the log's name as 'log'."""

    @property
    def rows(self) -> int | None:
        """How many examples can be pointed at; None where no file says it."""
        counts = [*(len(array) for array in self.embeddings.values()), *([len(self.examples)] if self.examples else [])]
        return min(counts, default=None)

    def embedded(self, role: Literal["query", "candidate"]) -> Floats | None:
        """[N, D], what a policy sees of queries or candidates; None where there are no embeddings.

        One of the two stands for both: Lever-Plus's files are identical. Without either, image and text
        features stand side by side, as far as they are there.
        """
        other: Role = "candidate" if role == "query" else "query"
        for name in (role, other):
            if name in self.embeddings:
                return self.embeddings[name]
        parts = [self.embeddings[name] for name in _FEATURES if name in self.embeddings]
        return np.concatenate(parts, axis=1) if parts else None
