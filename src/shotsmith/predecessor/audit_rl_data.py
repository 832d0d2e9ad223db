"""What can be wrong with RL data: rows that teach nothing, groups without signal, labels that point elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shotsmith.predecessor.audit_sequences import order_thrown_away, pools, sequences
from shotsmith.predecessor.records import ImportedRollout, Indices
from shotsmith.predecessor.rl_data import RlEntry
from shotsmith.predecessor.spotted import ENOUGH, POOL, Known, Spotted, spotted

CUTS = (3, 5)
"""The predecessor cut each group to so many of its best: in the first epoch, and later."""


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
