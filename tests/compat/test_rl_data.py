"""RL data of both forms: what was shown is kept in its order, what failed stays a failure, and faults are named."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from shotsmith.compat.files.rl_data import read_rl_data
from shotsmith.errors import DataError

FILE = Path("rl_data.json")
POOL = [*range(100, 164)]


def candidate(**changed: Any) -> dict[str, Any]:
    whole = {
        "pointer": [9, 3],
        "pointer_global": [109, 103],
        "gen_method": "beam",
        "vqa_raw_generation": "red\n",
        "vqa_correct": 1,
        "vqa_acc_score": 0.6,
        "vqa_gt_prob": 0.4,
        "vqa_rel_token_f1": 1.0,
        "vqa_rel_edit_sim": 0.5,
        "vqa_rel_score": 1.0,
        "vqa_eval_mode": "vqaEval",
        "eval_failed": False,
    }
    return {key: value for key, value in {**whole, **changed}.items() if value != "absent"}


def content(*candidates: dict[str, Any], pool: list[int] | None = POOL) -> dict[str, Any]:
    query = {"query_id": 123, "question_id": 7, "image_id": 2, "question": "What?", "gt_answers_raw": ["red"]}
    entry: dict[str, Any] = {"query": query, "pointer_candidates": list(candidates)}
    return {"_meta": {}, "123": entry | ({} if pool is None else {"candidate_pool_ids": pool})}


def read_one(**changed: Any) -> Any:
    (entry,) = read_rl_data(FILE, content(candidate(**changed)))
    return entry.rollouts[0]


def test_the_order_shown_and_every_figure_are_kept() -> None:
    (entry,) = read_rl_data(FILE, content(candidate(), candidate(pointer=[3, 9], pointer_global=[103, 109])))
    assert [rollout.sequence for rollout in entry.rollouts] == [(109, 103), (103, 109)]
    assert entry.pointers == ((9, 3), (3, 9))
    assert entry.query.pool == tuple(POOL) and entry.query.question_id == 7 and entry.query.answers == ("red",)
    first = entry.rollouts[0]
    assert (first.correct, first.vqa_accuracy, first.gt_prob, first.relevance) == (1.0, 0.6, 0.4, 1.0)
    assert (first.text, first.method, first.left_out) == ("red\n", "beam", None)
    assert first.log_prob is None and first.temperature is None


@pytest.mark.parametrize("field", ["pointer", "pointer_pos"])
def test_in_old_files_the_pointer_is_the_index_itself(field: str) -> None:
    old = candidate(pointer_global="absent", pointer="absent") | {field: [4000, 17]}
    (entry,) = read_rl_data(FILE, content(old, pool=None))
    assert entry.rollouts[0].sequence == (4000, 17)
    assert entry.query.pool is None and entry.pointers == (None,)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"eval_failed": True, "vqa_acc_score": 0.0, "vqa_correct": 0}, "failed"),
        ({"vqa_eval_mode": "error"}, "failed"),
        ({"vqa_eval_mode": "fallback", "vqa_acc_score": 0.5}, "fallback"),
    ],
)
def test_what_the_metric_did_not_score_has_no_figures(changed: dict[str, Any], reason: str) -> None:
    rollout = read_one(**changed)
    assert rollout.left_out == reason
    assert (rollout.correct, rollout.vqa_accuracy, rollout.gt_prob, rollout.relevance) == (None,) * 4
    assert rollout.text == "red\n"


def test_sequences_nothing_is_learned_from_are_marked_and_keep_their_figures() -> None:
    repeated = read_one(pointer=[3, 3], pointer_global=[103, 103])
    outside = read_one(pointer_global=[109, 9999])
    assert (repeated.left_out, repeated.vqa_accuracy) == ("repeated", 0.6)
    assert (outside.left_out, outside.sequence) == ("outside_pool", (109, 9999))


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"vqa_acc_score": float("nan")}, "vqa_acc_score"),
        ({"vqa_acc_score": 1e300}, "vqa_acc_score"),
        ({"vqa_acc_score": None}, "vqa_acc_score"),
        ({"vqa_correct": 0.5}, "vqa_correct"),
        ({"vqa_correct": "absent"}, "vqa_correct"),
        ({"vqa_gt_prob": "0.4"}, "vqa_gt_prob"),
        ({"pointer_global": [1.0, 2]}, "pointer_global[0]"),
        ({"pointer_global": [True, 2]}, "pointer_global[0]"),
        ({"pointer_global": [2**40, 2]}, "pointer_global[0]"),
        ({"pointer_global": [1] * 65}, "pointer_global"),
        ({"pointer_global": [1]}, "pointer"),
        ({"pointer_global": None, "pointer": {}}, "pointer"),
        ({"eval_failed": "no"}, "eval_failed"),
        ({"vqa_raw_generation": "\ud800"}, "vqa_raw_generation"),
        ({"logprob_score": float("inf")}, "logprob_score"),
    ],
)
def test_a_faulty_candidate_is_named_with_its_field(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(DataError) as caught:
        read_rl_data(FILE, content(candidate(), candidate(**changed)))
    assert (caught.value.file, caught.value.row, caught.value.field) == (str(FILE), "123, candidate 1", field)


@pytest.mark.parametrize("key", ["", "x", "-1", "1.0", "9" * 30, "\u0663"])
def test_a_key_that_is_no_index_is_refused(key: str) -> None:
    value = content(candidate())
    value[key] = copy.deepcopy(value["123"])
    with pytest.raises(DataError, match="not the index of a query"):
        read_rl_data(FILE, value)


def test_an_entry_of_another_query_is_refused() -> None:
    value = content(candidate())
    value["124"] = value.pop("123")
    with pytest.raises(DataError, match="is 123, but the entry is that of query 124"):
        read_rl_data(FILE, value)
