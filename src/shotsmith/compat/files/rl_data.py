"""RL data: per query some sequences, what the VLM answered after each, and how that was scored.

New files hold each query's pool, `pointer` (places in it) and `pointer_global` (idx). Old ones hold no pool, and
`pointer_pos` or `pointer` is the idx itself. The idx, where both are there, is what the VLM was shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shotsmith.compat.files.fields import (
    LARGEST_ID,
    as_entry,
    indices,
    keyed,
    listed,
    optional_number,
    optional_text,
    optional_whole,
    share,
)
from shotsmith.compat.files.records import ImportedQuery, ImportedRollout, Indices, LeftOut
from shotsmith.data.rows import Row, shown

NOT_THE_METRIC = frozenset({"error", "fallback"})
"""Values of `vqa_eval_mode` that say that the official metric did not score the row."""

_FIGURES = ("vqa_correct", "vqa_acc_score", "vqa_gt_prob", "vqa_rel_score", "vqa_rel_token_f1", "vqa_rel_edit_sim")


@dataclass(frozen=True, slots=True)
class RlEntry:
    """One query of a file."""

    query: ImportedQuery
    rollouts: tuple[ImportedRollout, ...]
    pointers: tuple[Indices | None, ...]
    """For each rollout its places in the pool as the file says them; None in old files."""


def read_rl_data(file: Path, value: object) -> list[RlEntry]:
    """Every query with its sequences, in the file's order. Raises DataError naming file, query, candidate and field."""
    return [_entry(as_entry(file, number, entry), number) for number, entry in keyed(file, value, "RL data")]


def _entry(row: Row, number: int) -> RlEntry:
    query = _query(as_entry(row.file, number, row.present("query"), f"{number}, query"), number)
    pool = None
    if row.fields.get("candidate_pool_ids") is not None:
        pool = indices(row, row.fields["candidate_pool_ids"], "candidate_pool_ids", longest=None)
        if len(set(pool)) < len(pool):
            raise row.fault("holds a candidate twice", "candidate_pool_ids")
    candidates = [
        as_entry(row.file, number, each, f"{number}, candidate {place}")
        for place, each in enumerate(listed(row, "pointer_candidates"))
    ]
    found = [_rollout(candidate, number, place, pool) for place, candidate in enumerate(candidates)]
    return RlEntry(
        ImportedQuery(number, query.question_id, query.image_id, query.question, query.answers, pool),
        tuple(rollout for rollout, _ in found),
        tuple(pointer for _, pointer in found),
    )


def _query(row: Row, number: int) -> ImportedQuery:
    said = optional_whole(row, "query_id")
    if said is not None and said != number:
        raise row.fault(f"is {said}, but the entry is that of query {number}", "query_id")
    answers: tuple[str, ...] = ()
    if row.fields.get("gt_answers_raw") is not None:
        given = listed(row, "gt_answers_raw")
        answers = tuple(_answer(row, answer, f"gt_answers_raw[{place}]") for place, answer in enumerate(given))
    return ImportedQuery(
        number,
        optional_whole(row, "question_id", LARGEST_ID),
        optional_whole(row, "image_id", LARGEST_ID),
        optional_text(row, "question"),
        answers,
    )


def _answer(row: Row, value: object, field: str) -> str:
    return row.checked_text(value.get("answer") if isinstance(value, dict) else value, field)


def _rollout(row: Row, query: int, number: int, pool: Indices | None) -> tuple[ImportedRollout, Indices | None]:
    sequence, pointer = _sequence(row)
    failed = row.fields.get("eval_failed") or False
    if not isinstance(failed, bool):
        raise row.fault(f"is not true or false: {shown(failed)}", "eval_failed")
    mode = optional_text(row, "vqa_eval_mode")
    left_out = _left_out(failed, mode, sequence, pool)
    figures = _figures(row, scored=left_out not in ("failed", "fallback"))
    return ImportedRollout(
        query=query,
        number=number,
        sequence=sequence,
        method=optional_text(row, "gen_method"),
        correct=figures["vqa_correct"],
        vqa_accuracy=figures["vqa_acc_score"],
        gt_prob=figures["vqa_gt_prob"],
        relevance=figures["vqa_rel_score"],
        token_f1=figures["vqa_rel_token_f1"],
        edit_similarity=figures["vqa_rel_edit_sim"],
        log_prob=optional_number(row, "logprob_score"),
        temperature=optional_number(row, "temperature"),
        beam_rank=optional_whole(row, "beam_rank"),
        beam_score=optional_number(row, "beam_score"),
        text=optional_text(row, "vqa_raw_generation"),
        prediction=optional_text(row, "vqa_pred_answer"),
        eval_mode=mode,
        split=optional_text(row, "eval_split_used"),
        left_out=left_out,
    ), pointer


def _sequence(row: Row) -> tuple[Indices, Indices | None]:
    """The demonstrations by idx, in the order shown, and their places in the pool where the file says both."""
    if row.fields.get("pointer_global") is not None:
        sequence = indices(row, row.fields["pointer_global"], "pointer_global")
        pointer = indices(row, row.present("pointer"), "pointer")
        if len(pointer) != len(sequence):
            raise row.fault(f"holds {len(pointer)} places for {len(sequence)} demonstrations", "pointer")
        return sequence, pointer
    field = "pointer_pos" if "pointer_pos" in row.fields else "pointer"
    return indices(row, row.present(field), field), None


def _left_out(failed: bool, mode: str | None, sequence: Indices, pool: Indices | None) -> LeftOut | None:
    if failed or mode == "error":
        return "failed"
    if mode in NOT_THE_METRIC:
        return "fallback"
    if len(set(sequence)) < len(sequence):
        return "repeated"
    if pool is not None and not set(sequence) <= set(pool):
        return "outside_pool"
    return None


def _figures(row: Row, *, scored: bool) -> dict[str, float | None]:
    """What a reward is made of. A row that was not scored has none, whatever number stands there."""
    if not scored:
        return dict.fromkeys(_FIGURES)
    for field in ("vqa_correct", "vqa_acc_score"):
        if row.present(field) is None:
            raise row.fault("is null, and the row is not marked as failed", field)
    if isinstance(row.fields["vqa_correct"], bool):
        correct: float | None = float(row.fields["vqa_correct"])
    else:
        correct = share(row, "vqa_correct")
        if correct not in (0.0, 1.0):
            raise row.fault(f"is neither 0 nor 1: {shown(correct)}", "vqa_correct")
    return {"vqa_correct": correct} | {field: share(row, field) for field in _FIGURES[1:]}
