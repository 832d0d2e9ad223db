from __future__ import annotations

import pytest
import torch
from small_matching import small_policy

from shotsmith.recipe import GrpoSettings
from shotsmith.training.reference import Reference


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
        reference.after_update(moved(policy), kl=0.5, sequences=8)
    assert torch.equal(weights_of(reference.policy), before)
    assert not torch.equal(weights_of(policy), before)
    assert policy.training
    assert not reference.policy.training
    assert not any(parameter.requires_grad for parameter in reference.policy.parameters())
    assert all(parameter.requires_grad for parameter in policy.parameters())


def test_it_moves_its_share_of_the_way_every_so_many_updates():
    policy = small_policy()
    settings = GrpoSettings(reference={"sync_steps": 3, "mixup_alpha": 0.25})
    reference, before = Reference(policy, settings), weights_of(policy)
    moved(policy)
    for updates in range(1, 7):
        reference.after_update(policy, kl=0.0, sequences=1)
        missing = 0.75 ** (updates // 3)
        torch.testing.assert_close(weights_of(policy) - weights_of(reference.policy), torch.full_like(before, missing))


def test_with_a_share_of_one_it_becomes_the_policy():
    policy = small_policy()
    reference = Reference(policy, GrpoSettings(reference={"sync_steps": 1, "mixup_alpha": 1.0}))
    reference.after_update(moved(policy), kl=0.0, sequences=1)
    torch.testing.assert_close(weights_of(reference.policy), weights_of(policy))


@pytest.mark.parametrize(
    ("controller", "kl", "beta"),
    [("fixed", 9.0, 0.01), ("multiplicative", 9.0, 0.015), ("multiplicative", 0.0, 0.01 / 1.5)],
)
def test_beta_begins_as_set_and_follows_the_controller(controller, kl, beta):
    reference = Reference(small_policy(), GrpoSettings(beta=0.01, kl={"controller": controller}))
    assert reference.beta == 0.01
    reference.after_update(small_policy(), kl=kl, sequences=8)
    assert reference.beta == pytest.approx(beta)


@pytest.mark.parametrize("sync_steps", [0, 2])
def test_a_restored_reference_goes_on_as_the_first_one_would(sync_steps):
    policy = small_policy()
    settings = GrpoSettings(kl={"controller": "multiplicative"}, reference={"sync_steps": sync_steps})
    whole, again = Reference(policy, settings), Reference(policy, settings)
    whole.after_update(moved(policy), kl=1.0, sequences=8)
    again.restore(*whole.state())
    for reference in (whole, again):
        reference.after_update(policy, kl=0.0, sequences=8)
    assert again.beta == whole.beta
    assert torch.equal(weights_of(whole.policy), weights_of(again.policy))


def test_the_state_holds_weights_only_where_they_can_have_moved():
    assert Reference(small_policy(), GrpoSettings()).state()[0] == {}
    assert Reference(small_policy(), GrpoSettings(reference={"sync_steps": 5})).state()[0]
