"""The contract every policy keeps, on every combination of settings."""

from __future__ import annotations

import itertools
import math
from typing import get_args

import pytest
import torch

from shotsmith.errors import InputError
from shotsmith.policies.pointer import PointerPolicy, build_policy
from shotsmith.policies.protocol import Inputs
from shotsmith.recipe import PolicySettings

WIDTH = 6
COMBINATIONS = [
    PolicySettings(hidden_size=8, memory=memory, feed_forward=feed_forward, layers=layers, heads=heads)
    for memory, feed_forward, (layers, heads) in itertools.product(
        get_args(PolicySettings.model_fields["memory"].annotation), (False, True), ((1, 1), (2, 2), (3, 4))
    )
]
every_combination = pytest.mark.parametrize(
    "settings", COMBINATIONS, ids=lambda s: f"{s.memory}-{'ff' if s.feed_forward else 'plain'}-{s.layers}x{s.heads}"
)


def policy_of(settings: PolicySettings, seed: int = 0) -> PointerPolicy:
    """Away from its starting point, where the projections are the identity."""
    policy = build_policy(settings, WIDTH, seed)
    noise = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=noise)
    return policy


def inputs_of(queries: int = 3, pool: int = 7, seed: int = 1) -> Inputs:
    """Some queries; the second has a pool that is two smaller."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.ones(queries, pool, dtype=torch.bool)
    mask[1, -2:] = False
    return Inputs(
        torch.randn(queries, WIDTH, generator=generator), torch.randn(queries, pool, WIDTH, generator=generator), mask
    )


def some_sequences(inputs: Inputs, shots: int = 3, num: int = 4, seed: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(len(inputs.mask), num, inputs.mask.shape[1], generator=generator)
    return scores.masked_fill(~inputs.mask[:, None], -1).topk(shots, dim=-1).indices


def plain_log_prob(policy: PointerPolicy, inputs: Inputs, sequences: torch.Tensor) -> torch.Tensor:
    """A loop over queries, sequences and steps, with nothing batched: what the vectorised path must equal."""
    encoder = policy.encoder
    rows = []
    for query, candidates, mask, group in zip(inputs.queries, inputs.candidates, inputs.mask, sequences, strict=True):
        pool = candidates[mask] @ encoder.input_proj.weight.T
        state = encoder.input_proj.weight @ query
        for attention, norm in zip(encoder.cross_attn_layers, encoder.attn_norms, strict=True):
            seen, _ = attention(state[None, None], pool[None], pool[None], need_weights=True)
            state = norm(state + seen[0, 0])
        start = encoder.query_proj.weight @ encoder.query_feed_forward(state)
        start = start / start.norm()
        projected = [encoder.cand_proj.weight @ encoder.cand_feed_forward(row) for row in pool]
        units = [row / row.norm() for row in projected]
        for sequence in group.tolist():
            state, left, steps = start, list(range(len(units))), []
            for position in sequence:
                if position < 0:
                    steps.append(torch.zeros(()))
                    continue
                scores = torch.stack([state @ units[i] for i in left]) / policy.settings.temperature
                steps.append(scores[left.index(position)] - torch.logsumexp(scores, 0))
                left.remove(position)
                state = policy.memory(state, units[position])
            rows.append(torch.stack(steps))
    return torch.stack(rows).view(sequences.shape)


def gradients(policy: PointerPolicy, value: torch.Tensor) -> list[torch.Tensor]:
    found = torch.autograd.grad(value, list(policy.parameters()), allow_unused=True)
    return [torch.zeros(()) if gradient is None else gradient for gradient in found]


@every_combination
def test_log_prob_and_its_gradient_equal_a_plain_loop_over_queries_sequences_and_steps(settings):
    policy, inputs = policy_of(settings), inputs_of()
    sequences = some_sequences(inputs)
    sequences[0, 1, 2:] = -1
    sequences[2, 0, 1:] = -1
    fast, slow = policy.log_prob(inputs, sequences), plain_log_prob(policy, inputs, sequences)
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)
    weights = torch.randn(fast.shape, generator=torch.Generator().manual_seed(3))
    for one, other in zip(
        gradients(policy, (fast * weights).sum()), gradients(policy, (slow * weights).sum()), strict=True
    ):
        torch.testing.assert_close(one, other.expand_as(one), atol=1e-5, rtol=1e-4)


@every_combination
def test_probabilities_of_the_unmasked_candidates_sum_to_one_at_every_step(settings):
    policy, inputs = policy_of(settings), inputs_of()
    sequences = some_sequences(inputs)
    distributions = policy.step_distributions(inputs, sequences)
    torch.testing.assert_close(distributions.exp().sum(-1), torch.ones(sequences.shape))
    earlier = [sequences[..., :t] for t in range(sequences.shape[-1])]
    for t, taken in enumerate(earlier):
        assert (distributions[:, :, t].gather(-1, taken) == -math.inf).all()
        assert (distributions[:, :, t].isfinite().sum(-1) == inputs.mask.sum(-1)[:, None] - t).all()
    assert (distributions[1, ..., -2:] == -math.inf).all()


@every_combination
def test_log_prob_reads_the_chosen_candidates_and_is_zero_where_padded(settings):
    policy, inputs = policy_of(settings), inputs_of()
    sequences = some_sequences(inputs)
    whole = policy.log_prob(inputs, sequences)
    chosen = policy.step_distributions(inputs, sequences).gather(-1, sequences[..., None]).squeeze(-1)
    torch.testing.assert_close(whole, chosen)
    shorter = sequences.clone()
    shorter[..., 1:] = -1
    cut = policy.log_prob(inputs, shorter)
    torch.testing.assert_close(cut[..., 0], whole[..., 0])
    assert (cut[..., 1:] == 0).all()


@every_combination
def test_sampled_sequences_hold_no_demonstration_twice_and_no_padding(settings):
    policy, inputs = policy_of(settings), inputs_of()
    sequences, log_probs = policy.sample(inputs, shots=5, num=50, generator=torch.Generator().manual_seed(0))
    assert sequences.shape == (3, 50, 5)
    assert all(len(set(sequence)) == 5 for group in sequences.tolist() for sequence in group)
    assert sequences[1].max() < 5
    torch.testing.assert_close(log_probs, policy.log_prob(inputs, sequences), atol=1e-5, rtol=1e-5)


@every_combination
def test_permuting_the_pool_permutes_the_result(settings):
    policy, inputs = policy_of(settings), inputs_of()
    sequences = some_sequences(inputs)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(4))
    permuted = Inputs(inputs.queries, inputs.candidates[:, order], inputs.mask[:, order])
    moved = order.argsort()[sequences]
    torch.testing.assert_close(
        policy.step_distributions(permuted, moved),
        policy.step_distributions(inputs, sequences)[..., order],
        atol=1e-5,
        rtol=1e-5,
    )
    assert torch.equal(policy.greedy(permuted, 4), order.argsort()[policy.greedy(inputs, 4)])


@every_combination
def test_padding_the_pool_changes_nothing(settings):
    policy, inputs = policy_of(settings), inputs_of()
    sequences = some_sequences(inputs)
    padded = Inputs(
        inputs.queries,
        torch.cat([inputs.candidates, torch.full((3, 4, WIDTH), 9.0)], 1),
        torch.cat([inputs.mask, torch.zeros(3, 4, dtype=torch.bool)], 1),
    )
    torch.testing.assert_close(
        policy.step_distributions(padded, sequences)[..., :7],
        policy.step_distributions(inputs, sequences),
        atol=1e-5,
        rtol=1e-5,
    )
    assert torch.equal(policy.greedy(padded, 4), policy.greedy(inputs, 4))


@every_combination
def test_gradients_reach_every_parameter(settings):
    policy, inputs = build_policy(settings, WIDTH, 0), inputs_of(queries=8)
    policy.log_prob(inputs, some_sequences(inputs)).sum().backward()
    assert [name for name, p in policy.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


@every_combination
def test_greedy_takes_the_most_probable_candidate_of_every_step_and_never_varies(settings):
    policy, inputs = policy_of(settings), inputs_of()
    sequences = policy.greedy(inputs, 4)
    distributions = policy.step_distributions(inputs, sequences[:, None])[:, 0]
    assert torch.equal(distributions.argmax(-1), sequences)
    assert torch.equal(sequences, policy.greedy(inputs, 4))


@every_combination
def test_a_wide_beam_equals_exhaustive_search(settings):
    policy, inputs = policy_of(settings), inputs_of(pool=6)
    sequences, totals = policy.beam(inputs, shots=3, width=1000)
    for query, size in enumerate((6, 4, 6)):
        every = torch.tensor(list(itertools.permutations(range(size), 3)))
        one = Inputs(*(part[query : query + 1] for part in (inputs.queries, inputs.candidates, inputs.mask)))
        expected, order = policy.log_prob(one, every[None])[0].sum(-1).sort(descending=True)
        torch.testing.assert_close(totals[query, : len(every)], expected, atol=1e-5, rtol=1e-5)
        found = sequences[query, : len(every)]
        torch.testing.assert_close(policy.log_prob(one, found[None])[0].sum(-1), expected, atol=1e-5, rtol=1e-5)
        assert sorted(found.tolist()) == every.tolist()
        assert torch.equal(found[0], every[order[0]])
        assert (sequences[query, len(every) :] == -1).all()
        assert (totals[query, len(every) :] == -math.inf).all()
    assert sequences.shape[1] == 120


def test_a_beam_of_one_is_greedy():
    policy, inputs = policy_of(COMBINATIONS[-1]), inputs_of()
    assert torch.equal(policy.beam(inputs, 3, 1)[0][:, 0], policy.greedy(inputs, 3))


def test_ties_go_to_the_lower_position():
    policy = build_policy(PolicySettings(hidden_size=8), WIDTH, 0)
    inputs = Inputs(torch.ones(1, WIDTH), torch.ones(1, 5, WIDTH), torch.ones(1, 5, dtype=torch.bool))
    assert policy.greedy(inputs, 3).tolist() == [[0, 1, 2]]


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_sample_frequencies_match_the_sampling_distribution(temperature):
    policy, inputs = policy_of(PolicySettings(hidden_size=8, temperature=0.5)), inputs_of(pool=5)
    draws = 40_000
    sequences, log_probs = policy.sample(inputs, 2, draws, torch.Generator().manual_seed(5), temperature)
    for query in (0, 1, 2):
        names, first = (sequences[query] @ torch.tensor([5, 1])).unique(return_inverse=True)
        frequency = torch.bincount(first, minlength=len(names)) / draws
        probability = torch.zeros(len(names)).scatter(0, first, log_probs[query].sum(-1).exp())
        error = 5 * (probability * (1 - probability) / draws).sqrt()
        assert ((frequency - probability).abs() <= error + 1e-4).all()
        assert probability.sum() == pytest.approx(1.0, abs=2e-3)


def test_a_high_temperature_flattens_the_samples():
    policy, inputs = policy_of(PolicySettings(hidden_size=8, temperature=0.05)), inputs_of()
    spread = [
        len(policy.sample(inputs, 1, 500, torch.Generator().manual_seed(0), temperature)[0][0].unique())
        for temperature in (0.1, 100.0)
    ]
    assert spread[0] < spread[1] == 7


def test_the_same_generator_state_gives_the_same_samples():
    policy, inputs = policy_of(COMBINATIONS[-1]), inputs_of()
    first, second, other = (policy.sample(inputs, 3, 9, torch.Generator().manual_seed(s))[0] for s in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_the_whole_pool_can_be_shown_and_no_more():
    policy, inputs = policy_of(COMBINATIONS[0]), inputs_of()
    generator = torch.Generator().manual_seed(0)
    assert policy.greedy(inputs, 5)[1].sort().values.tolist() == [0, 1, 2, 3, 4]
    for choose in (
        lambda: policy.greedy(inputs, 6),
        lambda: policy.sample(inputs, 6, 2, generator),
        lambda: policy.beam(inputs, 6, 2),
    ):
        with pytest.raises(InputError, match="6 shots cannot be taken from a pool of 5"):
            choose()


def test_a_padded_step_after_the_last_candidate_gives_no_nan():
    policy = build_policy(COMBINATIONS[-1], WIDTH, 0)
    inputs = Inputs(torch.ones(1, WIDTH), torch.randn(1, 2, WIDTH), torch.ones(1, 2, dtype=torch.bool))
    sequences = torch.tensor([[[1, 0, -1]]])
    assert not policy.step_distributions(inputs, sequences).isnan().any()
    policy.log_prob(inputs, sequences).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in policy.parameters())


def test_the_seed_decides_the_weights_and_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    one, same, other = (build_policy(COMBINATIONS[-1], WIDTH, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["encoder.input_proj.weight"], other["encoder.input_proj.weight"])


def test_dropout_acts_in_train_mode_only():
    for setting in ("dropout", "attention_dropout"):
        off = {"dropout": 0.0, "attention_dropout": 0.0}
        policy, inputs = build_policy(PolicySettings(hidden_size=8, **(off | {setting: 0.5})), WIDTH, 0), inputs_of()
        sequences = some_sequences(inputs)
        assert torch.equal(policy.log_prob(inputs, sequences), policy.log_prob(inputs, sequences))
        policy.train()
        assert not torch.equal(policy.log_prob(inputs, sequences), policy.log_prob(inputs, sequences)), setting


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": 16},
        {"layers": 2},
        {"heads": 2},
        {"feed_forward": True},
        {"temperature": 0.3},
        {"memory": "none"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_setting_of_the_network_changes_what_it_computes(change):
    inputs = inputs_of()
    sequences = some_sequences(inputs)
    base, changed = (
        build_policy(PolicySettings(**({"hidden_size": 8} | settings)), WIDTH, 0).log_prob(inputs, sequences)
        for settings in ({}, change)
    )
    assert not torch.allclose(base, changed, atol=1e-4)
