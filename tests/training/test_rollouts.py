from __future__ import annotations

import math

import pytest
import torch
from small_matching import Matching, small_policy

from shotsmith.errors import InputError
from shotsmith.policies.protocol import STOP
from shotsmith.recipe import AdvantageSettings, GrpoSettings
from shotsmith.training.groups import Groups, concatenate
from shotsmith.training.rollouts import collect, on_policy, recorded, rewarded


def source_of(task, policy=None, scorer=None, seed=0, **settings):
    """Groups sampled on the policy."""
    values = {"num_generations": 5, "shots": (1, 3)} | settings
    generator = torch.Generator().manual_seed(seed)
    return on_policy(
        policy or small_policy(), task.inputs, scorer or task.score, GrpoSettings(**values), generator, "here"
    )


def shown(groups: Groups) -> list[list[tuple[int, ...]]]:
    """The demonstrations of every rollout."""
    return [[tuple(p for p in sequence if p >= 0) for sequence in group] for group in groups.sequences.tolist()]


def by_query(groups: Groups) -> dict[int, list[tuple[int, ...]]]:
    return dict(zip(groups.rows.tolist(), shown(groups), strict=True))


def test_every_query_gets_a_group_of_one_length_and_lengths_take_turns():
    task = Matching.draw(9, seed=0)
    lengths = {}
    for position in (0, 3, 7):
        groups = source_of(task, shots=(1, 3, 2))([8, 2, 5], position)
        assert sorted(groups.rows.tolist()) == [2, 5, 8]
        found = {query: {len(sequence) for sequence in group} for query, group in by_query(groups).items()}
        lengths[position] = [found[query] for query in (8, 2, 5)]
    assert lengths[0] == lengths[3] == [{1}, {3}, {2}]
    assert lengths[7] == [{3}, {2}, {1}]


def test_a_policy_that_can_stop_is_always_given_the_greatest_length():
    policy = small_policy(length="stop")
    groups = source_of(Matching.draw(30, seed=0), policy, num_generations=8)(list(range(30)), 0)
    lengths = {len(sequence) for group in shown(groups) for sequence in group}
    assert lengths == {0, 1, 2, 3}
    stopped = (groups.sequences == STOP).sum(-1)
    shorter = (groups.sequences >= 0).sum(-1) < 3
    assert torch.equal(stopped.bool(), shorter)
    assert groups.valid.all()


@pytest.mark.parametrize("length", ["fixed", "stop"])
@pytest.mark.parametrize("distinct", [False, True])
def test_the_behaviour_is_the_probability_of_the_whole_sequence_under_the_policy(length, distinct):
    task, policy = Matching.draw(6, seed=0), small_policy(length=length)
    groups = source_of(task, policy, shots=(2,), sampling={"distinct": distinct})(list(range(6)), 0)
    found = policy.log_prob(task.inputs.batch(groups.rows.numpy()), groups.sequences).sum(-1).detach()
    torch.testing.assert_close(groups.behaviour, found, atol=1e-5, rtol=1e-5)


def test_under_another_temperature_the_behaviour_is_another_policy():
    task, policy = Matching.draw(6, seed=0), small_policy()
    groups = source_of(task, policy, shots=(1,), sampling={"temperature": 3.0})(list(range(6)), 0)
    with torch.no_grad():
        scaled = (policy.step_distributions(task.inputs.batch(groups.rows.numpy()), groups.sequences) / 3).log_softmax(
            -1
        )
    torch.testing.assert_close(groups.behaviour, scaled[:, :, 0].gather(-1, groups.sequences)[..., 0])


def test_distinct_sampling_repeats_nothing_and_says_what_each_sequence_stands_for():
    task = Matching.draw(12, seed=0)
    repeated = source_of(task, shots=(1,), num_generations=8)(list(range(12)), 0)
    groups = source_of(task, shots=(1,), num_generations=8, sampling={"distinct": True})(list(range(12)), 0)
    assert all(len(set(group)) == 8 for group in shown(groups))
    assert any(len(set(group)) < 8 for group in shown(repeated))
    assert (groups.weights > 0).all()
    assert groups.weights.std() > 0.05
    assert (repeated.weights == 1).all()


def test_where_there_are_fewer_sequences_than_are_to_be_distinct_the_rest_is_absent():
    task = Matching.draw(3, seed=0, pool=4)
    groups = source_of(task, shots=(1,), num_generations=7, sampling={"distinct": True})([0, 1, 2], 0)
    assert groups.valid.sum(1).tolist() == [4, 4, 4]
    assert task.asked == 12
    assert (groups.weights[~groups.valid] == 0).all()


