"""What can be wrong with sequences and pools, of whatever file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from shotsmith.predecessor.records import ImportedBeam, ImportedQuery, Indices
from shotsmith.predecessor.spotted import ENOUGH, POOL, Known, Spotted, spotted

_NOISE = 1e-6
"""Scores as small say nothing: misaligned masks gave such."""

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


def beams(found: Sequence[ImportedBeam], known: Known, *, gains: bool = False) -> Iterator[Spotted]:
    """The same of beam data; and searches that kept the worst sequences.

    `gains`: whether a score above 0 is known to say that the demonstrations help.
    """
    placed = [(f"query {beam.query}", beam.query, beam.sequence) for beam in found]
    yield from sequences(placed, known)
    yield from order_thrown_away([(place, sequence) for place, _, sequence in placed])
    of_query: dict[int, list[ImportedBeam]] = {}
    for beam in found:
        of_query.setdefault(beam.query, []).append(beam)
    told = {query: beams for query, beams in of_query.items() if len({beam.score for beam in beams}) > 1 or gains}
    worst = {query: why for query, beams in told.items() if (why := _kept_the_worst(beams, gains))}
    if len(worst) > len(told) / 2:
        yield from spotted("scores_ascending", (f"query {query}: {why}" for query, why in worst.items()), len(of_query))


def _kept_the_worst(found: Sequence[ImportedBeam], gains: bool) -> str | None:
    """How the scores of a query show that the sign of 'best' was flipped; None where they do not.

    The list begins with the lowest score. Or it was sorted anew, and the search's own list does; or no score is above
    0, though the best of many sequences are better than no demonstrations.
    """
    listed = [beam.score for beam in found]
    searched = [beam.score for beam in sorted(found, key=lambda beam: -1 if beam.found_at is None else beam.found_at)]
    for scores in (listed, searched):
        if len(set(scores)) > 1 and scores == sorted(scores):
            return f"{scores[0]:g} before {scores[-1]:g}"
    if gains and max(listed) <= 0 and min(listed) < -_NOISE:
        return f"the best score is {max(listed):g}"
    return None


def _said(place: str, sequence: Indices) -> str:
    return f"{place}: {list(sequence)}"
