"""Linear layers computed by oneDNN on a CPU.

PyTorch gives float32 matrix products to MKL, which on processors that are not Intel's takes a slow path: oneDNN, which
comes with PyTorch as well, is more than twice as fast on AMD's with AVX-512, and the built-in VLM as a whole 1.8 times.
The sums are the same up to the order in which they are added.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class OneDnnLinear(nn.Module):
    """What an `nn.Linear` computes, from weights laid out for oneDNN. It cannot be trained."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)
        self._bias = None if linear.bias is None else linear.bias.detach()

    def forward(self, inputs: Tensor) -> Tensor:
        """[..., in] -> [..., out]"""
        outputs: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, self._weight, self._bias, "none", [], "")
        return outputs


@torch.inference_mode()
def use_onednn(model: nn.Module) -> int:
    """Put a OneDnnLinear in the place of every float32 `nn.Linear` on a CPU; returns how many were replaced.

    None are where this PyTorch has no oneDNN, or one that is called in another way.
    """
    if not _works():
        return 0
    replaced = 0
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear and child.weight.dtype == torch.float32 and child.weight.device.type == "cpu":
                setattr(module, name, OneDnnLinear(child))
                replaced += 1
    return replaced


def _works() -> bool:
    if not torch.backends.mkldnn.is_available():
        return False
    linear = nn.Linear(8, 4)
    inputs = torch.linspace(-1, 1, 24).reshape(3, 8)
    try:
        return torch.allclose(OneDnnLinear(linear)(inputs), linear(inputs), atol=1e-5)
    except (AttributeError, RuntimeError, TypeError):
        return False
