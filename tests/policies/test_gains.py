from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from shotsmith.policies.gains.dpp import RIDGE
from shotsmith.policies.parts import Encoded
from shotsmith.recipe import PolicySettings
from shotsmith.recipe.policy import GAINS

QUERIES, POOL, HIDDEN, RANK = 2, 7, 8, 3
SEEDS = st.integers(0, 2**31 - 1)
EVERY = pytest.mark.parametrize("name", sorted(GAINS))


def drawn_encoded(seed: int, pool: int = POOL) -> Encoded:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(QUERIES, pool + 1, HIDDEN, dtype=torch.float64, generator=generator)
    query, candidates = functional.normalize(values, dim=-1).split([1, pool], dim=1)
    return Encoded(query[:, 0], candidates, torch.ones(QUERIES, pool, dtype=torch.bool))


def drawn_sequences(seed: int, shots: int, groups: int = 3, pool: int = POOL) -> torch.Tensor:
    weights = torch.ones(QUERIES * groups, pool)
    drawn = torch.multinomial(weights, shots, generator=torch.Generator().manual_seed(seed))
    return drawn.view(QUERIES, groups, shots)


def built(name: str, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    gain = GAINS[name](PolicySettings(hidden_size=HIDDEN, topics=4, dpp_rank=RANK)).double()
    with torch.no_grad():
        gain.weight.fill_(0.3)
    return gain


def gains_along(gain, encoded: Encoded, sequences: torch.Tensor) -> torch.Tensor:
    """The gains before each step, and after the last: [B, G, T + 1, K]."""
    state = {key: value.expand(-1, sequences.shape[1], *value.shape[2:]) for key, value in gain.start(encoded).items()}
    found = [gain.gain(encoded, state)]
    for choice in sequences.unbind(-1):
        state = gain.advance(encoded, state, choice)
        found.append(gain.gain(encoded, state))
    return torch.stack(found, dim=2)


def of_chosen(gains: torch.Tensor, sequences: torch.Tensor) -> torch.Tensor:
    """[B, G, T]: what each chosen candidate gained when it was chosen."""
    return gains[:, :, :-1].gather(-1, sequences[..., None]).squeeze(-1)


def strength(gain) -> torch.Tensor:
    return functional.softplus(gain.weight)


def log_det(gain, candidates: torch.Tensor, chosen: list[int]) -> torch.Tensor:
    unit = functional.normalize(candidates[chosen] @ gain.features.weight.T, dim=-1)
    return torch.logdet(unit @ unit.T + RIDGE * torch.eye(len(chosen), dtype=unit.dtype))


def similarities(gain, encoded: Encoded) -> torch.Tensor:
    unit = functional.normalize(encoded.candidates @ gain.features.weight.T, dim=-1)
    return unit @ unit.mT


@EVERY
@settings(deadline=None, max_examples=15)
@given(seed=SEEDS)
def test_permuting_the_pool_permutes_the_gains(name, seed):
    encoded, sequences, gain = drawn_encoded(seed), drawn_sequences(seed, 4), built(name, seed)
    order = torch.randperm(POOL, generator=torch.Generator().manual_seed(seed))
    permuted = Encoded(encoded.query, encoded.candidates[:, order], encoded.mask[:, order])
    there = gains_along(gain, permuted, order.argsort()[sequences])
    torch.testing.assert_close(there, gains_along(gain, encoded, sequences)[..., order])


@EVERY
@pytest.mark.parametrize("filler", [0.0, 1.0, -50.0])
def test_padding_the_pool_changes_nothing_and_stays_finite(name, filler):
    encoded, sequences, gain = drawn_encoded(1), drawn_sequences(1, 4), built(name)
    padded = Encoded(
        encoded.query,
        functional.pad(encoded.candidates, (0, 0, 0, 3), value=filler),
        functional.pad(encoded.mask, (0, 3), value=False),
    )
    there = gains_along(gain, padded, sequences)
    assert there.isfinite().all()
    torch.testing.assert_close(there[..., :POOL], gains_along(gain, encoded, sequences))


@EVERY
def test_a_query_and_a_sequence_get_the_same_gains_alone_as_among_others(name):
    encoded, sequences, gain = drawn_encoded(2), drawn_sequences(2, 3), built(name)
    together = gains_along(gain, encoded, sequences)
    for b in range(QUERIES):
        alone = Encoded(encoded.query[b : b + 1], encoded.candidates[b : b + 1], encoded.mask[b : b + 1])
        for g in range(sequences.shape[1]):
            found = gains_along(gain, alone, sequences[b : b + 1, g : g + 1])
            torch.testing.assert_close(found, together[b : b + 1, g : g + 1])


@EVERY
def test_gains_of_copies_in_single_precision_are_finite_with_finite_gradients(name):
    # All candidates are one, chosen over and over: nothing could be more redundant.
    gain = built(name).float()
    values = functional.normalize(torch.ones(1, POOL, HIDDEN), dim=-1).requires_grad_()
    encoded = Encoded(values[:, 0], values, torch.ones(1, POOL, dtype=torch.bool))
    found = gains_along(gain, encoded, torch.arange(16)[None, None] % POOL)
    assert found.isfinite().all()
    found.sum().backward()
    assert all(leaf.grad.isfinite().all() for leaf in (values, *gain.parameters()))


@EVERY
def test_gradients_reach_every_parameter_and_the_candidates(name):
    encoded, sequences, gain = drawn_encoded(3), drawn_sequences(3, 3), built(name)
    encoded.candidates.requires_grad_()
    of_chosen(gains_along(gain, encoded, sequences), sequences).sum().backward()
    for leaf in (encoded.candidates, *gain.parameters()):
        assert leaf.grad.isfinite().all() and leaf.grad.abs().sum() > 0


@EVERY
def test_gradients_are_those_of_finite_differences(name):
    encoded, sequences, gain = drawn_encoded(4), drawn_sequences(4, 3), built(name)

    def found(candidates: torch.Tensor) -> torch.Tensor:
        return gains_along(gain, Encoded(encoded.query, candidates, encoded.mask), sequences)

    assert torch.autograd.gradcheck(found, (encoded.candidates.clone().requires_grad_(),))


def test_states_of_all_gains_fit_into_one_mapping_and_start_with_one_sequence():
    encoded = drawn_encoded(5)
    states = {name: built(name).start(encoded) for name in GAINS}
    for name, state in states.items():
        for key, value in state.items():
            assert key.startswith(f"{name}.") and value.shape[:2] == (QUERIES, 1)
    assert len({key for state in states.values() for key in state}) == sum(len(state) for state in states.values())


def test_mmr_is_minus_the_largest_cosine_to_what_is_chosen_even_a_negative_one():
    encoded, sequences, gain = drawn_encoded(6), drawn_sequences(6, 4), built("mmr")
    found = gains_along(gain, encoded, sequences)
    cosine = encoded.candidates @ encoded.candidates.mT
    assert (found[:, :, 0] == 0).all()
    assert (found > 0).any()
    for b, g, t in torch.cartesian_prod(torch.arange(QUERIES), torch.arange(3), torch.arange(1, 5)).tolist():
        largest = cosine[b, sequences[b, g, :t]].amax(0)
        torch.testing.assert_close(found[b, g, t], -strength(gain) * largest)


def covered(gain, encoded: Encoded, b: int, chosen: list[int]) -> torch.Tensor:
    interest = functional.softmax(gain.prototypes @ encoded.query[b], dim=-1)
    about = functional.softmax(encoded.candidates[b, chosen] @ gain.prototypes.T, dim=-1)
    return (interest * (1 - (1 - about).prod(0))).sum()


def test_coverage_gains_add_up_to_the_coverage_of_what_is_chosen():
    encoded, sequences, gain = drawn_encoded(7), drawn_sequences(7, 5), built("coverage")
    totals = of_chosen(gains_along(gain, encoded, sequences), sequences).cumsum(-1) / strength(gain)
    for b, g, t in torch.cartesian_prod(torch.arange(QUERIES), torch.arange(3), torch.arange(5)).tolist():
        chosen = sequences[b, g, : t + 1].tolist()
        torch.testing.assert_close(totals[b, g, t], covered(gain, encoded, b, chosen))


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS)
def test_coverage_is_monotone_and_submodular(seed):
    encoded, sequences, gain = drawn_encoded(seed), drawn_sequences(seed, 5), built("coverage", seed)
    found = gains_along(gain, encoded, sequences)
    assert (found >= 0).all()
    assert (found.diff(dim=2) <= 1e-12).all()


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS)
def test_dpp_gains_add_up_to_log_det_beyond_the_rank_too(seed):
    encoded, sequences, gain = drawn_encoded(seed), drawn_sequences(seed, 6), built("dpp", seed)
    totals = of_chosen(gains_along(gain, encoded, sequences), sequences).cumsum(-1) / strength(gain)
    for b, g, t in torch.cartesian_prod(torch.arange(QUERIES), torch.arange(3), torch.arange(6)).tolist():
        expected = log_det(gain, encoded.candidates[b], sequences[b, g, : t + 1].tolist())
        torch.testing.assert_close(totals[b, g, t], expected, rtol=0, atol=1e-5)


