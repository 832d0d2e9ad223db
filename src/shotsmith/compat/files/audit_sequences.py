"""What can be wrong with sequences, pools, beam data and RL data, each kind of fault with its first places."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from shotsmith.compat.files.records import ImportedBeam, ImportedQuery, ImportedRollout, Indices
from shotsmith.compat.files.rl_data import RlEntry
from shotsmith.records import Example

EXAMPLES = 3
"""So many examples of a fault are told."""
ENOUGH = 10
"""From so many sequences on, a pattern that all of them show is no chance (2 ** -10 for an order of two)."""
POOL = 64
"""Candidates in a pool of Lever-Plus."""


@dataclass(frozen=True, slots=True)
class Known:
    """What other files say."""

    examples: tuple[Example, ...] = ()
    """The train split by idx; empty where no questions were given."""
    rows: int | None = None
    """Examples that can be pointed at; None where no file says it."""
    largest: int = -1
    """The largest idx in any of the files."""


@dataclass(frozen=True, slots=True)
class Spotted:
    """A fault in one file."""

    key: str
    """A key of `audit.MEANINGS`."""
    count: int
    of: int
    """Among how many."""
    examples: tuple[str, ...]


def spotted(key: str, places: Iterable[str], of: int) -> Iterator[Spotted]:
    """The fault, with the first of its places; nothing where there is none."""
    found = list(places)
    if found:
        yield Spotted(key, len(found), of, tuple(found[:EXAMPLES]))


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


CUTS = (3, 5)
"""Lever-Plus cut each group to so many of its best: in the first epoch, and later."""


def rl_data(entries: Sequence[RlEntry], known: Known) -> Iterator[Spotted]:
    """Every fault of a file."""
    rollouts = [rollout for entry in entries for rollout in entry.rollouts]
    yield from _rows(rollouts)
    yield from _signal(entries)
    placed = [(_place(rollout), rollout.query, rollout.sequence) for rollout in rollouts]
    yield from sequences(placed, known)
    yield from _order(entries)
    yield from pools([entry.query for entry in entries], known)
    without = (f"query {entry.query.query}" for entry in entries if entry.query.pool is None)
    yield from spotted("no_pool", without, len(entries))
    yield from _labels(entries)
    yield from _questions(entries, known)


def _rows(rollouts: Sequence[ImportedRollout]) -> Iterator[Spotted]:
    for reason in ("failed", "fallback", "outside_pool"):
        places = (_place(rollout) for rollout in rollouts if rollout.left_out == reason)
        yield from spotted(reason, places, len(rollouts))
    seen: set[tuple[int, Indices]] = set()
    twice = []
    for rollout in rollouts:
        key = (rollout.query, rollout.sequence)
        if key in seen:
            twice.append(f"{_place(rollout)}: {list(rollout.sequence)}")
        seen.add(key)
    yield from spotted("repeated_sequences", twice, len(rollouts))


def _signal(entries: Sequence[RlEntry]) -> Iterator[Spotted]:
    """Groups whose rewards (h + s) are all equal; and those that are so once they are cut."""
    rewards = {entry.query.query: sorted(map(_reward, _learned(entry)), reverse=True) for entry in entries}
    answered = {query: values for query, values in rewards.items() if values}
    nothing = (f"query {query}" for query, values in rewards.items() if not values)
    yield from spotted("no_answers", nothing, len(rewards))
    for key, size in (("no_signal", None), *((f"no_signal_top_{size}", size) for size in CUTS)):
        tied = (
            f"query {query}: {len(values[:size])} times {values[0]:g}"
            for query, values in answered.items()
            if values[0] == values[:size][-1]
        )
        yield from spotted(key, tied, len(answered))


def _learned(entry: RlEntry) -> list[ImportedRollout]:
    return [rollout for rollout in entry.rollouts if rollout.left_out not in ("failed", "fallback")]


def _reward(rollout: ImportedRollout) -> float:
    return (rollout.correct or 0.0) + (rollout.vqa_accuracy or 0.0)


def _order(entries: Sequence[RlEntry]) -> Iterator[Spotted]:
    """Sequences in ascending order of idx, or of places in the pool."""
    pairs = [pair for entry in entries for pair in zip(entry.rollouts, entry.pointers, strict=True)]
    by_idx = list(order_thrown_away([(_place(rollout), rollout.sequence) for rollout, _ in pairs]))
    by_place = order_thrown_away([(_place(rollout), pointer) for rollout, pointer in pairs if pointer is not None])
    yield from by_idx or by_place


def _labels(entries: Sequence[RlEntry]) -> Iterator[Spotted]:
    """Places that are idx % K, or otherwise not where the candidate stands in the pool."""
    modulo, elsewhere, total = [], [], 0
    for entry in entries:
        pool = entry.query.pool or ()
        place_of = {index: place for place, index in enumerate(pool)}
        for rollout, pointer in zip(entry.rollouts, entry.pointers, strict=True):
            if pointer is None:
                continue
            total += 1
            if pointer == tuple(place_of.get(index) for index in rollout.sequence):
                continue
            said = f"{_place(rollout)}: {list(pointer)} for {list(rollout.sequence)}"
            if pointer == tuple(index % (len(pool) or POOL) for index in rollout.sequence):
                modulo.append(said)
            elif pool:
                elsewhere.append(said)
    by_chance = len(modulo) < ENOUGH
    yield from spotted("labels_modulo", [] if by_chance else modulo, total)
    yield from spotted("pointer_elsewhere", [*(modulo if by_chance else []), *elsewhere], total)
    yield from _small_labels(entries)


def _small_labels(entries: Sequence[RlEntry]) -> Iterator[Spotted]:
    """Without pools and idx beside them, labels below 64 in a file about thousands of examples are no idx."""
    bare = [
        rollout
        for entry in entries
        if entry.query.pool is None
        for rollout, pointer in zip(entry.rollouts, entry.pointers, strict=True)
        if pointer is None and rollout.sequence
    ]
    queries = [rollout.query for rollout in bare]
    if len(bare) >= ENOUGH and max(queries) >= POOL and all(max(rollout.sequence) < POOL for rollout in bare):
        yield from spotted("labels_modulo", (f"{_place(each)}: {list(each.sequence)}" for each in bare), len(bare))


def _questions(entries: Sequence[RlEntry], known: Known) -> Iterator[Spotted]:
    """Queries that are about another question than the row of that idx."""
    if known.examples:
        other = (
            f"query {entry.query.query}: question {entry.query.question_id}"
            for entry in entries
            if entry.query.question_id is not None
            and entry.query.query < len(known.examples)
            and known.examples[entry.query.query].id != entry.query.question_id
        )
        yield from spotted("another_question", other, len(entries))


def _place(rollout: ImportedRollout) -> str:
    return f"query {rollout.query}, candidate {rollout.number}"
