"""What the pointer policy does beyond the contract of all policies."""

from __future__ import annotations

import pytest
import torch
from small_policy import NETWORK, SMALL, WIDTH, inputs_of, policy_of, some_sequences
from torch.utils.flop_counter import FlopCounterMode

from shotsmith.errors import InputError
from shotsmith.policies.parts import STEPS
from shotsmith.policies.pointer import build_policy
from shotsmith.policies.protocol import STOP, Inputs
from shotsmith.recipe import PolicySettings

FIXED = PolicySettings(**SMALL)
STOPPING = PolicySettings(**SMALL, length="stop")


def test_ties_go_to_the_lower_position():
    policy = build_policy(FIXED, WIDTH, 0)
    inputs = Inputs(torch.ones(1, WIDTH), torch.ones(1, 5, WIDTH), torch.ones(1, 5, dtype=torch.bool))
    assert policy.greedy(inputs, 3).tolist() == [[0, 1, 2]]


def test_a_high_temperature_flattens_the_samples():
    policy, inputs = policy_of(FIXED.model_copy(update={"temperature": 0.05})), inputs_of()
    spread = [
        len(policy.sample(inputs, 1, 500, torch.Generator().manual_seed(0), temperature).sequences[0].unique())
        for temperature in (0.1, 100.0)
    ]
    assert spread[0] < spread[1] == 7


@pytest.mark.parametrize("method", ["sample", "sample_distinct"])
def test_the_same_generator_state_gives_the_same_samples(method):
    policy, inputs = policy_of(STOPPING), inputs_of()
    first, second, other = (
        getattr(policy, method)(inputs, 3, 9, torch.Generator().manual_seed(seed)).sequences for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_the_whole_pool_can_be_shown_and_no_more():
    policy, inputs = policy_of(FIXED), inputs_of()
    generator = torch.Generator().manual_seed(0)
    assert policy.greedy(inputs, 5)[1].sort().values.tolist() == [0, 1, 2, 3, 4]
    for choose in (
        lambda: policy.greedy(inputs, 6),
        lambda: policy.sample(inputs, 6, 2, generator),
        lambda: policy.sample_distinct(inputs, 6, 2, generator),
        lambda: policy.beam(inputs, 6, 2),
    ):
        with pytest.raises(InputError, match="6 shots cannot be taken from a pool of 5"):
            choose()


@pytest.mark.parametrize("memory", ["gate", "gpt2"])
def test_a_policy_that_can_stop_takes_pools_of_any_size_and_stops_when_they_are_used_up(memory):
    policy = policy_of(STOPPING.model_copy(update={"memory": memory}))
    with torch.no_grad():
        policy.stop.down.bias -= 20.0
    inputs = inputs_of(pool=4)
    inputs.mask[2] = False
    generator = torch.Generator().manual_seed(0)
    found = [
        policy.greedy(inputs, 4)[:, None],
        policy.sample(inputs, 4, 5, generator).sequences,
        policy.sample_distinct(inputs, 4, 2, generator).sequences,
        policy.beam(inputs, 4, 1)[0],
    ]
    for sequences in found:
        assert (sequences[0] >= 0).all()
        assert (sequences[1][sequences[1, :, 0] >= 0, 2:] == torch.tensor([STOP, -1])).all()
        assert (sequences[2, 0] == torch.tensor([STOP, -1, -1, -1])).all()
    log_probs = policy.log_prob(inputs, found[0])
    assert log_probs[1, 0, 2] == 0 and log_probs[2, 0, 0] == 0
    log_probs.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in policy.parameters())


def test_a_policy_set_on_stopping_shows_nothing():
    policy = policy_of(STOPPING)
    with torch.no_grad():
        policy.stop.down.bias += 50.0
    assert policy.greedy(inputs_of(), 3).tolist() == [[STOP, -1, -1]] * 3


def test_a_padded_step_after_the_last_candidate_gives_no_nan():
    policy = build_policy(FIXED, WIDTH, 0)
    inputs = Inputs(torch.ones(1, WIDTH), torch.randn(1, 2, WIDTH), torch.ones(1, 2, dtype=torch.bool))
    sequences = torch.tensor([[[1, 0, -1]]])
    assert policy.step_distributions(inputs, sequences)[0, 0, 2].isfinite().all()
    policy.log_prob(inputs, sequences).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in policy.parameters())


