from __future__ import annotations

import math

import pytest
import torch

from shotsmith.training.kl import exact_entropy, exact_kl


def distributions(seed, *shape, excluded=0):
    scores = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    scores[..., :excluded] = -math.inf
    return scores.log_softmax(-1)


def test_kl_and_entropy_equal_torch_distributions():
    one, other = distributions(0, 2, 3, 5), distributions(1, 2, 3, 5)
    p, q = (torch.distributions.Categorical(logits=logits) for logits in (one, other))
    torch.testing.assert_close(exact_kl(one, other), torch.distributions.kl_divergence(p, q))
    torch.testing.assert_close(exact_entropy(one), p.entropy())


def test_excluded_candidates_count_for_nothing():
    one, other = distributions(0, 4, 6, excluded=2), distributions(1, 4, 6, excluded=2)
    torch.testing.assert_close(exact_kl(one, other), exact_kl(one[..., 2:], other[..., 2:]))
    torch.testing.assert_close(exact_entropy(one), exact_entropy(one[..., 2:]))


def test_kl_of_a_policy_to_itself_is_exactly_zero():
    one = distributions(0, 4, 6, excluded=2)
    assert exact_kl(one, one.clone()).tolist() == [0.0] * 4


def test_entropy_of_equal_choices_is_the_log_of_their_number():
    assert exact_entropy(torch.zeros(5).log_softmax(-1)).item() == pytest.approx(math.log(5))


def test_gradients_are_finite_where_candidates_are_excluded():
    scores = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    blocked = torch.tensor([True, False, False, False, True])
    log_probs = scores.masked_fill(blocked, -math.inf).log_softmax(-1)
    reference = torch.zeros(3, 5).masked_fill(blocked, -math.inf).log_softmax(-1)
    (exact_kl(log_probs, reference).sum() + exact_entropy(log_probs).sum()).backward()
    assert scores.grad is not None
    assert scores.grad.isfinite().all()
    assert (scores.grad[:, blocked] == 0).all()
