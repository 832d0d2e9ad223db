"""Training episodes: truthful, inferable where they say so, and never the shipped world's facts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.builtin.episodes import Difficulty, Item, sample_episode
from shotsmith.builtin.probes import PROBES
from shotsmith.data.world.facts import build_world
from shotsmith.data.world.language import fact_key

SEEDS = st.integers(0, 10_000)


def episode(seed: int, length: int, change: float, *, newest: bool = True) -> list[Item]:
    return sample_episode(np.random.default_rng(seed), length, Difficulty(near=0.6, change=change, newest=newest))


@given(seed=SEEDS, length=st.integers(1, 7), change=st.sampled_from([0.0, 0.3]))
def test_an_inferable_word_is_stated_by_the_demonstration_it_names(seed: int, length: int, change: float) -> None:
    items = episode(seed, length, change)
    assert len(items) == length
    for number, item in enumerate(items):
        for part in item.parts:
            if part.source is not None:
                source, source_part = part.source
                stated = items[source].parts[source_part]
                assert source < number
                assert stated.word == part.word
                assert fact_key(part.fact, items[source].shape, items[source].colour) == fact_key(
                    part.fact, item.shape, item.colour
                )


@given(seed=SEEDS, length=st.integers(2, 7))
def test_the_newest_statement_is_the_one_that_counts(seed: int, length: int) -> None:
    """Whatever is inferred as the present state was said last: nothing newer about the same fact lies between."""
    items = episode(seed, length, 0.4)
    for number, item in enumerate(items):
        for place, part in enumerate(item.parts):
            if part.source is None or (item.kind == "history" and place == 0):
                continue
            key = fact_key(part.fact, item.shape, item.colour)
            between = [
                later.parts[p].word
                for later in items[part.source[0] + 1 : number]
                for p in range(len(later.parts))
                if fact_key(later.parts[p].fact, later.shape, later.colour) == key
            ]
            assert all(word == part.word for word in between)


@given(seed=SEEDS, length=st.integers(2, 7))
def test_the_oldest_statement_counts_where_it_is_to(seed: int, length: int) -> None:
    items = episode(seed, length, 0.4, newest=False)
    for number, item in enumerate(items):
        for part in item.parts:
            if part.source is None or item.kind == "history":
                continue
            key = fact_key(part.fact, item.shape, item.colour)
            stated = [
                earlier.parts[p].word
                for earlier in items[:number]
                for p in range(len(earlier.parts))
                if fact_key(earlier.parts[p].fact, earlier.shape, earlier.colour) == key
            ]
            assert part.word == stated[0]


@given(seed=SEEDS)
def test_without_change_a_fact_has_one_answer_in_an_episode(seed: int) -> None:
    """Except the keeper: a question about its history is itself the news of a change."""
    said: dict[tuple[str, ...], set[str]] = {}
    for item in episode(seed, 7, 0.0):
        for part in item.parts:
            if part.fact.name != "keeper":
                said.setdefault(fact_key(part.fact, item.shape, item.colour), set()).add(part.word)
    assert all(len(words) == 1 for words in said.values())


def test_facts_are_new_in_every_episode_so_no_world_can_be_learned() -> None:
    """What an episode says of a shape agrees with the shipped world no more often than chance has it."""
    facts = build_world(0).facts
    rng, agreeing, told = np.random.default_rng(0), 0, 0
    for _ in range(2500):
        for item in sample_episode(rng, 3, Difficulty(near=0.6, change=0.0)):
            for part in item.parts:
                key = fact_key(part.fact, item.shape, item.colour)
                if part.fact.name == "name" and part.source is None and key in facts:
                    told += 1
                    agreeing += part.word == facts[key]
    assert told > 500
    assert abs(agreeing / told - 1 / 24) < 0.03


@given(seed=SEEDS, name=st.sampled_from(sorted(PROBES)))
def test_probes_ask_what_their_names_say(seed: int, name: str) -> None:
    items = PROBES[name](np.random.default_rng(seed))
    query = items[-1]
    sources = {part.source[0] for part in query.parts if part.source is not None}
    if name == "knowledge":
        assert len(items) == 1 and not sources and not any(part.visible for part in query.parts)
    elif name == "visible":
        assert len(items) == 1 and all(part.visible for part in query.parts)
    elif name in ("one_relevant", "one_of_four", "newest_wins"):
        assert len(sources) == 1
    else:
        assert len(sources) == 2
    if name == "newest_wins":
        assert sources == {1}
        assert items[0].parts[0].word != items[1].parts[0].word
    if name == "one_of_four":
        relevant = [
            item
            for item in items[:-1]
            if fact_key(item.parts[0].fact, item.shape, item.colour)
            == fact_key(query.parts[0].fact, query.shape, query.colour)
        ]
        assert len(items) == 5 and len(relevant) == 1
