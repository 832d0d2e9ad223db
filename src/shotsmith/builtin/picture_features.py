"""Features of many pictures of one size in one batched pass of Qwen2.5-VL's vision tower.

The tower as written attends picture by picture in a Python loop, and convolves each still picture twice (it repeats
its frame). For pictures of one size a matrix product does each; the result is the same (a test compares).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb_vision
from transformers.vision_utils import get_vision_position_ids


def picture_features(tower: Any, patches: torch.Tensor) -> torch.Tensor:
    """Visual tokens of square pictures.

    `patches` [pictures, P, values] as the image processor orders them, P a square number and every layer of the tower
    attending to the whole picture. Returns [pictures, P / merge^2, hidden of the language model].
    """
    count, per_picture, _ = patches.shape
    side = round(per_picture**0.5)
    grid = torch.tensor([[1, side, side]])
    x = _embed(tower.patch_embed, patches)
    rotary = _rotary(tower, grid, x[0])
    for block in tower.blocks:
        x = x + _attend(block.attn, block.norm1(x), rotary)
        x = x + block.mlp(block.norm2(x))
    merged: torch.Tensor = tower.merger(x.reshape(count * per_picture, -1))
    return merged.view(count, -1, tower.config.out_hidden_size)


def _embed(embed: Any, patches: torch.Tensor) -> torch.Tensor:
    weight = embed.proj.weight  # [hidden, channels, frames, height, width]
    frames = patches.view(*patches.shape[:2], embed.in_channels, embed.temporal_patch_size, -1)
    return F.linear(frames[:, :, :, 0].flatten(2), weight.sum(2).flatten(1))


def _rotary(tower: Any, grid: torch.Tensor, example: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:

    positions = get_vision_position_ids(grid, tower.spatial_merge_size)
    cos, sin = tower.rotary_pos_emb(example, positions)
    return cos, sin


def _attend(attention: Any, x: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    count, length, _ = x.shape
    q, k, v = attention.qkv(x).view(count, length, 3, attention.num_heads, -1).unbind(2)
    q, k = apply_rotary_pos_emb_vision(q, k, *rotary)
    mixed = F.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), scale=attention.scaling
    )
    projected: torch.Tensor = attention.proj(mixed.transpose(1, 2).reshape(count, length, -1))
    return projected
