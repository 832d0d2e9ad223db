"""Help that the VLM gets while it learns to bind answers to artefacts, and that fades out before training ends.

Plain next-word training learns to copy *an* answer in a few hundred steps, but not for a long time *which*. Three
aids make it quick: the picture features must tell shape and colour; an early layer must know, at each answer token,
what it is the answer to; and two attention heads must look at the demonstration that states the fact.
None of them is part of the finished model.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Qwen2_5_VLForConditionalGeneration
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb

from shotsmith.builtin.architecture import HIDDEN
from shotsmith.builtin.batches import Targets
from shotsmith.data.world.language import COLOURS, FACTS, SHAPES

_SIZES = [len(SHAPES), len(COLOURS), len(FACTS)]
_BINDING_LAYER, _GUIDED_LAYER, _GUIDED_HEADS = 1, 2, 2


class Aids(nn.Module):
    """Two linear heads, and the activations of the model they hang on."""

    def __init__(self, model: Qwen2_5_VLForConditionalGeneration) -> None:
        super().__init__()
        self.seen = nn.Linear(HIDDEN, sum(_SIZES[:2]))
        self.bound = nn.Linear(HIDDEN, sum(_SIZES))
        self._kept: dict[str, Any] = {}
        layers: Any = model.model.language_model.layers
        layers[_BINDING_LAYER].register_forward_hook(self._keep_output)
        guided = layers[_GUIDED_LAYER].self_attn
        guided.register_forward_pre_hook(self._keep_input, with_kwargs=True)
        self._projections = [guided.q_proj, guided.k_proj]  # a list, so that they are not registered twice
        self._head_dim, self._scaling = guided.head_dim, guided.scaling

    def seeing(self, features: torch.Tensor, shapes: torch.Tensor, colours: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of shape and colour from picture features [pictures, visual tokens, hidden]."""
        shape, colour = self.seen(features.mean(1)).split(_SIZES[:2], -1)
        return F.cross_entropy(shape, shapes) + F.cross_entropy(colour, colours)

    def binding(self, targets: Targets) -> torch.Tensor:
        """Cross-entropy of shape, colour and fact from an early layer's state at the answer tokens."""
        of = targets.fact >= 0
        state = self._kept["bound"][targets.row[of], targets.position[of] + 1]
        logits = self.bound(state).split(_SIZES, -1)
        wanted = (targets.shape[of], targets.colour[of], targets.fact[of])
        return torch.stack([F.cross_entropy(x, y) for x, y in zip(logits, wanted, strict=True)]).sum()

    def looking(self, targets: Targets) -> tuple[torch.Tensor, float]:
        """Minus log of the attention mass on the stating answer token, and the mean mass (0 and 1 where none is)."""
        of = targets.source >= 0
        if not of.any():
            return targets.source.new_zeros((), dtype=torch.float32), 1.0
        rows, positions, sources = targets.row[of], targets.position[of], targets.source[of]
        states, (cos, sin) = self._kept["guided"], self._kept["rotary"]
        batch, length, _ = states.shape
        heads = [
            p(states).view(batch, length, -1, self._head_dim).transpose(1, 2)[:, :_GUIDED_HEADS]
            for p in self._projections
        ]
        query, key = apply_rotary_pos_emb(heads[0], heads[1], cos, sin)
        scores = torch.einsum("nhd,nhtd->nht", query[rows, :, positions], key[rows]) * self._scaling
        future = torch.arange(length)[None, None] > positions[:, None, None]
        log_mass = scores.masked_fill(future, -torch.inf).log_softmax(-1)
        log_mass = log_mass.gather(-1, sources[:, None, None].expand(-1, _GUIDED_HEADS, 1))
        return -log_mass.mean(), float(log_mass.detach().exp().mean())

    def _keep_output(self, _module: nn.Module, _args: Any, output: Any) -> None:
        self._kept["bound"] = output[0] if isinstance(output, tuple) else output

    def _keep_input(self, _module: nn.Module, _args: Any, kwargs: dict[str, Any]) -> None:
        self._kept.update(guided=kwargs["hidden_states"], rotary=kwargs["position_embeddings"])