def test_dpp_gradients_are_those_of_log_det_beyond_the_rank_too():
    encoded, sequences, gain = drawn_encoded(8), drawn_sequences(8, 5), built("dpp")
    encoded.candidates.requires_grad_()
    leaves = (encoded.candidates, gain.features.weight)
    total = of_chosen(gains_along(gain, encoded, sequences), sequences).sum() / strength(gain)
    expected = sum(
        log_det(gain, encoded.candidates[b], sequences[b, g].tolist()) for b in range(QUERIES) for g in range(3)
    )
    found, wanted = torch.autograd.grad(total, leaves), torch.autograd.grad(expected, leaves)
    torch.testing.assert_close(found, wanted)


@settings(deadline=None, max_examples=25)
@given(seed=SEEDS)
def test_max_similarity_equals_dpp_for_one_chosen_and_never_sees_more_redundancy(seed):
    encoded, sequences = drawn_encoded(seed), drawn_sequences(seed, 4)
    exact, approximate = built("dpp", seed), built("dpp_max_similarity", seed)
    found = gains_along(approximate, encoded, sequences)
    wanted = gains_along(exact, encoded, sequences)
    torch.testing.assert_close(found[:, :, :2], wanted[:, :, :2])
    assert (found >= wanted - 1e-9).all()
    assert (found[:, :, 2:] > wanted[:, :, 2:] + 1e-3).any()


def test_max_similarity_counts_the_most_similar_alone():
    encoded, sequences, gain = drawn_encoded(9), drawn_sequences(9, 4), built("dpp_max_similarity")
    found = gains_along(gain, encoded, sequences)
    alike = similarities(gain, encoded)
    for b, g, t in torch.cartesian_prod(torch.arange(QUERIES), torch.arange(3), torch.arange(1, 5)).tolist():
        largest = alike[b, sequences[b, g, :t]].square().amax(0)
        residual = 1 + RIDGE - largest / (1 + RIDGE)
        torch.testing.assert_close(found[b, g, t], strength(gain) * residual.log())
