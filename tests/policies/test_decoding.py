"""Decoders on a table of step probabilities, where every sequence can be listed."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch.nn import functional

from shotsmith.policies import decoding
from shotsmith.policies.protocol import STOP

POOL = 4


@dataclass(frozen=True)
class TableWalk:
    """A random distribution after every prefix: the same for all queries, but for their masks."""

    mask: torch.Tensor
    can_stop: bool
    sharpness: float = 1.0

    @property
    def columns(self) -> int:
        return POOL

    @property
    def logits(self) -> torch.Tensor:
        """A row for every prefix of up to two choices."""
        generator = torch.Generator().manual_seed(0)
        return self.sharpness * torch.randn((POOL + 1) ** 2, POOL + self.can_stop, generator=generator)

    def start(self):
        return {"prefix": torch.zeros(len(self.mask), 1, dtype=torch.int64), "blocked": ~self.mask[:, None]}

    def log_probs(self, state):
        blocked = functional.pad(state["blocked"], (0, self.can_stop), value=False)
        logits = self.logits[state["prefix"]].masked_fill(blocked, -torch.inf)
        return functional.log_softmax(logits, dim=-1).masked_fill(blocked, -torch.inf)

    def advance(self, state, choice):
        position = choice.clamp(min=0)
        blocked = state["blocked"].expand(*choice.shape, POOL)
        return {
            "prefix": state["prefix"] * (POOL + 1) + position + 1,
            "blocked": blocked.scatter(-1, position[..., None], True),
        }


def walk_of(queries: int = 1, can_stop: bool = True, sharpness: float = 1.0) -> TableWalk:
    return TableWalk(torch.ones(queries, POOL, dtype=torch.bool), can_stop, sharpness)


def every_sequence(
    walk: TableWalk, shots: int, query: int = 0, temperature: float = 1.0
) -> dict[tuple[int, ...], float]:
    """All sequences of a query with their probabilities, most probable first."""
    one, found = replace(walk, mask=walk.mask[query : query + 1]), {}

    def follow(sequence: tuple[int, ...], state, log_prob: float) -> None:
        if len(sequence) == shots:
            found[sequence] = math.exp(log_prob)
            return
        steps = functional.log_softmax(one.log_probs(state)[0, 0] / temperature, dim=-1).tolist()
        for column, step in enumerate(steps):
            if step == -math.inf:
                continue
            if column == POOL:
                found[sequence + (STOP, -1, -1)[: shots - len(sequence)]] = math.exp(log_prob + step)
            else:
                follow((*sequence, column), one.advance(state, torch.tensor([[column]])), log_prob + step)

    follow((), one.start(), 0.0)
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def as_tuples(sequences: torch.Tensor) -> list[tuple[int, ...]]:
    return [tuple(sequence) for sequence in sequences.tolist()]


def uneven_walk(can_stop: bool) -> TableWalk:
    """The second of two queries has two candidates."""
    mask = torch.ones(2, POOL, dtype=torch.bool)
    mask[1, 2:] = False
    return TableWalk(mask, can_stop)


with_and_without_stop = pytest.mark.parametrize("can_stop", [False, True], ids=["fixed", "stop"])


@with_and_without_stop
def test_the_table_holds_a_distribution_over_sequences(can_stop):
    found = every_sequence(walk_of(can_stop=can_stop), 2)
    assert sum(found.values()) == pytest.approx(1.0, abs=1e-5)
    assert len(found) == (17 if can_stop else 12)


@with_and_without_stop
def test_a_wide_beam_lists_every_sequence_best_first_and_fills_up_with_padding(can_stop):
    walk = uneven_walk(can_stop)
    found = decoding.beam(walk, 2, 1000)
    sequences, totals = found.sequences, found.log_probs.sum(-1)
    assert sequences.shape[1] == len(every_sequence(walk, 2))
    for query in range(2):
        expected = every_sequence(walk, 2, query)
        count = len(expected)
        assert as_tuples(sequences[query, :count]) == list(expected)
        torch.testing.assert_close(totals[query, :count].exp(), torch.tensor(list(expected.values())))
        assert (sequences[query, count:] == -1).all()
        assert (totals[query, count:] == -math.inf).all()


@with_and_without_stop
def test_a_narrow_beam_keeps_the_best_of_what_it_went_on_with(can_stop):
    walk = walk_of(can_stop=can_stop)
    sequences = decoding.beam(walk, 2, 3).sequences
    firsts = sorted(every_sequence(walk, 1).items(), key=lambda item: -item[1])[:3]
    kept = {sequence[0] for sequence, _ in firsts}
    reachable = [sequence for sequence in every_sequence(walk, 2) if sequence[0] in kept]
    assert as_tuples(sequences[0]) == reachable[:3]


@with_and_without_stop
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_sample_frequencies_match_the_sampling_distribution(can_stop, temperature):
    walk, draws = walk_of(can_stop=can_stop), 20_000
    drawn = decoding.sample(walk, 2, draws, torch.Generator().manual_seed(5), temperature)
    expected = every_sequence(walk, 2, temperature=temperature)
    found = as_tuples(drawn.sequences[0])
    assert set(found) <= set(expected)
    for sequence, probability in expected.items():
        error = 4 * math.sqrt(probability * (1 - probability) / draws)
        assert found.count(sequence) / draws == pytest.approx(probability, abs=error)
    for sequence, log_prob in zip(found[:50], drawn.log_probs[0].sum(-1).tolist(), strict=False):
        assert math.exp(log_prob) == pytest.approx(expected[sequence], rel=1e-4)


@with_and_without_stop
def test_greedy_follows_the_best_column_and_pads_after_a_stop(can_stop):
    walk = walk_of(can_stop=can_stop)
    state, expected = walk.start(), []
    while len(expected) < 3:
        column = walk.log_probs(state)[0, 0].argmax().item()
        if column == POOL:
            expected += [STOP, -1, -1][: 3 - len(expected)]
        else:
            expected.append(column)
            state = walk.advance(state, torch.tensor([[column]]))
    assert decoding.greedy(walk, 3).sequences.tolist() == [[expected]]


def test_ties_go_to_the_lower_position_and_to_a_candidate_before_stop():
    walk = walk_of(sharpness=0.0)
    assert decoding.greedy(walk, 3).sequences.tolist() == [[[0, 1, 2]]]
    assert decoding.beam(walk, 2, 1).sequences.tolist() == [[[0, 1]]]


@with_and_without_stop
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_weights_of_distinct_samples_are_unbiased_for_every_sequence(can_stop, temperature):
    # Every copy of the query is one draw of three of its 12 or 17 sequences.
    copies = 20_000
    walk = walk_of(copies, can_stop)
    drawn = decoding.sample_distinct(walk, 2, 3, torch.Generator().manual_seed(6), temperature)
    sequences, log_probs, weights = drawn.sequences, drawn.log_probs, drawn.weights
    expected = every_sequence(walk, 2, temperature=temperature)
    names = sequences @ torch.tensor([100, 1])
    for sequence, probability in expected.items():
        here = names == torch.tensor(sequence) @ torch.tensor([100, 1])
        estimates = (weights * here).sum(-1).double()
        error = 4 * estimates.std() / math.sqrt(copies)
        assert abs(estimates.mean() - probability) <= error, sequence
        torch.testing.assert_close(log_probs.sum(-1)[here].exp(), torch.full_like(weights[here], probability))


@with_and_without_stop
def test_distinct_samples_are_distinct_and_the_first_is_an_ordinary_sample(can_stop):
    copies = 20_000
    walk = walk_of(copies, can_stop)
    sequences = decoding.sample_distinct(walk, 2, 5, torch.Generator().manual_seed(7)).sequences
    names = (sequences @ torch.tensor([100, 1])).sort(dim=-1).values
    assert (names.diff(dim=-1) > 0).all()
    first = as_tuples(sequences[:, 0])
    for sequence, probability in every_sequence(walk, 2).items():
        error = 4 * math.sqrt(probability * (1 - probability) / copies)
        assert first.count(sequence) / copies == pytest.approx(probability, abs=error)


@with_and_without_stop
@pytest.mark.parametrize("more", [0, 5])
def test_all_sequences_come_with_their_probabilities_where_no_more_exist(can_stop, more):
    walk = uneven_walk(can_stop)
    number = len(every_sequence(walk, 2)) + more
    drawn = decoding.sample_distinct(walk, 2, number, torch.Generator().manual_seed(8))
    sequences, log_probs, weights = drawn.sequences, drawn.log_probs, drawn.weights
    assert sequences.shape == (2, number, 2)
    for query in range(2):
        expected = every_sequence(walk, 2, query)
        count = len(expected)
        assert set(as_tuples(sequences[query, :count])) == set(expected)
        probabilities = torch.tensor([expected[sequence] for sequence in as_tuples(sequences[query, :count])])
        torch.testing.assert_close(weights[query, :count], probabilities)
        torch.testing.assert_close(log_probs[query, :count].sum(-1).exp(), probabilities)
        assert (sequences[query, count:] == -1).all()
        assert (weights[query, count:] == 0).all() and (log_probs[query, count:] == 0).all()


@pytest.mark.parametrize("sharpness", [60.0, 300.0])
def test_distinct_samples_of_a_nearly_certain_policy_have_finite_weights_around_one(sharpness):
    walk = walk_of(200, sharpness=sharpness)
    drawn = decoding.sample_distinct(walk, 2, 4, torch.Generator().manual_seed(9))
    sequences, log_probs, weights = drawn.sequences, drawn.log_probs, drawn.weights
    assert weights.isfinite().all() and log_probs.isfinite().all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(200), atol=1e-4, rtol=0)
    assert len(set(as_tuples(sequences[0]))) == 4


def test_every_pair_of_positions_can_be_sampled_when_nothing_is_preferred():
    walk = walk_of(can_stop=False, sharpness=0.0)
    sequences = decoding.sample(walk, 2, 2_000, torch.Generator().manual_seed(0)).sequences
    assert set(as_tuples(sequences[0])) == set(itertools.permutations(range(POOL), 2))
