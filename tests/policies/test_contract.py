"""The contract every policy keeps (policies.protocol), on every value of every setting and on every preset.

A new part is picked up as soon as `PolicySettings` names it.
"""

from __future__ import annotations

import math
from typing import Literal, get_args, get_origin

import torch
from every_policy import COMBINATIONS, GAINS, close, on_every_combination
from plain_policy import plain_log_prob
from safetensors.torch import load, save
from small_policy import WIDTH, gradients, inputs_of, policy_of, some_sequences
from torch.nn import functional

from shotsmith.policies.pointer import PointerPolicy, build_policy
from shotsmith.policies.protocol import STOP, Inputs, taken
from shotsmith.recipe import PolicySettings


def prepared(name: str) -> tuple[PointerPolicy, Inputs, torch.Tensor]:
    """A policy, inputs, and sequences [2, 4, 3] with padding and, where it is allowed, STOP."""
    policy, inputs = policy_of(COMBINATIONS[name]), inputs_of(queries=2)
    sequences = some_sequences(inputs, can_stop=policy.can_stop)
    sequences[0, 3, 2:] = -1
    sequences[1, 0, 1:] = -1
    return policy, inputs, sequences


def test_the_combinations_hold_every_value_of_every_setting():
    for name, field in PolicySettings.model_fields.items():
        if get_origin(field.annotation) is Literal:
            assert {getattr(settings, name) for settings in COMBINATIONS.values()} == set(get_args(field.annotation))
    assert set(GAINS) == {gain for settings in COMBINATIONS.values() for gain in settings.gains}


@on_every_combination
def test_log_prob_and_its_gradient_equal_a_plain_loop_over_queries_sequences_and_steps(name):
    policy, inputs, sequences = prepared(name)
    fast, slow = policy.log_prob(inputs, sequences), plain_log_prob(policy, inputs, sequences)
    close(fast, slow)
    weights = torch.randn(fast.shape, generator=torch.Generator().manual_seed(3)) / fast.numel()
    for one, other in zip(
        gradients(policy, (fast * weights).sum()), gradients(policy, (slow * weights).sum()), strict=True
    ):
        close(one, other)


@on_every_combination
def test_step_distributions_sum_to_one_and_log_prob_reads_them(name):
    policy, inputs, sequences = prepared(name)
    distributions, log_probs = policy.step_distributions(inputs, sequences), policy.log_prob(inputs, sequences)
    close(distributions.exp().sum(-1), torch.ones(sequences.shape))
    candidates = distributions[..., :7]
    assert distributions.shape[-1] == 7 + policy.can_stop
    for (b, g, t), choice in ((place, sequences[tuple(place)].item()) for place in taken(sequences).nonzero().tolist()):
        assert log_probs[b, g, t] == distributions[b, g, t, 7 if choice == STOP else choice]
        open_to = inputs.mask[b].clone()
        open_to[sequences[b, g, :t]] = False
        assert torch.equal(candidates[b, g, t].isfinite(), open_to)
    assert (log_probs[~taken(sequences)] == 0).all()
    assert (candidates[1, ..., 5:] == -math.inf).all()


@on_every_combination
def test_samples_hold_nothing_twice_and_come_with_the_log_probabilities_they_have(name):
    policy, inputs, _ = prepared(name)
    generator = torch.Generator().manual_seed(0)
    independent = policy.sample(inputs, 4, 30, generator)
    distinct = policy.sample_distinct(inputs, 4, 30, generator)
    for found in (independent, distinct):
        close(found.log_probs, policy.log_prob(inputs, found.sequences))
        assert found.shortlists is None and torch.equal(found.shown, found.sequences)
        assert found.weights.shape == (2, 30) and (found.weights > 0).all()
        drawn = found.sequences
        assert drawn.shape == (2, 30, 4)
        assert drawn[1].max() < 5
        for sequence in drawn.flatten(0, 1).tolist():
            shown = [choice for choice in sequence if choice >= 0]
            assert len(set(shown)) == len(shown)
            ending = [STOP, -1, -1, -1] if policy.can_stop else []
            assert sequence[len(shown) :] == ending[: 4 - len(shown)]
    assert (independent.weights == 1).all()
    assert all(len(set(map(tuple, group))) == 30 for group in distinct.sequences.tolist())


