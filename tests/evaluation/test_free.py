"""Everything free on the same queries, and the choice of the best of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_tasks import ScriptedVLM, make_tasks

from shotsmith.evaluation.accuracies import Shots
from shotsmith.evaluation.evaluate import Entrant
from shotsmith.evaluation.free import best_free, best_of, evaluate_free
from shotsmith.evaluation.results import Result
from shotsmith.recipe import EvaluationSettings
from shotsmith.records import Completion
from shotsmith.selectors.fixed import Fixed
from shotsmith.selectors.named import Named, at_bank
from shotsmith.selectors.similar import mixed
from shotsmith.selectors.training_free import FREE

SETTINGS = EvaluationSettings(shots=(1, 3), random_draws=2)
POOLS = make_tasks(queries=4, index=40, pool=6)
BANK = replace(POOLS, pools=None, barred=[np.array([row]) for row in range(4)])
FIXED = Fixed({1: (9,), 3: (9, 8, 7)}, spare=(6,))


@pytest.fixture
def vlm() -> ScriptedVLM:
    return ScriptedVLM(lambda request: Completion("text"))


def test_over_a_bank_every_free_selector_has_a_row_for_every_query(vlm: ScriptedVLM) -> None:
    results = evaluate_free(BANK, SETTINGS, FIXED, vlm.ask, origin="here")
    keys = [(r.selector, r.shots, r.draw, r.query_id) for r in results]
    assert {key[0] for key in keys} == set(FREE)
    assert len(keys) == len(set(keys)) == (len(FREE) + 1) * 2 * 4
    assert vlm.origins == ["here"]
    assert not any(r.query_id - 100 in r.sequence for r in results)


def test_beside_pools_everything_but_zero_shot_chooses_from_the_bank_too(vlm: ScriptedVLM) -> None:
    trained = Entrant(Named(mixed(), "grpo"), seed=3)
    beside = Entrant(at_bank(trained.selector), seed=3)
    results = evaluate_free(POOLS, SETTINGS, FIXED, vlm.ask, entrants=[trained], bank_entrants=[beside])
    names = {r.selector for r in results}
    assert names == ({*FREE, "grpo"} - {"fixed"}) | {f"{name}@bank" for name in (*FREE, "grpo")} - {"zero_shot@bank"}
    pools = [{POOLS.index[row].id for row in pool} for pool in POOLS.pools]
    for result in results:
        if "@bank" not in result.selector:
            assert set(result.sequence) <= pools[result.query_id - 100]
    shown = {(r.selector, r.query_id): r.sequence for r in results if r.shots == 3}
    assert all(shown["grpo@bank", 100 + row] == shown["mixed@bank", 100 + row] for row in range(4))
    assert shown["mixed@bank", 101] != shown["mixed", 101]


def test_without_a_fixed_sequence_there_is_no_fixed_selector(vlm: ScriptedVLM) -> None:
    assert "fixed" not in {r.selector for r in evaluate_free(BANK, SETTINGS, None, vlm.ask)}


def row(selector: str, shots: int, query: int, score: float | None) -> Result:
    return Result(query, selector, None, shots, 0, (), None if score is None else "x", score, score, "")


def test_of_equals_the_cheaper_is_best_and_the_fewer_shots() -> None:
    results = [row(name, shots, query, 0.5) for name in ("mixed@bank", "mixed", "zero_shot") for shots in (2, 1)
               for query in (1, 2)]  # fmt: skip
    found = best_free(results)
    assert found is not None and (found.selector, found.best_shots, found.n) == ("zero_shot", 1, 2)


def test_a_trained_policy_or_a_bound_is_never_the_best_free() -> None:
    results = [row(name, 1, query, 1.0) for name in ("grpo", "oracle", "grpo_reversed") for query in (1, 2)]
    assert best_free(results) is None
    found = best_free([*results, *(row("random", 1, query, 0.1) for query in (1, 2))])
    assert found is not None and found.selector == "random" and found.accuracy_on_val == pytest.approx(10)


def test_a_selector_without_answers_is_passed_over() -> None:
    results = [row("mixed", 1, query, None) for query in (1, 2)] + [row("random", 1, query, 0.1) for query in (1, 2)]
    found = best_free(results)
    assert found is not None and found.selector == "random"


def test_the_best_by_means_alone_is_the_best_of_the_results_they_come_from() -> None:
    scores = {"mixed": (0.3, 0.6), "zero_shot": (0.5, 0.4), "grpo": (0.9, 0.9), "random@bank": (0.4, 0.5)}
    results = [row(name, k, q, by_shots[k - 1]) for name, by_shots in scores.items() for k in (1, 2) for q in (1, 2)]
    means: dict[str, dict[Shots, float]] = {
        name: {1: one, 2: two, "mean": (one + two) / 2} for name, (one, two) in scores.items()
    }
    found = best_free(results)
    assert found is not None and best_of(means) == (found.selector, found.best_shots) == ("zero_shot", 1)
    del means["zero_shot"]
    assert best_of(means) == ("mixed", 2)
    assert best_of({"mixed": {1: 0.3}, "grpo": means["grpo"]}) is None
