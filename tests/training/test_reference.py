from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_matching import small_policy

from shotsmith.policies.protocol import STOP, pick, taken
from shotsmith.recipe import GrpoSettings, KlSettings
from shotsmith.recipe.grpo import BETA_BOUNDS
from shotsmith.training.losses import exact_entropy
from shotsmith.training.reference import BETA_CONTROLLERS, KL_ESTIMATORS, Reference, estimated_kl, exact_kl, next_beta


def weights_of(policy) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in policy.parameters()])


def moved(policy, by: float = 1.0):
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += by
    return policy


def test_the_reference_is_a_copy_that_stays_where_it_is():
    policy = small_policy()
    reference, before = Reference(policy.train(), GrpoSettings()), weights_of(policy)
    for _ in range(5):
        moved(policy)
        reference.after_update(0.5)
    assert torch.equal(weights_of(reference.policy), before)
    assert not torch.equal(weights_of(policy), before)
    assert policy.training
    assert not reference.policy.training
    assert not any(parameter.requires_grad for parameter in reference.policy.parameters())
    assert all(parameter.requires_grad for parameter in policy.parameters())


@pytest.mark.parametrize(
    ("controller", "kl", "beta"),
    [("fixed", 9.0, 0.01), ("multiplicative", 9.0, 0.015), ("multiplicative", 0.0, 0.01 / 1.5)],
)
def test_beta_begins_as_set_and_follows_the_controller(controller, kl, beta):
    reference = Reference(small_policy(), GrpoSettings(beta=0.01, kl={"controller": controller}))
    assert reference.beta == 0.01
    reference.after_update(kl)
    assert reference.beta == pytest.approx(beta)


def test_a_restored_reference_goes_on_as_the_first_one_would():
    policy = small_policy()
    settings = GrpoSettings(kl={"controller": "multiplicative"})
    whole, again = Reference(policy, settings), Reference(policy, settings)
    whole.after_update(1.0)
    again.restore(*whole.state())
    for reference in (whole, again):
        reference.after_update(0.0)
    assert again.beta == whole.beta
    assert torch.equal(weights_of(whole.policy), weights_of(again.policy))


def distributions(seed, *shape, excluded=0):
    scores = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    scores[..., :excluded] = -math.inf
    return scores.log_softmax(-1)


def test_kl_and_entropy_equal_torch_distributions():
    one, other = distributions(0, 2, 3, 5), distributions(1, 2, 3, 5)
    p, q = (torch.distributions.Categorical(logits=logits) for logits in (one, other))
    torch.testing.assert_close(exact_kl(one, other), torch.distributions.kl_divergence(p, q))
    torch.testing.assert_close(exact_entropy(one), p.entropy())


def test_excluded_choices_count_for_nothing():
    one, other = distributions(0, 4, 6, excluded=2), distributions(1, 4, 6, excluded=2)
    torch.testing.assert_close(exact_kl(one, other), exact_kl(one[..., 2:], other[..., 2:]))
    torch.testing.assert_close(exact_entropy(one), exact_entropy(one[..., 2:]))


def test_kl_of_a_policy_to_itself_is_exactly_zero():
    one = distributions(0, 4, 6, excluded=2)
    assert exact_kl(one, one.clone()).tolist() == [0.0] * 4


def test_kl_is_infinite_where_the_reference_could_never_choose_so_and_not_the_other_way_round():
    narrow, wide = distributions(0, 6, excluded=2), distributions(1, 6)
    assert float(exact_kl(wide, narrow)) == math.inf
    assert math.isfinite(float(exact_kl(narrow, wide)))


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


