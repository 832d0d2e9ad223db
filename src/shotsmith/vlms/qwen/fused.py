"""Layers of a Qwen2.5-VL model in fewer and larger operations, as a GPU wants them.

They compute what the layers of transformers compute, up to the order in which sums are added. On a GPU transformers'
own ones cost more than the matrix products do: keys and values are repeated in memory for every query head that shares
them, a normalisation is seven operations, and each window of an image is an attention of its own (30 to 40 of them in
each of 28 layers, for a photograph).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm, scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VLVisionAttention,
    apply_rotary_pos_emb_vision,
)

GROUPED = "shotsmith_grouped"
"""The name of `grouped_attention` among the attention functions of transformers."""

_NORMS = ("Qwen2_5_VLRMSNorm", "Qwen2RMSNorm")
"""What versions of transformers call the model's normalisation."""


def use_fused(model: Any) -> None:
    """Put these layers in the place of the model's own. The model answers as before; it cannot be trained."""
    AttentionInterface.register(GROUPED, grouped_attention)
    AttentionMaskInterface.register(GROUPED, sdpa_mask)
    model.model.language_model.config._attn_implementation = GROUPED
    layouts = _Layouts()
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child).__name__ in _NORMS:
                setattr(module, name, FusedNorm(child))
            elif type(child) is Qwen2_5_VLVisionAttention:
                setattr(module, name, WindowAttention(child, layouts))


class FusedNorm(nn.Module):
    """Root mean square normalisation (arXiv 1910.07467) in one operation."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight = norm.weight
        self._epsilon = norm.variance_epsilon

    def forward(self, states: Tensor) -> Tensor:
        """[..., D] -> [..., D]"""
        return rms_norm(states, self.weight.shape, self.weight, self._epsilon)


def grouped_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Attention of H query heads [B, H, Q, D] that share G heads of keys and values [B, G, K, D] -> [B, Q, H, D].

    Under a mask PyTorch's kernels take as many heads of keys as of queries. One call for each head of keys, seen by its
    queries without being repeated in memory, spares the copies (arXiv 2305.13245 calls this grouped-query attention).
    """
    if attention_mask is None:
        return sdpa_attention_forward(module, query, key, value, None, scaling=scaling, **rest)
    shared = query.shape[1] // key.shape[1]
    heads = [
        scaled_dot_product_attention(
            queries,
            keys.expand(-1, shared, -1, -1),
            values.expand(-1, shared, -1, -1),
            attn_mask=attention_mask,
            scale=scaling,
        ).transpose(1, 2)
        for queries, keys, values in zip(query.split(shared, 1), key.split(1, 1), value.split(1, 1), strict=True)
    ]
    return torch.cat(heads, 2), None


class WindowAttention(nn.Module):
    """Attention of an image's patches within their windows, all windows at once."""

    def __init__(self, attention: Qwen2_5_VLVisionAttention, layouts: _Layouts) -> None:
        super().__init__()
        self.qkv = attention.qkv
        self.proj = attention.proj
        self._heads = attention.num_heads
        self._layouts = layouts

    def forward(
        self,
        hidden_states: Tensor,
        cu_seqlens: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        **_: Any,
    ) -> Tensor:
        """[N, D] patches -> [N, D]; `cu_seqlens` [W + 1] says where their windows begin, and where the last ends."""
        layout = self._layouts.of(cu_seqlens)
        query, key, value = self.qkv(hidden_states).unflatten(1, (3, self._heads, -1)).unbind(1)
        query, key = apply_rotary_pos_emb_vision(query, key, *position_embeddings)
        query, key, value = (one[layout.patches].transpose(1, 2) for one in (query, key, value))
        attended = scaled_dot_product_attention(query, key, value, attn_mask=layout.mask)
        projected: Tensor = self.proj(attended.transpose(1, 2).flatten(0, 1)[layout.places].flatten(1))
        return projected


class _Layout:
    """Windows side by side, the smaller ones padded."""

    def __init__(self, cu_seqlens: Tensor) -> None:
        starts, ends = cu_seqlens[:-1, None].long(), cu_seqlens[1:, None].long()
        longest = int((ends - starts).max())
        along = torch.arange(longest, device=cu_seqlens.device)
        inside = along < ends - starts
        self.patches = torch.where(inside, starts + along, starts)
        """[W, longest] the patches of each window; padding shows its first."""
        self.mask = None if bool(inside.all()) else inside[:, None, None]
        """[W, 1, 1, longest] whether there is a patch; None where there is one everywhere."""
        self.places = inside.flatten().nonzero()[:, 0]
        """[N] where each patch stands among those of all windows."""


class _Layouts:
    """The layouts of the image that passes: its windows, and the image as one. Every second layer asks for the same."""

    def __init__(self) -> None:
        self._known: list[tuple[Tensor, _Layout]] = []

    def of(self, cu_seqlens: Tensor) -> _Layout:
        """Found again by the very tensor that says where windows begin: comparing its values would wait for the GPU."""
        for known, layout in self._known:
            if known is cu_seqlens:
                return layout
        self._known = [*self._known[-1:], (cu_seqlens, _Layout(cu_seqlens))]
        return self._known[-1][1]
