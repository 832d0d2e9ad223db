"""Banks that are searched approximately: what is found is scored exactly, and the contract holds on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from every_policy import close
from small_policy import SMALL, WIDTH, policy_of

from shotsmith.policies.bank import BankIndex
from shotsmith.policies.bank_search import EXACT_UP_TO, kind_of
from shotsmith.policies.bank_walk import BankWalk
from shotsmith.policies.pointer import PointerPolicy, build_policy
from shotsmith.policies.protocol import BankInputs, taken
from shotsmith.policies.shortlists import measure_shortlists
from shotsmith.policies.unit_length import unit_length
from shotsmith.recipe import OptimizerSettings, PolicySettings
from shotsmith.recipe.policy import IndexSettings
from shotsmith.training.learner import Learner

ENTRIES, M = 400, 12
KINDS = ("ivf", "hnsw")
on_each_kind = pytest.mark.parametrize("kind", KINDS)


def retriever(kind: str, *, probes: int = 32, **settings: object) -> PointerPolicy:
    index = {"kind": kind, "probes": probes}
    return policy_of(PolicySettings(**(SMALL | {"shortlist": M, "index": index} | settings)))


def inputs_of(queries: int = 5, entries: int = ENTRIES) -> BankInputs:
    rng = np.random.default_rng(0)
    embedded = [torch.from_numpy(rng.normal(size=(count, WIDTH)).astype(np.float32)) for count in (queries, entries)]
    barred = torch.full((queries, 2), -1)
    barred[1] = torch.tensor([3, 7])
    return BankInputs(embedded[0], BankIndex(embedded[1]), barred)


def exact(policy: PointerPolicy) -> PointerPolicy:
    """The same weights with exact search."""
    settings = policy.settings.model_copy(update={"index": IndexSettings(kind="exact")})
    twin = policy_of(settings)
    twin.load_state_dict(policy.state_dict())
    return twin


def update(policy: PointerPolicy, times: int = 1) -> None:
    """Steps that move every weight a little."""
    learner = Learner(policy, OptimizerSettings(learning_rate=1e-3), 1000)
    for _ in range(times):
        learner.update(sum(parameter.square().sum() for parameter in policy.parameters()))


def test_small_banks_are_searched_exactly_and_large_ones_by_lists():
    settings = IndexSettings()
    assert [kind_of(settings, entries) for entries in (10, EXACT_UP_TO, EXACT_UP_TO + 1)] == ["exact", "exact", "ivf"]
    assert kind_of(IndexSettings(kind="hnsw"), 10) == "hnsw"


@on_each_kind
@pytest.mark.parametrize(
    "settings",
    [{}, {"length": "stop"}, {"gains": ("mmr",)}, {"scorer": "additive"}, {"hidden_size": 4}, {"start": "random"}],
    ids=str,
)
def test_the_contract_holds_on_what_is_found(kind, settings):
    policy, inputs = retriever(kind, **settings), inputs_of()
    generator = torch.Generator().manual_seed(0)
    for chosen in (policy.sample(inputs, 3, 8, generator), policy.sample_distinct(inputs, 3, 8, generator)):
        recorded = replace(inputs, shortlists=chosen.shortlists)
        close(policy.step_distributions(recorded, chosen.sequences).exp().sum(-1), torch.ones(5, 8, 3))
        close(policy.log_prob(recorded, chosen.sequences), chosen.log_probs)
        steps = taken(chosen.sequences)
        assert (chosen.shortlists[steps] >= 0).all()
        assert (chosen.shortlists[steps].diff(dim=-1) > 0).all()
        assert not torch.isin(chosen.shortlists[1], inputs.barred[1]).any()
        for sequence in chosen.shown.flatten(0, 1).tolist():
            shown = [row for row in sequence if row >= 0]
            assert len(set(shown)) == len(shown)
    greedy = policy.greedy(inputs, 3)
    assert torch.equal(policy.beam(inputs, 3, 1)[0][:, 0], greedy)
    assert torch.equal(policy.locate(inputs, greedy[:, None]).shown[:, 0], greedy)


@on_each_kind
def test_nearly_everything_is_found_where_the_index_is_searched_thoroughly(kind):
    policy, inputs = retriever(kind, probes=400), inputs_of()
    assert measure_shortlists(policy, inputs, 3)["shortlist/recall"] > 0.93
    assert torch.equal(policy.greedy(inputs, 3), exact(policy).greedy(inputs, 3))


def test_codes_of_one_bit_a_dimension_find_most_of_what_wide_keys_score_highest():
    """Clusters of 300 dimensions, half the lists read."""
    rng = torch.Generator().manual_seed(0)
    centres = torch.randn(40, 300, generator=rng)
    embeddings = centres.repeat(50, 1) + 0.7 * torch.randn(2000, 300, generator=rng)
    queries = centres[:8] + 0.7 * torch.randn(8, 300, generator=rng)
    index = IndexSettings(kind="ivf", probes=22)
    policy = build_policy(PolicySettings(index=index, shortlist=32), 300, seed=0)
    inputs = BankInputs(unit_length(queries), BankIndex(unit_length(embeddings)), torch.full((8, 1), -1))
    assert measure_shortlists(policy, inputs, 2)["shortlist/recall"] > 0.9


@on_each_kind
def test_a_query_has_the_same_choices_alone_and_among_others(kind):
    policy, inputs = retriever(kind, probes=1), inputs_of(queries=12)
    together = policy.greedy(inputs, 4)
    for row in range(12):
        alone = BankInputs(inputs.queries[row : row + 1], inputs.bank, inputs.barred[row : row + 1])
        assert torch.equal(policy.greedy(alone, 4)[0], together[row])


@on_each_kind
def test_rows_that_something_else_chose_are_on_the_shortlists_whether_the_index_finds_them_or_not(kind):
    policy, inputs = retriever(kind, probes=1), inputs_of()
    shown = torch.randint(10, ENTRIES, (5, 3, 2), generator=torch.Generator().manual_seed(0))
    located = policy.locate(inputs, shown)
    assert torch.equal(located.shown, shown)
    close(policy.log_prob(replace(inputs, shortlists=located.shortlists), located.sequences), located.log_probs)


@on_each_kind
def test_between_rebuilds_the_index_is_old_but_the_scores_are_those_of_the_present_weights(kind, monkeypatch):
    monkeypatch.setattr("shotsmith.policies.bank.REFRESH", 3)
    policy, inputs = retriever(kind), inputs_of()
    searches = []
    for _ in range(7):
        searches.append(inputs.bank.search(policy))
        chosen = policy.sample(inputs, 3, 4, torch.Generator().manual_seed(0))
        close(policy.log_prob(replace(inputs, shortlists=chosen.shortlists), chosen.sequences), chosen.log_probs)
        update(policy)
    assert [searches[0] is search for search in searches] == [True] * 3 + [False] * 4
    assert searches[3] is searches[5] is not searches[6]
    inputs.bank.refresh()
    assert inputs.bank.search(policy) is not searches[6]


def test_another_policy_gets_an_index_of_its_own():
    inputs = inputs_of()
    one, other = retriever("ivf"), retriever("ivf")
    assert inputs.bank.search(one) is not inputs.bank.search(other)


@pytest.mark.parametrize("kind", ["exact", *KINDS])
def test_entries_that_are_added_are_found_without_encoding_the_others_again(kind):
    policy, inputs = retriever(kind), inputs_of()
    before, rebuilds = policy.greedy(inputs, 2), inputs.bank.rebuilds
    rows = inputs.bank.add(inputs.queries * 5)  # nothing scores higher for these queries
    assert rows.tolist() == list(range(ENTRIES, ENTRIES + 5))
    assert len(inputs.bank) == ENTRIES + 5
    after = policy.greedy(inputs, 2)
    assert inputs.bank.rebuilds == rebuilds
    anew = BankInputs(inputs.queries, BankIndex(inputs.bank.embeddings), inputs.barred)
    assert torch.equal(after, policy.greedy(anew, 2))
    assert (after >= ENTRIES).any() and not (before >= ENTRIES).any()


@pytest.mark.parametrize("kind", ["exact", *KINDS])
def test_entries_that_are_removed_are_never_chosen_and_the_others_keep_their_numbers(kind):
    policy, inputs = retriever(kind), inputs_of()
    before = policy.greedy(inputs, 3)
    inputs.bank.remove(before[:, 0])
    chosen = policy.sample(inputs, 3, 8, torch.Generator().manual_seed(0))
    assert not torch.isin(chosen.shortlists, before[:, 0]).any()
    barred = torch.cat([inputs.barred, before[:, 0].expand(5, -1)], dim=1)
    anew = BankInputs(inputs.queries, BankIndex(inputs.bank.embeddings), barred)
    assert torch.equal(policy.greedy(inputs, 3), policy.greedy(anew, 3))


def test_an_index_in_a_folder_is_found_there_again(tmp_path):
    policy, inputs = retriever("ivf"), inputs_of()
    chosen = []
    for _ in range(2):
        bank = BankIndex(inputs.bank.embeddings, tmp_path)
        chosen.append(policy.greedy(replace(inputs, bank=bank), 3))
        assert len(list(tmp_path.iterdir())) == 1
    assert torch.equal(*chosen)
    assert torch.equal(chosen[0], policy.greedy(inputs, 3))


def test_weights_that_an_optimizer_changed_give_new_keys():
    policy, inputs = retriever("exact"), inputs_of()
    before = inputs.bank.candidates(policy).keys
    assert inputs.bank.candidates(policy).keys is before
    update(policy)
    after = inputs.bank.candidates(policy).keys
    assert not torch.equal(before, after)
    close(after, policy.encode(inputs.bank.embeddings).keys)
    assert inputs.bank.rebuilds == 2


def test_outside_mass_is_what_the_softmax_over_the_bank_gives_to_the_rest():
    policy, inputs = retriever("exact"), inputs_of()
    walk = policy.walk(inputs)
    assert isinstance(walk, BankWalk)
    scores = walk.scores(walk.start())[:, 0].detach().softmax(-1)
    expected = 1 - scores.sort(descending=True).values[:, :M].sum(-1).mean()
    assert measure_shortlists(policy, inputs, 1) == {"shortlist/outside_mass": pytest.approx(float(expected), abs=1e-5)}
    everything = retriever("exact", shortlist=ENTRIES)
    assert measure_shortlists(everything, inputs, 3)["shortlist/outside_mass"] == pytest.approx(0.0, abs=1e-5)
    assert measure_shortlists(retriever("exact", candidate_encoder="self_attention"), inputs, 2) == {}
    assert measure_shortlists(retriever("exact", scorer="additive"), inputs, 2) == {}
    assert 0 < measure_shortlists(retriever("exact", length="stop"), inputs, 3)["shortlist/outside_mass"] < 1