class Enumerated:
    """A policy over sequences of up to two of three candidates that may stop at any step, each listed.

    Its weights are a score for every choice [2 steps, 4 choices]; the last choice is STOP.
    """

    sequences = torch.tensor(
        [[[STOP, -1], *([a, STOP] for a in range(3)), *([a, b] for a, b in itertools.permutations(range(3), 2))]]
    )
    steps = taken(sequences)

    def __init__(self, seed):
        generator = torch.Generator().manual_seed(seed)
        self.scores = torch.randn(2, 4, generator=generator, dtype=torch.float64).requires_grad_()

    def distributions(self):
        """[1, G, 2, 4]; nothing twice, and after STOP what has no meaning."""
        scores = self.scores.expand(1, self.sequences.shape[1], 2, 4)
        first = self.sequences[..., 0].clamp(min=0)
        chosen = torch.nn.functional.one_hot(first, 4).bool() & (self.sequences[..., :1] >= 0)
        return scores.masked_fill(torch.stack([torch.zeros_like(chosen), chosen], 2), -torch.inf).log_softmax(-1)

    def log_probs(self):
        return pick(self.distributions(), self.sequences)

    def probabilities(self):
        return self.log_probs().sum(-1).exp()

    def gradient(self, value):
        return torch.autograd.grad(value, self.scores, retain_graph=True)[0]


PI, REF = Enumerated(0), Enumerated(1)


def divergence(one, other):
    """KL between the two distributions over whole sequences."""
    return (one.probabilities() * (one.log_probs() - other.log_probs()).sum(-1)).sum()


def estimated(estimator, level):
    """[1, G]: the estimate of every sequence; steps summed."""
    return estimated_kl(PI.log_probs(), REF.log_probs().detach(), PI.steps, estimator, level).sum(-1)


def test_the_enumerated_policy_is_one():
    assert float(PI.probabilities().sum().detach()) == pytest.approx(1)
    assert PI.sequences.shape[1] == 10


def test_exact_kl_of_the_steps_adds_up_to_that_of_the_sequences():
    """With STOP: a sequence counts the steps it takes, and none after it stopped."""
    per_step = exact_kl(PI.distributions(), REF.distributions()).masked_fill(~PI.steps, 0.0)
    torch.testing.assert_close((PI.probabilities() * per_step.sum(-1)).sum(), divergence(PI, REF))


@pytest.mark.parametrize("level", ["step", "sequence"])
@pytest.mark.parametrize("estimator", ["k1", "k3"])
def test_k1_and_k3_are_unbiased_for_samples_of_the_policy(estimator, level):
    expected = (PI.probabilities() * estimated(estimator, level)).sum()
    torch.testing.assert_close(expected, divergence(PI, REF))


@pytest.mark.parametrize("estimator", ["k2", "k3_reversed"])
def test_k2_and_the_reversed_k3_are_biased_for_samples_of_the_policy(estimator):
    expected = (PI.probabilities() * estimated(estimator, "sequence")).sum()
    assert abs(float(expected.detach()) / float(divergence(PI, REF).detach()) - 1) > 0.05


def test_the_reversed_k3_is_unbiased_for_samples_of_the_reference():
    expected = (REF.probabilities() * estimated("k3_reversed", "sequence")).sum()
    torch.testing.assert_close(expected, divergence(REF, PI))


def gradient_in_the_loss(estimator, sampled_by=PI):
    """The gradient of the estimates on average, the samples being given."""
    return PI.gradient((sampled_by.probabilities().detach() * estimated(estimator, "sequence")).sum())


def test_in_the_loss_k1_has_no_gradient_on_average():
    torch.testing.assert_close(gradient_in_the_loss("k1"), torch.zeros(2, 4, dtype=torch.float64))


def test_in_the_loss_k2_has_the_gradient_of_the_kl_on_average():
    torch.testing.assert_close(gradient_in_the_loss("k2"), PI.gradient(divergence(PI, REF)))


def test_in_the_loss_k3_has_the_gradient_of_the_kl_the_other_way_round():
    torch.testing.assert_close(gradient_in_the_loss("k3"), PI.gradient(divergence(REF, PI)))
    torch.testing.assert_close(gradient_in_the_loss("k3_reversed", REF), PI.gradient(divergence(REF, PI)))


