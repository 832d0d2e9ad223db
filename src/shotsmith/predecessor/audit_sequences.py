"""What can be wrong with sequences and pools, of whatever file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from shotsmith.predecessor.records import ImportedBeam, ImportedQuery, Indices
from shotsmith.predecessor.spotted import ENOUGH, POOL, Known, Spotted, spotted

Placed = Sequence[tuple[str, int, Indices]]
"""Sequences, each with the name of its place and its query."""


def sequences(placed: Placed, known: Known) -> Iterator[Spotted]:
    """Demonstrations that stand twice, that are the query, that do not exist."""
    total = len(placed)
    yield from spotted(
        "repeated_demonstrations", (_said(place, s) for place, _, s in placed if len(set(s)) < len(s)), total
    )
    yield from spotted("query_shown", (_said(place, s) for place, query, s in placed if query in s), total)
    yield from out_of_range(((place, (query, *s)) for place, query, s in placed), known, total)


def order_thrown_away(placed: Sequence[tuple[str, Indices]]) -> Iterator[Spotted]:
    """All sequences of several demonstrations are in ascending order."""
    several = [(place, s) for place, s in placed if len(set(s)) > 1]
    if len(several) >= ENOUGH and all(list(s) == sorted(s) for _, s in several):
        yield from spotted("order_thrown_away", (_said(*each) for each in several), len(placed))


def out_of_range(placed: Iterable[tuple[str, Indices]], known: Known, total: int) -> Iterator[Spotted]:
    """Indices that no example has."""
    rows = known.rows
    if rows is not None:
        bad = ((place, [index for index in found if index >= rows]) for place, found in placed)
        yield from spotted("out_of_range", (f"{place}: {outside[:3]}" for place, outside in bad if outside), total)


def pools(queries: Sequence[ImportedQuery], known: Known) -> Iterator[Spotted]:
    """Pools of another size, with a candidate twice, with the query itself, or with candidates that do not exist."""
    given = [(query, query.pool) for query in queries if query.pool is not None]
    total = len(given)
    sizes = (f"query {query.query}: {len(pool)}" for query, pool in given if len(pool) != POOL)
    yield from spotted("pool_not_64", sizes, total)
    twice = (f"query {query.query}" for query, pool in given if len(set(pool)) < len(pool))
    yield from spotted("candidate_twice", twice, total)
    own = (f"query {query.query}" for query, pool in given if query.query in pool)
    yield from spotted("query_in_pool", own, total)
    placed = ((f"query {query.query}", (query.query, *pool)) for query, pool in given)
    yield from out_of_range(placed, known, total)


def beams(found: Sequence[ImportedBeam], known: Known) -> Iterator[Spotted]:
    """The same of beam data; and scores that are the lower the better a sequence is placed."""
    placed = [(f"query {beam.query}", beam.query, beam.sequence) for beam in found]
    yield from sequences(placed, known)
    yield from order_thrown_away([(place, sequence) for place, _, sequence in placed])
    scores: dict[int, list[float]] = {}
    for beam in found:
        scores.setdefault(beam.query, []).append(beam.score)
    told = {query: values for query, values in scores.items() if len(set(values)) > 1}
    ascending = [query for query, values in told.items() if values == sorted(values)]
    if len(ascending) > len(told) / 2:
        places = (f"query {query}: {scores[query][0]:g} before {scores[query][-1]:g}" for query in ascending)
        yield from spotted("scores_ascending", places, len(scores))


def _said(place: str, sequence: Indices) -> str:
    return f"{place}: {list(sequence)}"
