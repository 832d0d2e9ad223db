"""Scaling to unit length: values and gradients are those of torch's own normalisation."""

from __future__ import annotations

import torch
from torch.nn import functional

from shotsmith.policies.unit_length import unit_length


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()


def test_values_and_gradients_are_those_of_the_plain_formula() -> None:
    vectors, weights = drawn(3, 4, 5), drawn(3, 4, 5).detach() ** 2
    torch.testing.assert_close(unit_length(vectors), functional.normalize(vectors, dim=-1))
    (ours,) = torch.autograd.grad((weights * unit_length(vectors)).sum(), vectors)
    (plain,) = torch.autograd.grad((weights * functional.normalize(vectors, dim=-1)).sum(), vectors)
    torch.testing.assert_close(ours, plain)


def test_the_gradient_is_the_slope() -> None:
    assert torch.autograd.gradcheck(unit_length, drawn(2, 3, 4))


def test_a_vector_of_zeros_stays_one() -> None:
    assert not unit_length(torch.zeros(2, 3)).any()