@on_every_combination
def test_permuting_the_pool_permutes_the_result(name):
    policy, inputs, sequences = prepared(name)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(4))
    permuted = Inputs(inputs.queries, inputs.candidates[:, order], inputs.mask[:, order])
    columns = torch.cat([order, torch.tensor([7])])[: 7 + policy.can_stop]

    def moved(positions: torch.Tensor) -> torch.Tensor:
        return torch.where(positions < 0, positions, order.argsort()[positions.clamp(min=0)])

    real = taken(sequences)
    close(
        policy.step_distributions(permuted, moved(sequences))[real],
        policy.step_distributions(inputs, sequences)[..., columns][real],
    )
    assert torch.equal(policy.greedy(permuted, 4), moved(policy.greedy(inputs, 4)))


@on_every_combination
def test_a_query_has_the_same_distributions_alone_and_among_larger_pools(name):
    policy, inputs, sequences = prepared(name)
    together = policy.step_distributions(inputs, sequences)
    padded = Inputs(
        inputs.queries,
        functional.pad(inputs.candidates, (0, 0, 0, 4), value=9.0),
        functional.pad(inputs.mask, (0, 4), value=False),
    )
    among = policy.step_distributions(padded, sequences)
    close(among[..., [*range(7), *range(11, 11 + policy.can_stop)]], together)
    assert torch.equal(policy.greedy(padded, 4), policy.greedy(inputs, 4))
    alone = Inputs(inputs.queries[1:2], inputs.candidates[1:2, :5], inputs.mask[1:2, :5])
    found = policy.step_distributions(alone, sequences[1:2])
    close(found, together[1:2][..., [*range(5), *range(7, 7 + policy.can_stop)]])


@on_every_combination
def test_greedy_takes_the_best_of_every_step_is_a_beam_of_one_and_never_varies(name):
    policy, inputs, _ = prepared(name)
    sequences = policy.greedy(inputs, 4)
    best = policy.step_distributions(inputs, sequences[:, None])[:, 0].argmax(-1)
    column = torch.where(sequences == STOP, 7, sequences)
    assert torch.equal(torch.where(taken(sequences), best, -1), column)
    assert torch.equal(sequences, policy.greedy(inputs, 4))
    assert torch.equal(sequences, policy.beam(inputs, 4, 1)[0][:, 0])


@on_every_combination
def test_gradients_reach_every_parameter(name):
    policy = policy_of(COMBINATIONS[name])
    reached = {parameter_name: False for parameter_name, _ in policy.named_parameters()}
    for seed in range(3):
        inputs = inputs_of(seed=seed)
        policy.zero_grad()
        policy.log_prob(inputs, some_sequences(inputs, seed=seed, can_stop=policy.can_stop)).sum().backward()
        for parameter_name, parameter in policy.named_parameters():
            assert parameter.grad is not None and parameter.grad.isfinite().all(), parameter_name
            reached[parameter_name] |= bool(parameter.grad.abs().max() > 0)
    assert all(reached.values()), [parameter_name for parameter_name, found in reached.items() if not found]


@on_every_combination
def test_saved_weights_give_the_same_logits_and_eval_mode_has_no_randomness(name):
    policy, inputs, sequences = prepared(name)
    other = build_policy(policy.settings, WIDTH, seed=1)
    other.load_state_dict(load(save(policy.state_dict())), strict=True)
    expected = policy.step_distributions(inputs, sequences)
    assert torch.equal(other.step_distributions(inputs, sequences), expected)
    assert torch.equal(policy.step_distributions(inputs, sequences), expected)
