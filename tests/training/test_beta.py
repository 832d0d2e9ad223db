from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.recipe import KlSettings
from shotsmith.training.beta import CONTROLLERS, next_beta

PROPORTIONAL = KlSettings(controller="proportional", target=0.1, horizon=1000)
MULTIPLICATIVE = KlSettings(controller="multiplicative", factor=1.5, low=0.01, high=0.1)


@given(st.floats(0, 100), st.floats(0, 10))
def test_a_fixed_beta_stays_even_outside_the_bounds(beta, kl):
    assert next_beta(beta, kl, 64, KlSettings(controller="fixed", min_beta=1, max_beta=2)) == beta


@pytest.mark.parametrize(
    ("kl", "factor"), [(0.11, 1 + 0.1 * 0.05), (0.095, 1 - 0.05 * 0.05), (5.0, 1.01), (0.0, 0.99), (0.1, 1.0)]
)
def test_the_proportional_controller_follows_its_formula(kl, factor):
    assert next_beta(0.5, kl, 50, PROPORTIONAL) == pytest.approx(0.5 * factor)


def test_the_proportional_controller_moves_with_the_number_of_sequences():
    few, many = (next_beta(0.5, 5.0, sequences, PROPORTIONAL) / 0.5 - 1 for sequences in (10, 100))
    assert many == pytest.approx(10 * few)


@pytest.mark.parametrize(("kl", "factor"), [(0.2, 1.5), (0.1, 1.0), (0.05, 1.0), (0.01, 1.0), (0.005, 1 / 1.5)])
def test_the_multiplicative_controller_moves_only_outside_its_band(kl, factor):
    assert next_beta(0.5, kl, 50, MULTIPLICATIVE) == pytest.approx(0.5 * factor)


def test_the_multiplicative_controller_sinks_to_the_floor_while_kl_is_low():
    beta = 0.1
    for _ in range(12):
        beta = next_beta(beta, 0.0, 1, MULTIPLICATIVE)
    assert beta == MULTIPLICATIVE.min_beta


@pytest.mark.parametrize("controller", CONTROLLERS)
@given(beta=st.floats(0, 100), kl=st.floats(-1, 100), sequences=st.integers(1, 10**6))
def test_a_controlled_beta_stays_within_its_bounds(controller, beta, kl, sequences):
    settings = KlSettings(controller=controller, min_beta=0.01, max_beta=3)
    assert 0.01 <= next_beta(beta, kl, sequences, settings) <= 3


@pytest.mark.parametrize("controller", CONTROLLERS)
@given(kls=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_larger_divergence_never_gives_a_smaller_beta(controller, kls):
    settings = KlSettings(controller=controller)
    smaller, larger = (next_beta(0.5, kl, 100, settings) for kl in sorted(kls))
    assert smaller <= larger


@pytest.mark.parametrize("controller", CONTROLLERS)
@pytest.mark.parametrize("kl", [math.nan, math.inf])
def test_a_skipped_update_moves_no_beta(controller, kl):
    assert next_beta(0.5, kl, 100, KlSettings(controller=controller)) == 0.5


def test_every_controller_of_the_settings_exists():
    assert {"fixed", *CONTROLLERS} == {*KlSettings.model_fields["controller"].annotation.__args__}
