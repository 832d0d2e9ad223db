"""A trained policy as a selector, also where it chooses from a bank that it was not trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_tasks import make_tasks

from shotsmith.policies.pointer import build_policy
from shotsmith.recipe import PRESETS, PolicySettings
from shotsmith.selectors.policy import PolicySelector
from shotsmith.selectors.similar import mixed, nearest_candidates

POOLS = make_tasks(queries=4, index=40, pool=12)
BANK = replace(POOLS, pools=None, barred=[np.array([row, 20 + row], dtype=np.int64) for row in range(4)])


def selector(**settings: object) -> PolicySelector:
    network = build_policy(PolicySettings.model_validate({"hidden_size": 8, **settings}), 12, seed=0)
    return PolicySelector("grpo", network, batch_size=3)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_policy_of_every_preset_can_choose_from_the_whole_bank(preset: str) -> None:
    chosen = selector(preset=preset).select(BANK, 3)
    for row, sequence in enumerate(chosen):
        assert len(set(sequence)) == len(sequence) <= 3
        assert all(0 <= one < 40 for one in sequence) and not set(sequence) & {row, 20 + row}


def test_the_shortlist_holds_the_highest_scores_and_nothing_barred() -> None:
    untrained = selector(shortlist=16)
    found = untrained.shortlists(BANK, 6)
    assert [set(some) for some in found] == [set(nearest_candidates(BANK, row, 6)) for row in range(4)]
    assert [len(some) for some in untrained.shortlists(BANK, 99)] == [16] * 4
    assert [some[-1] for some in mixed().select(BANK, 1)] == [some[0] for some in found]


def test_of_a_pool_everything_can_be_chosen() -> None:
    assert selector().shortlists(POOLS, 6) == [list(range(12))] * 4
