"""Which queries groups are sampled for, and groups that are left where their first rewards agree."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from small_matching import Matching, small_policy

from shotsmith.recipe import GrpoSettings
from shotsmith.training.choice import UNIFORM, QueryChoice, SignalPredictor, calibration_error
from shotsmith.training.groups import Groups
from shotsmith.training.rollouts import on_policy
from shotsmith.training.seeding import QueryOrder

ALL = None


def choice_of(task: Matching, candidates: int = 4, lengths: tuple[int, ...] = (1, 2)) -> QueryChoice:
    return QueryChoice(task.inputs, QueryOrder(len(task.inputs), "test"), lengths, candidates)


def groups_of(queries: list[int], reward: float = 1.0) -> Groups:
    shape = (len(queries), 2)
    return Groups(
        rows=torch.tensor(queries),
        sequences=torch.zeros(*shape, 1, dtype=torch.int64),
        values=torch.full(shape, reward),
        valid=torch.ones(shape, dtype=torch.bool),
        behaviour=torch.zeros(shape),
        weights=torch.ones(shape),
    )


def test_with_one_candidate_queries_come_in_turn():
    task = Matching.draw(20, seed=0)
    choice, order = choice_of(task, candidates=1), QueryOrder(20, "test")
    assert choice.take(7, ALL) == (order.take(7), 0)
    assert choice.take(3, ALL) == (order.take(3), 7)


def test_places_that_are_not_chosen_take_the_first_query_in_turn():
    task = Matching.draw(100, seed=0)
    queries, _ = choice_of(task).take(2 * UNIFORM + 1, ALL)
    in_turn = QueryOrder(100, "test").take(4 * (2 * UNIFORM + 1))
    assert [queries[place] for place in (0, UNIFORM, 2 * UNIFORM)] == [
        in_turn[4 * place] for place in (0, UNIFORM, 2 * UNIFORM)
    ]


def test_queries_like_those_whose_groups_carried_signal_are_chosen():
    task = Matching.draw(400, seed=0)
    kinds = torch.randn(2, task.inputs.embedding_width, generator=torch.Generator().manual_seed(0))
    kind = torch.arange(400) % 2
    noise = 0.1 * torch.randn(400, task.inputs.embedding_width, generator=torch.Generator().manual_seed(1))
    task = dataclasses.replace(task, inputs=dataclasses.replace(task.inputs, queries=(kinds[kind] + noise).numpy()))
    choice = choice_of(task, lengths=(1,))
    for _ in range(5):
        queries, _ = choice.take(16, ALL)
        choice.observe(groups_of(queries), kind[queries] == 1)
    chosen = torch.tensor([choice.take(16, ALL)[0] for _ in range(5)])
    places = torch.arange(80).view(5, 16)
    assert (kind[chosen[places % UNIFORM != 0]] == 1).float().mean() > 0.75
    assert 0 < (kind[chosen[places % UNIFORM == 0]] == 1).float().mean() < 1
    figures = choice.metrics.epoch()
    assert figures["choice/signal"] > figures["choice/signal_in_turn"]
    assert figures["choice/calibration_error"] < 0.3


def test_lengths_are_predicted_apart():
    task = Matching.draw(10, seed=0)
    predictor = SignalPredictor(task.inputs)
    rows = torch.arange(10)
    predictor.observe(rows, torch.full((10,), 1), torch.zeros(10, dtype=torch.bool))
    predictor.observe(rows, torch.full((10,), 2), torch.ones(10, dtype=torch.bool))
    assert predictor(rows, torch.full((10,), 1)).max() < 0.5 < predictor(rows, torch.full((10,), 2)).min()


def test_what_is_remembered_comes_back_to_the_bit():
    task = Matching.draw(60, seed=0)
    first, second = choice_of(task), choice_of(task)
    queries, _ = first.take(10, ALL)
    first.observe(groups_of(queries), torch.arange(10) % 3 == 0)
    second.restore(first.state())
    second._order.cursor = first._order.cursor
    assert first.take(10, ALL) == second.take(10, ALL)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_the_calibration_error_is_a_share(pairs):
    assert 0 <= calibration_error(pairs) <= 1


def test_a_sure_and_right_prediction_has_no_calibration_error():
    assert calibration_error([(1.0, True), (0.0, False)]) == 0
    assert calibration_error([(1.0, False)]) == 1


def test_a_group_whose_first_rewards_agree_is_asked_no_further():
    task, asked = Matching.draw(12, seed=0), []

    def odd_queries_differ(pairs, _origin):
        asked.extend(pairs)
        return [float(query % 2 and sum(sequence) % 2) for query, sequence in pairs]

    settings = GrpoSettings(num_generations=6, shots=(2,), sampling={"probe": 3})
    draws = torch.Generator().manual_seed(0)
    groups = on_policy(small_policy(), task.inputs, odd_queries_differ, settings, draws, "here")(list(range(12)), 0)
    present = (groups.sequences != -1).any(-1)
    assert torch.equal(groups.valid, present)
    differ = (groups.values[:, :3] != groups.values[:, :1]).any(1)
    assert differ.any() and not differ[::2].any()
    assert torch.equal(present.sum(1), torch.where(differ, 6, 3))
    assert len(asked) <= int(present.sum())


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"advantage": {"zero_variance": "keep"}}, "keep trains on them"),
        ({"sampling": {"probe": 3, "distinct": True}}, "distinct"),
        ({"num_generations": 3}, "below num_generations"),
    ],
)
def test_a_probe_that_makes_no_sense_is_refused(settings, why):
    with pytest.raises(ValidationError, match=why):
        GrpoSettings(**({"sampling": {"probe": 3}} | settings))


def test_probed_groups_are_whole_groups_where_the_first_rewards_differ():
    task = Matching.draw(12, seed=0)
    whole, probed = (
        on_policy(
            small_policy(),
            task.inputs,
            task.score,
            GrpoSettings(num_generations=6, shots=(2,), sampling={"probe": probe}),
            torch.Generator().manual_seed(0),
            "here",
        )(list(range(12)), 0)
        for probe in (0, 3)
    )
    went_on = (probed.sequences != -1).any(-1).all(1)
    assert went_on.any() and not went_on.all()
    for name in ("rows", "sequences", "values", "valid", "behaviour"):
        assert torch.equal(getattr(whole, name)[went_on], getattr(probed, name)[went_on])
    assert torch.equal(whole.values[:, :3], probed.values[:, :3])
