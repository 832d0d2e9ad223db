from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.errors import InputError
from shotsmith.recipe import CurriculumSettings
from shotsmith.records import Rollout
from shotsmith.training.groups import concatenate, from_rollouts
from shotsmith.training.grpo import CURRICULUM_SHARES, difficulty, eligible

recorded = st.lists(
    st.builds(Rollout, st.integers(0, 5), st.just((1, 2)), st.none() | st.sampled_from([0.0, 0.5, 1.0, 2.0])),
    max_size=20,
)


def measured(rollouts, queries=6):
    return difficulty(from_rollouts(rollouts), queries).tolist()


@given(recorded)
def test_the_contrast_equals_its_definition_and_failures_count_for_nothing(rollouts):
    contrast = measured(rollouts)
    for query in range(6):
        rewards = [r.reward for r in rollouts if r.query == query and r.reward is not None]
        if rewards:
            assert contrast[query] == max(rewards) - min(rewards)
        else:
            assert math.isnan(contrast[query])


def test_several_groups_of_a_query_are_judged_together():
    one, other = from_rollouts([Rollout(1, (0,), 0.0)]), from_rollouts([Rollout(1, (0, 1), 2.0), Rollout(0, (0,), 1.0)])
    groups = concatenate([one, other])
    assert difficulty(groups, 2).tolist() == [0.0, 2.0]


def taking_part(epoch, measures, **settings):
    mask = eligible(epoch, CurriculumSettings(**settings), torch.tensor(measures, dtype=torch.float64))
    return [i for i, part in enumerate(mask.tolist()) if part]


MEASURED = [0.1, 0.9, math.nan, 0.5, 0.9, 0.3]


def test_without_a_curriculum_all_take_part_even_when_nothing_was_recorded():
    assert taking_part(1, [math.nan] * 3, kind="none") == [0, 1, 2]


def test_a_staged_curriculum_begins_with_the_highest_and_then_takes_all():
    settings = {"kind": "staged", "share": 0.4, "epochs": 2}
    assert [taking_part(epoch, MEASURED, **settings) for epoch in (1, 2, 3)] == [[1, 4], [1, 4], [0, 1, 2, 3, 4, 5]]


def test_a_continuous_curriculum_grows_until_all_take_part():
    settings = {"kind": "continuous", "share": 0.2, "epochs": 4}
    grown = [taking_part(epoch, MEASURED, **settings) for epoch in (1, 2, 3, 4, 5, 6)]
    assert grown == [[1], [1, 4], [1, 3, 4], [1, 3, 4, 5], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]]


def test_of_many_queries_measured_alike_the_earlier_come_first():
    assert taking_part(1, [0.0, 1.0] * 100, kind="staged", share=0.3) == list(range(1, 120, 2))


@pytest.mark.parametrize("kind", ["staged", "continuous"])
def test_a_whole_share_is_all_queries_from_the_start(kind):
    assert taking_part(1, MEASURED, kind=kind, share=1.0) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", CURRICULUM_SHARES)
@given(
    measures=st.lists(st.none() | st.integers(0, 4), min_size=1, max_size=15).filter(lambda m: any(m)),
    share=st.floats(0.01, 1),
    epochs=st.integers(1, 6),
)
def test_queries_only_join_and_the_easier_join_first(kind, measures, share, epochs):
    values = [math.nan if m is None else float(m) for m in measures]
    before = set()
    for epoch in range(1, epochs + 2):
        now = set(taking_part(epoch, values, kind=kind, share=share, epochs=epochs))
        assert now
        assert before <= now
        if len(now) < len(values):
            absent = [m for i, m in enumerate(measures) if i not in now and m is not None]
            assert all(measures[i] is not None for i in now)
            assert min(measures[i] for i in now) >= max(absent, default=0)
        before = now
    assert len(before) == len(values)


def test_a_curriculum_without_recorded_rollouts_is_an_error():
    with pytest.raises(InputError, match="recorded rollouts"):
        taking_part(1, [math.nan, math.nan], kind="staged")


def test_every_kind_of_the_settings_exists():
    fields = CurriculumSettings.model_fields
    assert {*CURRICULUM_SHARES} == {*fields["kind"].annotation.__args__}
