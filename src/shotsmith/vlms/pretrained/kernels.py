"""Which of PyTorch's GPU kernels a VLM may use. On a CPU nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def steady_kernels() -> Iterator[None]:
    """Kernels that take any shape as it comes, and keep the precision that was asked for.

    cuDNN's attention is left out: where PyTorch prefers it, it makes a plan for every shape that it has not met, which
    takes 0.1 to 0.5 s (pytorch/pytorch#155958), and nearly every batch of prompts and every token decoded is of a new
    shape. cuDNN's convolutions, those of the patches of images, are not rounded to TF32: log-probabilities in float32
    would be 1e-3 off.
    """
    any_shape = sdpa_kernel([SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH])
    with any_shape, torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
