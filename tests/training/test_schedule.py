from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.recipe import OptimizerSettings
from shotsmith.training.schedule import SCHEDULES, learning_rate_factor


def factors(total, beyond=0, **settings):
    plain = {"warmup_steps": 0, "schedule": "constant", "final_learning_rate_share": 0.0}
    settings = OptimizerSettings(**(plain | settings))
    return [learning_rate_factor(update, total, settings) for update in range(total + beyond)]


def test_the_rate_rises_linearly_and_a_constant_one_then_stays():
    assert factors(6, warmup_steps=4) == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_a_linear_schedule_falls_in_equal_steps():
    assert factors(5, schedule="linear") == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])
    assert factors(5, schedule="linear", warmup_steps=2, final_learning_rate_share=0.4) == pytest.approx(
        [0.5, 1.0, 0.8, 0.6, 0.4]
    )


def test_a_cosine_schedule_follows_half_a_wave():
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * i / 8)) / 2 for i in range(9)]
    assert factors(9, schedule="cosine", final_learning_rate_share=0.1) == pytest.approx(expected)


@pytest.mark.parametrize("schedule", SCHEDULES)
@given(
    total=st.integers(1, 60),
    warmup=st.integers(0, 80),
    final=st.sampled_from([0.0, 0.1, 1.0]),
    beyond=st.integers(0, 5),
)
def test_the_rate_rises_to_its_peak_falls_to_its_end_and_stays_there(schedule, total, warmup, final, beyond):
    found = factors(total, beyond, schedule=schedule, warmup_steps=warmup, final_learning_rate_share=final)
    peak = max(warmup, 1) - 1
    assert found[: peak + 1] == sorted(found[: peak + 1])
    assert found[peak:] == sorted(found[peak:], reverse=True)
    assert all(0 <= factor <= 1 for factor in found)
    if total > peak:
        assert found[peak] == 1.0
    if total - 1 > peak:
        assert found[total - 1 :] == pytest.approx([1.0 if schedule == "constant" else final] * (beyond + 1))


def test_every_schedule_of_the_settings_exists():
    assert {*SCHEDULES} == {*OptimizerSettings.model_fields["schedule"].annotation.__args__}
