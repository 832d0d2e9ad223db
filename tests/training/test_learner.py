from __future__ import annotations

import math

import pytest
import torch

from shotsmith.errors import TrainingError
from shotsmith.recipe import OptimizerSettings
from shotsmith.training.learner import Learner


def learner_of(**changes):
    module = torch.nn.Linear(3, 1, bias=False)
    torch.nn.init.ones_(module.weight)
    return module, Learner(module, OptimizerSettings(**changes))


def test_the_learning_rate_rises_linearly_and_then_stays():
    module, learner = learner_of(learning_rate=0.4, warmup_steps=4)
    rates = [learner.update(module.weight.sum())["learning_rate"] for _ in range(6)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.4, 0.4])


def test_gradients_are_clipped_and_the_norm_before_is_told():
    module, learner = learner_of(max_grad_norm=0.5)
    assert learner.update((100 * module.weight).sum())["grad_norm"] == pytest.approx(100 * math.sqrt(3))
    assert float(module.weight.grad.norm()) == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_leaves_weights_and_schedule_alone(factor):
    module, learner = learner_of(warmup_steps=5)
    learner.update(module.weight.sum())
    before, rate = module.weight.detach().clone(), learner.learning_rate
    assert learner.update((module.weight * factor).sum()) is None
    assert torch.equal(module.weight, before)
    assert (learner.steps, learner.skipped, learner.learning_rate) == (1, 1, rate)


def test_a_gradient_that_is_not_finite_is_skipped_too():
    module, learner = learner_of()
    with torch.no_grad():
        module.weight.zero_()
    assert learner.update(module.weight.sum().abs().sqrt()) is None
    assert module.weight.isfinite().all()


def test_only_twenty_in_a_row_end_the_training():
    module, learner = learner_of()
    for _ in range(3):
        for _ in range(19):
            learner.update(module.weight.sum() * math.nan)
        learner.update(module.weight.sum())
    with pytest.raises(TrainingError, match="20 updates in a row"):
        for _ in range(20):
            learner.update(module.weight.sum() * math.nan)
