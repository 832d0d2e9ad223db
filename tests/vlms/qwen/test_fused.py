"""Layers in fewer operations: they compute what the model's own compute, on a CPU as on a GPU."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from shotsmith.vlms.qwen.fused import FusedNorm, WindowAttention, _Layout, grouped_attention, use_fused


@pytest.fixture(scope="module")
def models():
    """One with four query heads to two of keys, and windows smaller than images; and the same with fused layers."""
    text = {
        "vocab_size": 50,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
    }
    vision = {
        "depth": 3,
        "hidden_size": 16,
        "num_heads": 2,
        "intermediate_size": 24,
        "out_hidden_size": 32,
        "fullatt_block_indexes": [1],
        "window_size": 56,
    }
    torch.manual_seed(0)
    config = Qwen2_5_VLConfig(text_config=text, vision_config=vision)
    plain = Qwen2_5_VLForConditionalGeneration._from_config(config, attn_implementation="sdpa").eval()
    for module in plain.modules():
        if type(module).__name__.endswith("RMSNorm"):
            torch.nn.init.uniform_(module.weight, 0.5, 2.0)
        elif isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.2)
    fused = copy.deepcopy(plain)
    use_fused(fused)
    return plain, fused


@torch.inference_mode()
@pytest.mark.parametrize("padding", [0, 3], ids=["without a mask", "under a mask"])
def test_the_language_model_says_the_same(models, padding):
    embedded = 3 * torch.randn(3, 7, 32, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(3, 7, dtype=torch.long)
    mask[0, :padding] = 0
    positions = torch.arange(7).expand(3, 3, 7)
    plain, fused = (
        model.model(inputs_embeds=embedded, attention_mask=mask, position_ids=positions).last_hidden_state[mask.bool()]
        for model in models
    )
    torch.testing.assert_close(fused, plain, atol=1e-5, rtol=1e-5)
    assert plain.std() > 0.5


@torch.inference_mode()
@pytest.mark.parametrize("sizes", [[(4, 4)], [(10, 14)], [(20, 10), (4, 6), (2, 2)]])
def test_the_vision_tower_sees_the_same(models, sizes):
    """Grids that fill their windows, that do not, and several images."""
    grids = torch.tensor([[1, height, width] for height, width in sizes])
    patches = torch.randn(int(grids.prod(1).sum()), 1176, generator=torch.Generator().manual_seed(2))
    plain, fused = (torch.cat(model.model.get_image_features(patches, grids).pooler_output) for model in models)
    torch.testing.assert_close(fused, plain, atol=1e-5, rtol=1e-4)


def test_every_normalisation_and_every_attention_of_the_tower_is_replaced(models):
    plain, fused = ([type(module).__name__ for module in model.modules()] for model in models)
    assert fused.count("FusedNorm") == sum(name.endswith("RMSNorm") for name in plain) == 2 * 2 + 1 + 3 * 2 + 1
    assert fused.count("WindowAttention") == plain.count("Qwen2_5_VLVisionAttention") == 3
    assert {FusedNorm, WindowAttention} <= {type(module) for module in models[1].modules()}
    assert models[0].model.language_model.config._attn_implementation == "sdpa"


@given(
    batch=st.integers(1, 3),
    groups=st.integers(1, 3),
    shared=st.integers(1, 4),
    queries=st.integers(1, 5),
    before=st.integers(0, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_heads_that_share_keys_see_them_as_if_each_had_a_copy(batch, groups, shared, queries, before, seed):
    draws = torch.Generator().manual_seed(seed)
    query = torch.randn(batch, groups * shared, queries, 8, generator=draws)
    key, value = (torch.randn(batch, groups, before + queries, 8, generator=draws) for _ in range(2))
    mask = torch.rand(batch, 1, queries, before + queries, generator=draws) < 0.6
    mask[..., -1] = True
    attended, _ = grouped_attention(torch.nn.Module(), query, key, value, mask, scaling=0.3)
    copied = [one.repeat_interleave(shared, 1) for one in (key, value)]
    expected = scaled_dot_product_attention(query, *copied, attn_mask=mask, scale=0.3).transpose(1, 2)
    torch.testing.assert_close(attended, expected)


@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=6))
def test_windows_side_by_side_hold_every_patch_once(sizes):
    layout = _Layout(torch.tensor(np.cumsum([0, *sizes])))
    assert layout.patches.shape == (len(sizes), max(sizes))
    assert layout.patches.flatten()[layout.places].tolist() == list(range(sum(sizes)))
    assert (layout.mask is None) == (len(set(sizes)) == 1)
    if layout.mask is not None:
        assert layout.mask.sum(-1).flatten().tolist() == sizes


def test_the_whole_of_a_photograph_takes_one_attention_a_layer(models, monkeypatch):
    calls = []
    module = "shotsmith.vlms.qwen.fused.scaled_dot_product_attention"
    monkeypatch.setattr(module, lambda *args, **kw: calls.append(1) or scaled_dot_product_attention(*args, **kw))
    with torch.inference_mode():
        models[1].model.get_image_features(torch.zeros(20 * 30, 1176), torch.tensor([[1, 20, 30]]))
    assert len(calls) == 3
