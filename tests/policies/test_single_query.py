"""The quick way to choose for one query chooses what `greedy` chooses."""

from __future__ import annotations

import pytest
import torch
from every_policy import COMBINATIONS, on_every_combination
from small_policy import bank_inputs_of, policy_of

from shotsmith.errors import InputError
from shotsmith.policies.protocol import BankInputs
from shotsmith.policies.single_query import choose, choose_with_log_probs


def one_by_one(inputs: BankInputs) -> list[BankInputs]:
    pairs = zip(inputs.queries.split(1), inputs.barred.split(1), strict=True)
    return [BankInputs(query, inputs.bank, barred) for query, barred in pairs]


@on_every_combination
def test_it_chooses_what_greedy_chooses(name):
    policy, inputs = policy_of(COMBINATIONS[name]), bank_inputs_of(queries=4, entries=30)
    expected = [[row for row in rows if row >= 0] for rows in policy.greedy(inputs, 5).tolist()]
    assert [choose(policy, one, 5) for one in one_by_one(inputs)] == expected


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_it_chooses_what_greedy_chooses_on_an_approximate_index_that_is_searched_thoroughly(kind):
    settings = COMBINATIONS["plain"]
    index = settings.index.model_copy(update={"kind": kind, "probes": 200})
    policy = policy_of(settings.model_copy(update={"index": index, "shortlist": 80}))
    inputs = bank_inputs_of(queries=12, entries=300)
    inputs.bank.remove(policy.greedy(inputs, 1)[:3, 0])
    assert [choose(policy, one, 5) for one in one_by_one(inputs)] == policy.greedy(inputs, 5).tolist()


def test_ties_go_to_the_lower_row():
    policy, inputs = policy_of(COMBINATIONS["plain"]), bank_inputs_of(queries=1, entries=9)
    inputs.bank.add(inputs.bank.embeddings)
    best = policy.greedy(inputs, 2)[0].tolist()
    assert choose(policy, inputs, 2) == best
    assert best[0] < 9


def test_a_bank_gives_no_more_than_it_has():
    policy, inputs = policy_of(COMBINATIONS["plain"]), bank_inputs_of()
    with pytest.raises(InputError, match="7 shots cannot be taken from a bank of 6"):
        choose(policy, one_by_one(inputs)[1], 7)
    assert sorted(choose(policy, one_by_one(inputs)[1], 6)) == [1, 2, 3, 4, 5, 6]


def test_it_leaves_the_bank_as_it_is():
    policy, inputs = policy_of(COMBINATIONS["plain"]), bank_inputs_of(queries=1)
    assert choose(policy, inputs, 4) == choose(policy, inputs, 4)
    assert torch.isfinite(inputs.bank.candidates(policy).prior).all()


@on_every_combination
@pytest.mark.parametrize("shortlist", [8, 64])
def test_log_probs_are_those_of_the_shortlists(name, shortlist):
    policy = policy_of(COMBINATIONS[name].model_copy(update={"shortlist": shortlist}))
    for one in one_by_one(bank_inputs_of(queries=4, entries=30)):
        rows, log_probs = choose_with_log_probs(policy, one, 4)
        located = policy.locate(one, torch.tensor([[rows]])).log_probs[0, 0] if rows else torch.empty(0)
        assert rows == choose(policy, one, 4)
        assert log_probs == pytest.approx(located.tolist(), abs=1e-4)