def test_the_scorer_is_asked_once_for_equal_sequences_and_never_for_absent_ones():
    sequences = torch.tensor([[[1, 2], [2, 1], [1, 2]], [[STOP, -1], [-1, -1], [1, 2]]])
    shape, asked = (2, 3), []
    groups = Groups(
        torch.tensor([4, 7]),
        sequences,
        torch.zeros(shape),
        torch.zeros(shape, dtype=torch.bool),
        torch.zeros(shape),
        torch.ones(shape),
    )

    def scorer(pairs, origin):
        asked.append((pairs, origin))
        return [0.5, None, 0.25, 1.0]

    scored = rewarded(groups, scorer, "here")
    assert asked == [([(4, (1, 2)), (4, (2, 1)), (7, ()), (7, (1, 2))], "here")]
    assert scored.valid.tolist() == [[True, False, True], [True, False, True]]
    assert scored.values[scored.valid].tolist() == [0.5, 0.5, 0.25, 1.0]


@pytest.mark.parametrize("reward", [math.nan, math.inf])
def test_a_scorer_that_gives_no_number_is_found_out(reward):
    task = Matching.draw(4, seed=0)
    with pytest.raises(InputError, match=r"query \d: the reward of the sequence \(.*\) is (nan|inf)"):
        source_of(task, scorer=lambda pairs, _origin: [reward] * len(pairs))([0, 1], 0)


def test_recorded_groups_come_whole_and_in_the_order_asked_for():
    groups = Matching.draw(6, seed=0).recorded()
    drawn = recorded(groups)([4, 0, 4], 9)
    assert drawn.rows.tolist() == [4, 0, 4]
    assert torch.equal(drawn.sequences, groups.sequences[[4, 0, 4]])
    assert torch.equal(drawn.values, groups.values[[4, 0, 4]])


def group_of(query: int, rewards: list[float | None]) -> Groups:
    return Groups(
        rows=torch.tensor([query]),
        sequences=torch.arange(len(rewards)).view(1, -1, 1),
        values=torch.tensor([[reward or 0.0 for reward in rewards]]),
        valid=torch.tensor([[reward is not None for reward in rewards]]),
        behaviour=torch.full((1, len(rewards)), torch.nan),
        weights=torch.ones(1, len(rewards)),
    )


def drawn_from(rewards: dict[int, list[float | None]]):
    """A source and a `take` over queries with these rewards, in order and around again; and what was drawn."""
    draws, queue = [], []

    def take(count):
        position = len(queue)
        queue.extend((position + i) % len(rewards) for i in range(count))
        return queue[position:], position

    def source(queries, _position):
        draws.append(queries)
        return concatenate(group_of(query, rewards[query]) for query in queries)

    return source, take, draws


MIXED = {0: [0.0, 1.0], 1: [1.0, 1.0], 2: [0.0, 0.0], 3: [0.5, 1.0], 4: [None, None], 5: [1.0, None], 6: [0.0, 0.5]}


@pytest.mark.parametrize(
    ("settings", "entering", "draws"),
    [
        ({"zero_variance": "keep"}, [0, 1, 2, 3], [[0, 1, 2, 3]]),
        ({"zero_variance": "skip"}, [0, 3], [[0, 1, 2, 3]]),
        ({"zero_variance": "resample", "max_resamples": 0}, [0, 3], [[0, 1, 2, 3]]),
        ({"zero_variance": "resample", "max_resamples": 1}, [0, 3], [[0, 1, 2, 3], [4, 5]]),
        ({"zero_variance": "resample", "max_resamples": 2}, [0, 3, 6, 0], [[0, 1, 2, 3], [4, 5], [6, 0]]),
        ({"zero_variance": "resample", "max_resamples": 9}, [0, 3, 6, 0], [[0, 1, 2, 3], [4, 5], [6, 0]]),
        ({"zero_variance": "skip", "signal_std": 0.4}, [0], [[0, 1, 2, 3]]),
    ],
    ids=str,
)
def test_groups_without_signal_are_kept_left_out_or_replaced(settings, entering, draws):
    source, take, drawn = drawn_from(MIXED)
    collected = collect(source, take, 4, AdvantageSettings(**settings))
    assert collected.entering.rows.tolist() == entering
    assert drawn == draws
    assert collected.sampled.rows.tolist() == [query for queries in draws for query in queries]


def test_a_group_without_any_answer_never_enters():
    source, take, _ = drawn_from({0: [None, None], 1: [0.0, 1.0]})
    assert collect(source, take, 2, AdvantageSettings(zero_variance="keep")).entering.rows.tolist() == [1]


def test_when_nothing_carries_signal_nothing_enters():
    source, take, drawn = drawn_from({0: [1.0, 1.0]})
    collected = collect(source, take, 3, AdvantageSettings(max_resamples=2))
    assert len(collected.entering) == 0
    assert [len(queries) for queries in drawn] == [3, 3, 3]
    assert len(collected.sampled) == 9
