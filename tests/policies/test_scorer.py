from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from shotsmith.policies.scorer import SCORERS, Scorer, build_scorer
from shotsmith.policies.stop import StopHead
from shotsmith.recipe import PolicySettings

SETTINGS = PolicySettings(hidden_size=8, temperature=0.5, start="random")


def units(*shape: int, seed: int = 0) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape, 8, generator=torch.Generator().manual_seed(seed)), dim=-1)


def scorer_of(name: str, **changes: object) -> Scorer:
    torch.manual_seed(0)
    return build_scorer(SETTINGS.model_copy(update={"scorer": name} | changes))


def scores_of(scorer, queries: torch.Tensor, candidates: torch.Tensor) -> torch.Tensor:
    return scorer(queries, scorer.keys(candidates))


@pytest.mark.parametrize("name", SCORERS)
def test_every_pair_is_scored_by_itself(name):
    scorer, queries, candidates = scorer_of(name), units(2, 3), units(2, 5, seed=1)
    found = scores_of(scorer, queries, candidates)
    assert found.shape == (2, 3, 5)
    for b, g, k in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(5)).tolist():
        alone = scores_of(scorer, queries[b : b + 1, g : g + 1], candidates[b : b + 1, k : k + 1])
        torch.testing.assert_close(alone[0, 0, 0], found[b, g, k])


def test_bilinear_starts_as_cosine_over_temperature():
    queries, candidates = units(2, 3), units(2, 5, seed=1)
    cosine, bilinear = (scores_of(scorer_of(name), queries, candidates) for name in ("cosine", "bilinear"))
    torch.testing.assert_close(cosine, functional.cosine_similarity(queries[:, :, None], candidates[:, None], -1) / 0.5)
    torch.testing.assert_close(bilinear, cosine)


def test_bilinear_asks_differently_of_query_and_candidate():
    scorer = scorer_of("bilinear")
    with torch.no_grad():
        scorer.weight.copy_(torch.randn(8, 8, generator=torch.Generator().manual_seed(2)))
    query, candidate = units(1, 1), units(1, 1, seed=1)
    expected = query[0, 0] @ scorer.weight @ candidate[0, 0] / 0.5
    torch.testing.assert_close(scores_of(scorer, query, candidate)[0, 0, 0], expected)
    assert not torch.allclose(scores_of(scorer, candidate, query), scores_of(scorer, query, candidate))


def test_additive_follows_its_formula():
    scorer, queries, candidates = scorer_of("additive"), units(1, 1), units(1, 1, seed=1)
    inside = torch.tanh(scorer.of_query(queries[0, 0]) + scorer.of_candidate(candidates[0, 0]))
    torch.testing.assert_close(scores_of(scorer, queries, candidates)[0, 0, 0], scorer.value(inside)[0])


@pytest.mark.parametrize("name", SCORERS)
def test_in_a_policy_that_starts_as_similarity_a_scorer_starts_as_the_inner_product(name):
    scorer, queries, candidates = scorer_of(name, start="similarity"), 2 * units(2, 3), units(2, 5, seed=1)
    torch.testing.assert_close(scores_of(scorer, queries, candidates), queries @ candidates.mT)


@pytest.mark.parametrize("start", ["similarity", "random"])
@pytest.mark.parametrize("name", SCORERS)
def test_scores_are_the_inner_products_of_vectors_and_keys_where_there_are_vectors(name, start):
    scorer, queries, candidates = scorer_of(name, start=start), units(2, 3), units(2, 5, seed=1)
    with torch.no_grad():
        for parameter in scorer.parameters():
            parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2))
    vectors = scorer.vectors(queries)
    assert (vectors is None) == (name == "additive")
    if vectors is not None:
        torch.testing.assert_close(vectors @ scorer.keys(candidates).mT, scores_of(scorer, queries, candidates))


def stop_head() -> StopHead:
    torch.manual_seed(0)
    return StopHead(8)


def test_an_untrained_policy_stops_about_every_tenth_time():
    head = stop_head()
    scores, steps = 10 * torch.randn(50, 20, 7), torch.randint(0, 4, (50, 20))
    go_on, stop = head(units(50, 20), scores, steps)
    assert stop.exp().mean().item() == pytest.approx(0.1, abs=0.02)
    torch.testing.assert_close(stop.exp() + go_on.exp(), torch.ones(50, 20))


def test_stopping_depends_on_the_state_the_best_score_and_the_number_chosen_and_on_nothing_else():
    head = stop_head()
    queries, scores, steps = units(1, 1), torch.tensor([[[1.0, 3.0, 2.0]]]), torch.tensor([[1]])
    base = head(queries, scores, steps)[1]
    assert torch.equal(head(queries, scores[..., [1, 2]], steps)[1], base)
    assert torch.equal(head(queries, functional.pad(scores, (0, 3), value=-torch.inf), steps)[1], base)
    assert not torch.equal(head(units(1, 1, seed=1), scores, steps)[1], base)
    assert not torch.equal(head(queries, scores + 1, steps)[1], base)
    assert not torch.equal(head(queries, scores, steps + 1)[1], base)


def test_stopping_is_certain_where_nothing_is_left_and_teaches_nothing():
    head = stop_head()
    scores = torch.tensor([[[-torch.inf, -torch.inf]]])
    go_on, stop = head(units(1, 1), scores, torch.tensor([[2]]))
    assert stop.item() == 0 and go_on.item() == -torch.inf
    stop.sum().backward()
    assert all((parameter.grad == 0).all() for parameter in head.parameters())