def test_in_the_reward_k1_has_the_gradient_of_the_kl_on_average():
    """As policy gradient: the estimate, held fixed, times the gradient of the log-probability."""
    value = estimated("k1", "sequence").detach() * PI.log_probs().sum(-1)
    found = PI.gradient((PI.probabilities().detach() * value).sum())
    torch.testing.assert_close(found, PI.gradient(divergence(PI, REF)))


@given(st.floats(-20, 20))
def test_all_but_k1_are_never_negative_and_all_agree_near_zero(log_ratio):
    x = torch.tensor(log_ratio, dtype=torch.float64)
    for name, estimator in KL_ESTIMATORS.items():
        assert float(estimator(torch.zeros_like(x))) == 0
        if name != "k1":
            assert float(estimator(x)) >= 0
            assert float(estimator(x / 1e4)) == pytest.approx(float((x / 1e4) ** 2 / 2), rel=1e-2, abs=1e-16)
    assert float(KL_ESTIMATORS["k3_reversed"](x)) == pytest.approx(float(KL_ESTIMATORS["k3"](-x)), rel=1e-12)


def test_estimates_are_zero_where_nothing_was_chosen():
    log_probs, steps = torch.tensor([[[-1.0, math.nan]]]), torch.tensor([[[True, False]]])
    for estimator in KL_ESTIMATORS:
        assert estimated_kl(log_probs, torch.zeros(1, 1, 2), steps, estimator, "step")[0, 0, 1] == 0


def test_every_estimator_of_the_settings_exists():
    assert {"exact", *KL_ESTIMATORS} == {*KlSettings.model_fields["estimator"].annotation.__args__}


MULTIPLICATIVE = KlSettings(controller="multiplicative")


@given(st.floats(0, 100), st.floats(0, 10))
def test_a_fixed_beta_stays_even_outside_the_bounds(beta, kl):
    assert next_beta(beta, kl, KlSettings(controller="fixed")) == beta


@pytest.mark.parametrize(("kl", "factor"), [(0.2, 1.5), (0.1, 1.0), (0.05, 1.0), (0.01, 1.0), (0.005, 1 / 1.5)])
def test_the_multiplicative_controller_moves_only_outside_its_band(kl, factor):
    assert next_beta(0.5, kl, MULTIPLICATIVE) == pytest.approx(0.5 * factor)


def test_the_multiplicative_controller_sinks_to_the_floor_while_kl_is_low():
    beta = 0.1
    for _ in range(13):
        beta = next_beta(beta, 0.0, MULTIPLICATIVE)
    assert beta == BETA_BOUNDS[0]


@pytest.mark.parametrize("controller", BETA_CONTROLLERS)
@given(beta=st.floats(0, 100), kl=st.floats(-1, 100))
def test_a_controlled_beta_stays_within_its_bounds(controller, beta, kl):
    low, high = BETA_BOUNDS
    assert low <= next_beta(beta, kl, KlSettings(controller=controller)) <= high


@pytest.mark.parametrize("controller", BETA_CONTROLLERS)
@given(kls=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_larger_divergence_never_gives_a_smaller_beta(controller, kls):
    settings = KlSettings(controller=controller)
    smaller, larger = (next_beta(0.5, kl, settings) for kl in sorted(kls))
    assert smaller <= larger


@pytest.mark.parametrize("controller", BETA_CONTROLLERS)
@pytest.mark.parametrize("kl", [math.nan, math.inf])
def test_a_skipped_update_moves_no_beta(controller, kl):
    assert next_beta(0.5, kl, KlSettings(controller=controller)) == 0.5


def test_every_controller_of_the_settings_exists():
    assert {"fixed", *BETA_CONTROLLERS} == {*KlSettings.model_fields["controller"].annotation.__args__}
