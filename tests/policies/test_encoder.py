from __future__ import annotations

import itertools

import pytest
import torch
from small_policy import SMALL, WIDTH, inputs_of
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from shotsmith.policies.attention import SingleQueryAttention
from shotsmith.policies.encoder import CrossAttentionEncoder
from shotsmith.policies.protocol import Inputs
from shotsmith.recipe import PolicySettings

HIDDEN = 8


def encoder_of(**settings: object) -> CrossAttentionEncoder:
    torch.manual_seed(0)
    return CrossAttentionEncoder(PolicySettings(**(SMALL | settings)), WIDTH)


@pytest.mark.parametrize(
    ("heads", "absorbed", "dropout", "train"),
    [(*case, *mode) for case, mode in itertools.product(
        itertools.product((1, 2, 4), (False, True)), ((0.0, True), (0.5, False), (0.5, True)))],
)  # fmt: skip
def test_attention_is_that_of_torch_forward_and_gradient(heads, absorbed, dropout, train):
    torch.manual_seed(0)
    ours = SingleQueryAttention(HIDDEN, heads, dropout).train(train)
    nn.init.normal_(ours.in_proj_bias)
    nn.init.normal_(ours.out_proj.bias)
    theirs = nn.MultiheadAttention(HIDDEN, heads, dropout, batch_first=True).train(train)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    query, through = torch.randn(5, HIDDEN, requires_grad=True), torch.randn(HIDDEN, WIDTH, requires_grad=True)
    seen = torch.randn(5, 7, WIDTH if absorbed else HIDDEN, requires_grad=True)
    mask = torch.arange(7) < torch.tensor([7, 1, 4, 6, 7])[:, None]

    torch.manual_seed(1)
    fast = ours(query, seen, mask, through if absorbed else None)
    values = functional.linear(seen, through) if absorbed else seen
    torch.manual_seed(1)  # the same weights are dropped
    slow, _ = theirs(query[:, None], values, values, key_padding_mask=~mask, need_weights=True)
    torch.testing.assert_close(fast, slow[:, 0], atol=1e-5, rtol=1e-5)

    leaves = (query, seen) + ((through,) if absorbed else ())
    weights = torch.randn(fast.shape)
    found = torch.autograd.grad((fast * weights).sum(), [*leaves, *ours.parameters()])
    expected = torch.autograd.grad((slow[:, 0] * weights).sum(), [*leaves, *theirs.parameters()])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def test_attention_starts_as_that_of_torch():
    torch.manual_seed(0)
    ours = SingleQueryAttention(64, 2, 0.0).state_dict()
    theirs = nn.MultiheadAttention(64, 2).state_dict()
    for name, weight in theirs.items():
        assert ours[name].shape == weight.shape
        torch.testing.assert_close(ours[name].std(), weight.std(), rtol=0.05, atol=0)


def test_the_weights_have_the_names_and_shapes_of_the_predecessor():
    expected = {"input_proj.weight": (8, 6), "query_proj.weight": (8, 8), "cand_proj.weight": (8, 8)}
    for layer in (0, 1):
        attention = f"cross_attn_layers.{layer}"
        expected |= {
            f"{attention}.in_proj_weight": (24, 8),
            f"{attention}.in_proj_bias": (24,),
            f"{attention}.out_proj.weight": (8, 8),
            f"{attention}.out_proj.bias": (8,),
            f"attn_norms.{layer}.weight": (8,),
            f"attn_norms.{layer}.bias": (8,),
        }
    found = {
        name: tuple(weight.shape) for name, weight in encoder_of(layers=2, feed_forward=False).state_dict().items()
    }
    assert found == expected


@pytest.mark.parametrize("train", [False, True])
def test_each_candidate_is_projected_once(train):
    queries, pool, width, hidden = 32, 64, 96, 32
    settings = PolicySettings(hidden_size=hidden, projections="random", layers=1, feed_forward=False)
    encoder = CrossAttentionEncoder(settings, width).train(train)
    inputs = Inputs(
        torch.randn(queries, width), torch.randn(queries, pool, width), torch.ones(queries, pool, dtype=torch.bool)
    )
    with FlopCounterMode(display=False) as counter:
        encoder(inputs)
    once = 2 * queries * pool * width * hidden
    assert once < counter.get_total_flops() < 1.3 * once


def test_projections_start_as_the_identity_or_at_random():
    for projections in ("identity", "random"):
        encoder = encoder_of(projections=projections)
        for weight in (encoder.query_proj.weight, encoder.cand_proj.weight):
            assert torch.equal(weight, torch.eye(HIDDEN)) == (projections == "identity")


def test_without_layers_a_query_is_encoded_whatever_its_candidates():
    inputs = inputs_of()
    others = Inputs(inputs.queries, inputs.candidates.flip(1) + 1, inputs.mask)
    for layers in (0, 1):
        encoder = encoder_of(layers=layers).eval()
        assert torch.equal(encoder(inputs).query, encoder(others).query) == (layers == 0)


def test_what_is_compared_has_unit_length_and_an_empty_pool_is_finite():
    inputs = inputs_of()
    inputs.mask[2] = False
    encoded = encoder_of(candidate_encoder="self_attention", feed_forward=True)(inputs)
    torch.testing.assert_close(encoded.query.norm(dim=-1), torch.ones(3))
    torch.testing.assert_close(encoded.candidates.norm(dim=-1)[inputs.mask], torch.ones(12))
    assert encoded.candidates.isfinite().all()
