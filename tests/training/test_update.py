"""The batched losses of all phases equal a plain loop over queries, sequences and steps, forward and gradient."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import pytest
import torch
from plain_losses import Plain, Step, plain_group_loss, plain_rce, plain_steps, plain_supervised, standardised
from small_matching import small_run
from small_policy import SMALL, WIDTH, policy_of

from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.pointer import PointerPolicy
from shotsmith.recipe import GrpoSettings, PolicySettings, RceSettings, SupervisedSettings
from shotsmith.records import Rollout
from shotsmith.training.groups import Groups, from_rollouts, located
from shotsmith.training.imitation import SupervisedData, train_rce, train_supervised
from shotsmith.training.learner import Learner
from shotsmith.training.reference import Reference
from shotsmith.training.seeding import QueryOrder
from shotsmith.training.update import prepare, update
from shotsmith.training.validation import Validation

POLICIES = {name: {"preset": name} for name in "v0 v1 v3 v4-5 v4-6 v4-7 v4-8 v4-9 v4-10".split()} | {
    "default": {"temperature": 1.0}
}
MOST = 3
"""Demonstrations a policy that can stop may show."""

POOLS = np.array(
    [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, -1, -1], [9, 3, 5, 7, 1, -1], [2, 4, 6, 8, 0, 1], [3, 8, 1, 0, 5, 7]]
)
GROUPS = {
    4: {(0, 3, 5): 1.0, (2,): 0.0, (1, 4): 0.3, (5, 0, 2): 0.35, (2, 4, 1): None},
    1: {(3, 0, 1): 0.2, (2, 3): None, (0,): 0.9, (1, 2, 3): 0.9},
    0: {(4, 1): 0.5, (1, 4): 0.5},
    2: {(4, 2, 0): 0.1, (0, 1, 2): 1.0, (3,): 0.4, (1, 0): 0.6, (0, 4): 0.7, (2, 1, 3): 0.0},
}
"""Rewards of sequences by query: of several lengths, groups of several sizes, failures, and one where all are tied."""


SCHEMES = (
    [{}]
    + [
        {"importance_level": level, "beta": 0.5, "kl": {"estimator": estimator, "placement": placement}}
        for level in ("step", "sequence")
        for estimator in ("exact", "k1", "k2", "k3", "k3_reversed")
        for placement in ("loss", "reward")
    ]
    + [
        {"advantage": {"estimator": estimator, "min_std": 0.42}, "sampling": {"distinct": distinct}}
        for estimator in ("group", "centered", "batch", "rank", "rloo")
        for distinct in (False, True)
    ]
    + [
        {"importance_level": "sequence", "sampling": {"distinct": True}},
        {"reference": {"old_is_reference": True}, "importance_level": "sequence"},
        {"dropout": True, "entropy_coef": 0.3},
        {"epsilon": 0.05, "epsilon_high": 0.5},
        {"advantage": {"standardise_rewards": True, "clip": 0.8}, "sampling": {"keep_top": (3,)}},
    ]
)

IN_FULL = ("v1", "v4-10", "default")
CASES = [
    (policy, scheme)
    for number, policy in enumerate(POLICIES)
    for place, scheme in enumerate(SCHEMES)
    if policy in IN_FULL or (number + place) % 4 == 0
]
"""Some policies under every scheme, the others under every fourth."""


@functools.cache
def settings_of(policy: str) -> PolicySettings:
    fixed = SMALL | {"temperature": 0.3, "dropout": 0.0, "attention_dropout": 0.0}
    return PolicySettings(**(fixed | POLICIES[policy]))


def inputs_table(pools: np.ndarray | None = POOLS) -> InputsTable:
    """Embeddings whose inner products are exact, so that rounding them does not depend on how they are computed."""
    rng = np.random.default_rng(0)
    queries, index = (np.round(4 * rng.normal(size=(count, WIDTH))) / 4 for count in (5, 10))
    return InputsTable(queries.astype(np.float32), index.astype(np.float32), pools)


def groups_of(can_stop: bool) -> Groups:
    """The groups; two in three rollouts come from a known policy."""
    return from_rollouts(
        (
            Rollout(query, sequence, reward, -2.0 - 0.5 * number if number % 3 else None)
            for query, group in GROUPS.items()
            for number, (sequence, reward) in enumerate((({(): 0.45} if can_stop else {}) | group).items())
        ),
        stop_below=MOST if can_stop else 0,
    )


def moved(policy: PointerPolicy, seed: int) -> PointerPolicy:
    """Another policy, near enough that ratios fall on both sides of every clip."""
    other, noise = policy_of(policy.settings), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=noise)
    return other


class Case:
    """Groups, the policy as the step began, as it is now, and the reference; what each says of every step, plainly."""

    def __init__(self, policy: str, pools: np.ndarray | None = POOLS) -> None:
        self.inputs, self.now = inputs_table(pools), policy_of(settings_of(policy))
        self.began, self.reference = moved(self.now, 4), moved(self.now, 2)
        self.groups = located(groups_of(self.now.can_stop), self.now, self.inputs)

    @functools.cached_property
    def steps(self) -> list[dict[tuple[int, int], list[Step]]]:
        batch = self.inputs.batch(self.groups.rows.numpy())
        return [plain_steps(one, batch, self.groups) for one in (self.now, self.began, self.reference)]

    def groups_for(self, settings: GrpoSettings) -> Groups:
        """With weights, where sequences were drawn without replacement."""
        if not settings.sampling.distinct:
            return self.groups
        drawn = torch.rand(self.groups.values.shape, generator=torch.Generator().manual_seed(3))
        return dataclasses.replace(self.groups, weights=drawn + 0.1)

    def second_update(self, settings: GrpoSettings) -> tuple[torch.Tensor, dict[str, float]]:
        """The loss and the metrics of the second update on a batch."""
        learner, reference = Told(), Reference(self.reference, settings)
        kept = settings.sampling.keep_top[0] if settings.sampling.keep_top else None
        batch = prepare(self.began, reference, self.inputs, self.groups_for(settings), settings, kept)
        _, batch = update(self.began, reference, learner, batch, settings)
        metrics, _ = update(self.now, reference, learner, batch, settings)
        return learner.losses[-1], metrics

    def plainly(self, settings: GrpoSettings) -> dict[str, torch.Tensor]:
        kept = settings.sampling.keep_top[0] if settings.sampling.keep_top else None
        return plain_group_loss(*self.steps, self.groups_for(settings), settings, kept)


class Told:
    """A learner that only remembers the losses it is told."""

    def __init__(self) -> None:
        self.losses: list[torch.Tensor] = []

    def update(self, loss: torch.Tensor) -> None:
        self.losses.append(loss)


case_of = functools.cache(Case)


def gradients(policy: PointerPolicy, value: torch.Tensor) -> list[torch.Tensor]:
    parameters = list(policy.parameters())
    # The plain steps are used again.
    found = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
    return list(found)


def assert_equal(policy: PointerPolicy, loss: torch.Tensor, plain: torch.Tensor) -> None:
    torch.testing.assert_close(loss, plain, atol=1e-5, rtol=1e-5)
    pairs = list(zip(gradients(policy, loss), gradients(policy, plain), strict=True))
    assert any(other.abs().max() > 1e-3 for _, other in pairs)
    for one, other in pairs:
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("policy", "scheme"), CASES, ids=str)
def test_the_group_loss_is_that_of_a_plain_loop(policy, scheme):
    case, settings = case_of(policy), GrpoSettings(**scheme)
    loss, metrics = case.second_update(settings)
    plain = case.plainly(settings)
    assert_equal(case.now, loss, plain["loss"])
    assert {name: metrics[name] for name in plain} == pytest.approx(
        {name: float(value.detach()) for name, value in plain.items()}, abs=1e-5
    )


def test_the_schemes_above_all_differ_and_the_clips_all_bite():
    case = case_of("default")
    updates = [case.second_update(GrpoSettings(**scheme)) for scheme in SCHEMES]
    assert len({float(loss.detach()) for loss, _ in updates}) == len(SCHEMES)
    assert all(updates[0][1][f"clip_ratio/{side}_mean"] > 0 for side in ("low", "high"))


@pytest.mark.parametrize("scheme", SCHEMES[::3], ids=str)
@pytest.mark.parametrize("policy", IN_FULL)
def test_over_a_bank_that_fits_on_the_shortlist_the_group_loss_is_that_of_pools_of_all_entries(policy, scheme):
    settings = GrpoSettings(**scheme)
    pools, bank = Case(policy, np.tile(np.arange(10), (5, 1))), Case(policy, None)
    assert bank.groups.shortlists is not None
    (loss, metrics), (expected, metrics_expected) = pools.second_update(settings), bank.second_update(settings)
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    assert metrics == pytest.approx(metrics_expected, abs=1e-5, rel=1e-5)
    for one, other in zip(gradients(pools.now, loss), gradients(bank.now, expected), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def losses_of(monkeypatch, train):
    """The losses of a phase that never updates."""
    told = Told()
    monkeypatch.setattr(Learner, "update", lambda _self, loss: told.update(loss))
    train()
    return told.losses


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("scheme", [{}, {"raw_rewards": True}], ids=str)
def test_the_rce_loss_is_that_of_a_plain_loop(tmp_path, monkeypatch, policy, scheme):
    case, settings = case_of(policy), RceSettings(epochs=1, queries_per_step=2, **scheme)
    run = small_run(tmp_path, "rce", policy=case.now)
    first, second = losses_of(
        monkeypatch, lambda: train_rce(case.now, case.inputs, case.groups, Validation(), settings, run)
    )
    order, plain = QueryOrder(len(case.groups), "rce", 0), Plain.of(case.groups)
    if not settings.raw_rewards:
        plain = dataclasses.replace(plain, rewards=standardised(plain.rewards))
    for loss, tau in ((first, settings.tau_start), (second, settings.tau_end)):
        batch = order.take(2)
        expected = plain_rce(case.steps[0], plain.only(batch), tau)
        assert_equal(case.now, loss, expected)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_supervised_loss_is_that_of_a_plain_loop(tmp_path, monkeypatch, policy):
    case, settings = case_of(policy), SupervisedSettings(epochs=1)
    weighted = case.groups.where(case.groups.values > 0)
    run, data = small_run(tmp_path, "supervised", policy=case.now), SupervisedData(case.inputs, weighted)
    (loss,) = losses_of(monkeypatch, lambda: train_supervised(case.now, data, Validation(), settings, run))
    assert_equal(case.now, loss, plain_supervised(case.steps[0], Plain.of(weighted)))
