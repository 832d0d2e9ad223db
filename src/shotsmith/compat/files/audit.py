"""What is wrong in files of Lever-Plus, file by file, and what each fault means."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np

from shotsmith.compat.files.audit_sequences import Known, Spotted, beams, out_of_range, pools, rl_data, spotted
from shotsmith.compat.files.recognise import Source
from shotsmith.compat.files.records import Accuracy, Imported
from shotsmith.embeddings.embedded import Floats

MEANINGS: Mapping[str, str] = {
    "no_signal": "All rewards (vqa_correct + vqa_acc_score) of the group are equal: whatever the learning rate, its "
    "advantages are 0.",
    "no_signal_top_3": "The 3 best of the group are tied, and Lever-Plus trained its first epoch on them alone: "
    "advantages 0. Train on whole groups.",
    "no_signal_top_5": "The 5 best of the group are tied, and Lever-Plus trained on them alone from its second "
    "epoch on: advantages 0. Train on whole groups.",
    "no_answers": "No row of the group was answered and scored: nothing is learned from it.",
    "failed": "The VLM call failed, and the row was scored as a wrong answer. It stays a failure, without figures.",
    "fallback": "The row was not scored by the VQA metric, but by a substring match. Nothing is learned from it.",
    "outside_pool": "A demonstration is not among the query's candidates. Nothing is learned from the row.",
    "repeated_demonstrations": "A demonstration stands twice in a sequence. Nothing is learned from the row.",
    "repeated_sequences": "The same sequence stands twice in a group, and weighs twice.",
    "query_shown": "The query is shown among its own demonstrations: its answer is given away.",
    "query_in_pool": "The query is a candidate of its own pool.",
    "candidate_twice": "A candidate stands twice in a pool.",
    "pool_not_64": "The pool has not 64 candidates: the policy chose from more or fewer than it was built for.",
    "no_pool": "The file holds no pools (an old one). The pool is then what was used: the policy learns to choose "
    "from candidates that were all chosen.",
    "labels_modulo": "Labels look like idx % K: they point at candidates that were never shown. Where idx is there "
    "too, it is used instead.",
    "pointer_elsewhere": "The place in the pool holds another candidate than the idx beside it. The idx is used.",
    "out_of_range": "An index is not below the number of examples. Nothing is learned from such a row.",
    "another_question": "The question is not that of the row with this idx: the questions file is another one, or "
    "was sorted differently. Embeddings would be those of other examples.",
    "order_thrown_away": "Every sequence is in ascending order: it was stored as a set. Rewards belong to an order "
    "that is not known.",
    "scores_ascending": "The sign of 'best' was flipped: most lists of beams begin with the lowest score. Where they "
    "were sorted anew, the search's own list does, or no InfoScore is above 0, though the best of a pool help.",
    "rows_do_not_fit": "The number of rows is not that of the examples, or of the other embeddings: rows would be "
    "those of other examples.",
    "zero_embeddings": "The embedding is zero: the encoder saw nothing.",
    "within_noise": "The two accuracies differ by less than a 95 % interval allows: no finding. "
    "`shotsmith compare` tests on the same questions.",
}
"""Every fault, and what it means."""


def audit(sources: Sequence[Source], imported: Imported) -> list[dict[str, Any]]:
    """The faults of every file: 'file', 'format', 'finding', 'count', 'of', 'examples', 'means'."""
    known = Known(imported.examples, imported.rows, _largest(imported))
    return [
        {
            "file": str(source.file),
            "format": source.format,
            "finding": found.key,
            "count": found.count,
            "of": found.of,
            "examples": list(found.examples),
            "means": MEANINGS[found.key],
        }
        for source in sources
        for found in _spot(source, imported, known)
    ]


def _spot(source: Source, imported: Imported, known: Known) -> Iterator[Spotted]:
    content = cast("Any", source.content)
    if source.format == "rl":
        yield from rl_data(content, known)
    elif source.format == "beam":
        yield from beams(content, known, gains="infoscore" in source.file.name.lower())
    elif source.format == "candidates":
        yield from pools(content, known)
    elif source.format == "anchors":
        yield from out_of_range(((f"query {query.query}", (query.query,)) for query in content), known, len(content))
    elif source.format == "embeddings":
        yield from _embeddings(source.file, content, imported, known)
    elif source.format == "metrics":
        yield from _metrics(content)


def _embeddings(file: Path, values: Floats, imported: Imported, known: Known) -> Iterator[Spotted]:
    faults = []
    if known.examples and len(values) != len(known.examples):
        faults.append(f"{len(values)} rows for {len(known.examples)} examples")
    if len(values) <= known.largest:
        faults.append(f"{len(values)} rows, and idx {known.largest} is used")
    others = sorted({len(other) for other in imported.embeddings.values()} - {len(values)})
    faults += [f"{len(values)} rows, and {other} in another file" for other in others]
    yield from spotted("rows_do_not_fit", faults, len(faults))
    nothing = np.flatnonzero(~values.any(axis=1)).tolist()
    yield from spotted("zero_embeddings", (f"row {row}" for row in nothing), len(values))


def _metrics(accuracies: Sequence[Accuracy]) -> Iterator[Spotted]:
    pairs = [
        (one, other)
        for one, other in combinations(accuracies, 2)
        if one.shots == other.shots and one.queries and other.queries and max(one.value, other.value) <= 1
    ]
    close = (
        f"{one.shots} shots: {100 * one.value:.2f} and {100 * other.value:.2f} %"
        for one, other in pairs
        if abs(one.value - other.value) < _interval(one, other)
    )
    yield from spotted("within_noise", close, len(pairs))


def _interval(one: Accuracy, other: Accuracy) -> float:
    """Half the 95 % interval of a difference of two shares of independent questions."""
    return 1.96 * math.sqrt(sum(each.value * (1 - each.value) / (each.queries or 1) for each in (one, other)))


def _largest(imported: Imported) -> int:
    used: Iterable[int] = (
        index
        for group in (
            *((query.query, *(query.pool or ())) for query in imported.queries),
            *((rollout.query, *rollout.sequence) for rollout in imported.rollouts),
            *((beam.query, *beam.sequence) for beam in imported.beams),
        )
        for index in group
    )
    return max(used, default=-1)
