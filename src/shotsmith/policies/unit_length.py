"""Vectors scaled to unit length, with a gradient that reads them as few times as it can."""

from __future__ import annotations

from typing import Any

import torch

_LEAST = 1e-12
"""Shorter vectors are divided by this, so that zero stays zero."""


def unit_length(vectors: torch.Tensor) -> torch.Tensor:
    """[..., H] -> [..., H], each over its length; what `functional.normalize` gives, at half the cost backward."""
    if not torch.is_grad_enabled():
        return _scaled(vectors)[0]
    scaled: torch.Tensor = _UnitLength.apply(vectors)  # type: ignore[no-untyped-call]
    return scaled


def _scaled(vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """[..., H] over its length, and the length [..., 1]."""
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True).clamp_min_(_LEAST)
    return vectors / length, length


class _UnitLength(torch.autograd.Function):
    """y = x / |x|, dx = (dy - y (y . dy)) / |x|."""

    @staticmethod
    def forward(ctx: Any, vectors: torch.Tensor) -> torch.Tensor:
        """Keep y and |x|."""
        scaled, length = _scaled(vectors)
        ctx.save_for_backward(scaled, length)
        return scaled

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        """Take off what lies along y, which cannot change its length."""
        (gradient,) = gradients
        scaled, length = ctx.saved_tensors
        along = (gradient * scaled).sum(-1, keepdim=True)
        across: torch.Tensor = torch.addcmul(gradient, scaled, along, value=-1)
        return across.div_(length)