def test_the_seed_decides_the_weights_and_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    one, same, other = (build_policy(STOPPING, WIDTH, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["memory.up.weight"], other["memory.up.weight"])


@pytest.mark.parametrize("setting", ["dropout", "attention_dropout"])
def test_dropout_acts_in_train_mode_only(setting):
    off = {"dropout": 0.0, "attention_dropout": 0.0}
    policy, inputs = build_policy(PolicySettings(**(NETWORK | off | {setting: 0.5})), WIDTH, 0), inputs_of()
    sequences = some_sequences(inputs)
    assert torch.equal(policy.log_prob(inputs, sequences), policy.log_prob(inputs, sequences))
    policy.train()
    assert not torch.equal(policy.log_prob(inputs, sequences), policy.log_prob(inputs, sequences))


def test_the_first_step_is_scored_once_per_query_however_many_sequences_it_has():
    policy, inputs = build_policy(FIXED, WIDTH, 0), inputs_of()
    costs = []
    for number in (2, 200):
        with FlopCounterMode(display=False) as counter:
            policy.log_prob(inputs, some_sequences(inputs, shots=1, num=number))
        costs.append(counter.get_total_flops())
    assert costs[0] == costs[1]


STEPWISE = [{"memory": "gpt2", "step_embedding": True}, {"memory": "none", "decoding": "parallel"}]


@pytest.mark.parametrize("settings", STEPWISE)
def test_a_policy_made_for_longer_sequences_chooses_them_and_others_refuse(settings):
    settings = PolicySettings(**{**SMALL, **settings})
    inputs = inputs_of(pool=24)
    assert build_policy(settings, WIDTH, 0, steps=20).greedy(inputs, 20).shape == (3, 20)
    with pytest.raises(InputError, match=f"17 shots are more than the {STEPS}"):
        build_policy(settings, WIDTH, 0).greedy(inputs, STEPS + 1)


def test_a_policy_that_learns_nothing_for_a_step_chooses_sequences_of_any_length():
    assert build_policy(PolicySettings(**SMALL), WIDTH, 0).greedy(inputs_of(pool=24), 20).shape == (3, 20)


def test_room_for_up_to_sixteen_steps_gives_the_weights_of_earlier_versions():
    settings = PolicySettings(**SMALL, memory="gpt2", step_embedding=True)
    few, usual = (build_policy(settings, WIDTH, 0, steps=steps).state_dict() for steps in (1, STEPS))
    assert all(torch.equal(value, usual[name]) for name, value in few.items())


CHANGES = [
    ({}, {"hidden_size": 16}),
    ({}, {"layers": 2}),
    ({}, {"heads": 2}),
    ({}, {"candidate_encoder": "self_attention"}),
    ({}, {"feed_forward": True}),
    ({}, {"projections": "random"}),
    ({}, {"temperature": 0.3}),
    ({"scorer": "bilinear"}, {"temperature": 0.3}),
    ({}, {"memory": "none"}),
    ({}, {"memory": "gru"}),
    ({}, {"memory": "gpt2"}),
    ({}, {"step_embedding": True}),
    ({}, {"scorer": "additive"}),
    ({}, {"gains": ("mmr",)}),
    ({"gains": ("coverage",)}, {"topics": 5}),
    ({"gains": ("dpp",)}, {"dpp_rank": 5}),
    ({"memory": "none"}, {"decoding": "parallel"}),
    ({}, {"decoding": "two_stage"}),
    ({"decoding": "two_stage"}, {"top_m": 5}),
]


@pytest.mark.parametrize(("base", "change"), CHANGES, ids=lambda part: "-".join(f"{k}={v}" for k, v in part.items()))
def test_every_setting_of_the_network_changes_what_an_untrained_policy_computes(base, change):
    inputs = inputs_of()
    sequences = some_sequences(inputs)
    before, after = (
        build_policy(PolicySettings(**(NETWORK | base | settings)), WIDTH, 0).log_prob(inputs, sequences)
        for settings in ({}, change)
    )
    assert not torch.allclose(before, after, atol=1e-4)
