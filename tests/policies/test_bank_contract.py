"""The contract every policy keeps over a bank (policies.protocol), on every value of every setting and every preset."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from every_policy import COMBINATIONS, close, on_every_combination
from small_policy import bank_inputs_of, gradients, policy_of, pools_of, some_sequences

from shotsmith.errors import InputError
from shotsmith.policies.bank import BankIndex
from shotsmith.policies.pointer import PointerPolicy
from shotsmith.policies.protocol import STOP, BankInputs, Chosen, Policy, taken

ENTRIES = 9
CUT = 4
"""A shortlist that leaves more than half of the bank out."""


def prepared(name: str, shortlist: int = 256) -> tuple[PointerPolicy, BankInputs, torch.Tensor]:
    """A policy, inputs, and sequences of rows [2, 4, 3] with padding and, where it is allowed, STOP."""
    policy = policy_of(COMBINATIONS[name].model_copy(update={"shortlist": shortlist}))
    inputs = bank_inputs_of(queries=2, entries=ENTRIES)
    sequences = some_sequences(pools_of(inputs), can_stop=policy.can_stop)
    sequences[0, 3, 2:] = -1
    sequences[1, 0, 1:] = -1
    return policy, inputs, sequences


def recorded(inputs: BankInputs, chosen: Chosen) -> BankInputs:
    return replace(inputs, shortlists=chosen.shortlists)


def drawn_from(policy: Policy, inputs: BankInputs) -> tuple[Chosen, Chosen]:
    """Ten sequences of up to three steps, independent and distinct."""
    generator = torch.Generator().manual_seed(0)
    return policy.sample(inputs, 3, 10, generator), policy.sample_distinct(inputs, 3, 10, generator)


@on_every_combination
def test_a_bank_that_fits_on_the_shortlist_is_the_pool_of_all_its_entries(name):
    policy, inputs, rows = prepared(name)
    pools, located = pools_of(inputs), policy.locate(inputs, rows)
    over_bank, over_pools = policy.log_prob(recorded(inputs, located), located.sequences), policy.log_prob(pools, rows)
    close(over_bank, over_pools)
    close(located.log_probs, over_pools)
    weights = torch.randn(rows.shape, generator=torch.Generator().manual_seed(3)) / rows.numel()
    values = [gradients(policy, (log_probs * weights).sum()) for log_probs in (over_bank, over_pools)]
    for one, other in zip(*values, strict=True):
        close(one, other)
    assert torch.equal(policy.greedy(inputs, 4), policy.greedy(pools, 4))
    for one, other in zip(policy.beam(inputs, 3, 5), policy.beam(pools, 3, 5), strict=True):
        close(one, other)


@on_every_combination
def test_distributions_over_a_bank_that_fits_on_the_shortlist_are_those_over_the_pool(name):
    policy, inputs, rows = prepared(name)
    located = policy.locate(inputs, rows)
    found = policy.step_distributions(recorded(inputs, located), located.sequences)
    expected = policy.step_distributions(pools_of(inputs), rows)
    size, places = located.shortlists.shape[-1], located.shortlists % (ENTRIES + 1)
    by_row = torch.full((*rows.shape, ENTRIES + 1), -math.inf).scatter(-1, places, found[..., :size])[..., :ENTRIES]
    if policy.can_stop:
        by_row = torch.cat([by_row, found[..., -1:]], dim=-1)
    close(by_row[taken(rows)], expected[taken(rows)])


@on_every_combination
def test_recorded_distributions_sum_to_one_and_log_prob_reads_them(name):
    policy, inputs, _ = prepared(name, CUT)
    for chosen in drawn_from(policy, inputs):
        there = recorded(inputs, chosen)
        distributions, log_probs = (
            ask(there, chosen.sequences) for ask in (policy.step_distributions, policy.log_prob)
        )
        close(distributions.exp().sum(-1), torch.ones(2, 10, 3))
        assert distributions.shape[-1] == CUT + policy.can_stop
        for b, g, t in taken(chosen.sequences).nonzero().tolist():
            choice = chosen.sequences[b, g, t].item()
            assert log_probs[b, g, t] == distributions[b, g, t, CUT if choice == STOP else choice]
            open_to = [row >= 0 and row not in chosen.shown[b, g, :t] for row in chosen.shortlists[b, g, t]]
            assert distributions[b, g, t, :CUT].isfinite().tolist() == open_to
        assert (log_probs[~taken(chosen.sequences)] == 0).all()


@on_every_combination
def test_samples_hold_nothing_twice_nothing_barred_and_come_with_the_log_probabilities_they_have(name):
    policy, inputs, _ = prepared(name, CUT)
    independent, distinct = drawn_from(policy, inputs)
    for chosen in (independent, distinct):
        assert chosen.sequences.shape == (2, 10, 3) and chosen.shortlists.shape == (2, 10, 3, CUT)
        assert chosen.sequences.max() < CUT
        close(chosen.log_probs, policy.log_prob(recorded(inputs, chosen), chosen.sequences))
        assert (chosen.weights > 0).all()
        assert not torch.isin(chosen.shortlists[1], inputs.barred[1]).any()
        for sequence in chosen.shown.flatten(0, 1).tolist():
            shown = [row for row in sequence if row >= 0]
            assert len(set(shown)) == len(shown)
            ending = [STOP, -1, -1] if policy.can_stop else []
            assert sequence[len(shown) :] == ending[: 3 - len(shown)]
    assert (independent.weights == 1).all()
    assert all(len(set(map(tuple, group))) == 10 for group in distinct.shown.tolist())


@on_every_combination
def test_greedy_takes_the_best_of_every_shortlist_is_a_beam_of_one_and_never_varies(name):
    policy, inputs, _ = prepared(name, CUT)
    rows = policy.greedy(inputs, 4)
    found = policy.locate(inputs, rows[:, None])
    best = policy.step_distributions(recorded(inputs, found), found.sequences).argmax(-1)
    column = torch.where(found.sequences == STOP, CUT, found.sequences)
    assert torch.equal(torch.where(taken(found.sequences), best, -1), column)
    assert torch.equal(rows, policy.greedy(inputs, 4))
    assert torch.equal(rows, policy.beam(inputs, 4, 1)[0][:, 0])


@on_every_combination
def test_what_something_else_chose_is_found_on_shortlists_that_hold_it(name):
    policy, inputs, rows = prepared(name, CUT)
    if policy.settings.candidate_encoder != "none" or policy.settings.decoding == "two_stage":
        rows = rows[:, 1:2]  # one list serves all sequences of a query
    located = policy.locate(inputs, rows)
    assert torch.equal(located.shown, rows)
    assert located.shortlists.shape == (*rows.shape, CUT)
    close(located.log_probs, policy.log_prob(recorded(inputs, located), located.sequences))
    assert located.log_probs.isfinite().all()
    retrieved = drawn_from(policy, inputs)[0]
    again = policy.locate(inputs, retrieved.shown)
    steps = taken(retrieved.sequences)
    assert torch.equal(again.shortlists[steps], retrieved.shortlists[steps])


@on_every_combination
def test_a_query_has_the_same_choices_alone_and_among_others_and_in_a_bank_in_another_order(name):
    policy, inputs, _ = prepared(name, CUT)
    together = policy.greedy(inputs, 4)
    alone = BankInputs(inputs.queries[1:], inputs.bank, inputs.barred[1:])
    assert torch.equal(policy.greedy(alone, 4), together[1:])
    order = torch.randperm(ENTRIES, generator=torch.Generator().manual_seed(4))

    def moved(rows: torch.Tensor) -> torch.Tensor:
        return torch.where(rows < 0, rows, order.argsort()[rows.clamp(min=0)])

    permuted = BankInputs(inputs.queries, BankIndex(inputs.bank.embeddings[order]), moved(inputs.barred))
    assert torch.equal(policy.greedy(permuted, 4), moved(together))


def test_a_bank_gives_no_more_than_it_has():
    policy, inputs, _ = prepared("plain", CUT)
    generator = torch.Generator().manual_seed(0)
    assert policy.greedy(inputs, 6)[1].sort().values.tolist() == [1, 2, 3, 4, 5, 6]
    for choose in (
        lambda: policy.greedy(inputs, 7),
        lambda: policy.sample(inputs, 7, 2, generator),
        lambda: policy.sample_distinct(inputs, 7, 2, generator),
        lambda: policy.beam(inputs, 7, 2),
    ):
        with pytest.raises(InputError, match="7 shots cannot be taken from a bank of 6"):
            choose()


def test_where_one_list_serves_all_sequences_of_a_query_what_they_show_must_fit_on_it():
    policy, inputs, rows = prepared("v4-4", CUT)
    with pytest.raises(InputError, match="6 demonstrations of a query do not fit on a shortlist of 4"):
        policy.locate(inputs, rows)


def test_sequences_over_a_bank_have_no_probability_without_their_shortlists():
    policy, inputs, rows = prepared("plain", CUT)
    with pytest.raises(InputError, match="recorded shortlists"):
        policy.log_prob(inputs, rows)
