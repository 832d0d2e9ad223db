"""Rounded keys lose no entry that the exact scores would have chosen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from every_policy import COMBINATIONS
from hypothesis import given
from hypothesis import strategies as st
from small_policy import bank_inputs_of, policy_of

from shotsmith.policies import rounded_keys
from shotsmith.policies.rounded_keys import RoundedKeys
from shotsmith.policies.single_query import choose, choose_with_log_probs


@pytest.fixture
def small_banks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounded_keys, "LEAST", 1)


@given(
    seed=st.integers(0, 2**32 - 1),
    entries=st.integers(1, 400),
    width=st.sampled_from([1, 3, 16, 128]),
    scale=st.sampled_from([1e-6, 1.0, 1e4]),
    close=st.sampled_from([0.0, 1e-3, 1.0]),
    number=st.integers(1, 9),
)
def test_the_highest_scores_are_always_found(
    seed: int, entries: int, width: int, scale: float, close: float, number: int
) -> None:
    """Also where keys are nearly alike, all zero, or excluded, and where scores are very large or small."""
    rng = torch.Generator().manual_seed(seed)
    keys = scale * (torch.randn(1, width, generator=rng) + close * torch.randn(entries, width, generator=rng))
    keys[torch.rand(entries, generator=rng) < 0.1] = 0.0
    vector, alone = torch.randn(width, generator=rng), scale * torch.randn(entries, generator=rng)
    alone[torch.rand(entries, generator=rng) < 0.2] = -torch.inf
    number = min(number, entries)
    exact = torch.addmv(alone, keys, vector).numpy()
    slack = 1e-3 * scale
    places, scores = RoundedKeys(keys).highest(vector, alone, number, slack)
    wanted = np.flatnonzero(exact >= np.partition(exact, -number)[-number] - slack)
    if np.isfinite(exact).sum() >= number:
        assert set(wanted) <= set(places)
    assert list(places) == sorted(set(places))
    np.testing.assert_allclose(scores, exact[places], rtol=1e-4, atol=1e-4 * scale)


def test_few_entries_are_scored_where_keys_are_spread() -> None:
    keys = torch.randn(20_000, 128, generator=torch.Generator().manual_seed(0))
    places, _ = RoundedKeys(keys).highest(keys[7], torch.zeros(len(keys)), 1, 0.0)
    assert 7 in places
    assert len(places) < 20


@pytest.mark.parametrize("name", ["plain"])
def test_choices_and_probabilities_are_those_of_all_keys(name: str, small_banks: None) -> None:
    policy = policy_of(COMBINATIONS[name])
    inputs = bank_inputs_of(queries=1, entries=30)
    assert inputs.bank.rounded(policy) is not None
    rows, log_probs = choose_with_log_probs(policy, inputs, 4)
    assert rows == choose(policy, inputs, 4) == policy.greedy(inputs, 4)[0].tolist()
    assert log_probs == pytest.approx(policy.locate(inputs, torch.tensor([[rows]])).log_probs[0, 0].tolist(), abs=1e-4)


def test_rounded_keys_follow_the_weights_and_the_bank(small_banks: None) -> None:
    policy, inputs = policy_of(COMBINATIONS["plain"]), bank_inputs_of(queries=1, entries=30)
    before = inputs.bank.rounded(policy)
    assert inputs.bank.rounded(policy) is before
    inputs.bank.add(inputs.bank.embeddings[:3] + 0.1)
    assert choose(policy, inputs, 4) == policy.greedy(inputs, 4)[0].tolist()
    after = inputs.bank.rounded(policy)
    assert after is not before
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.05
    assert inputs.bank.rounded(policy) is not after
    assert choose(policy, inputs, 4) == policy.greedy(inputs, 4)[0].tolist()
