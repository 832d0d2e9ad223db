"""Every fault planted in a file is found, with its number and its places; whole files have none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from compat.formats import ANNOTATIONS, BEAM, QUESTIONS, Size, write_formats

from shotsmith.compat.files.assemble import assemble, read_examples, read_files
from shotsmith.compat.files.audit import MEANINGS, audit

Found = dict[str, dict[str, Any]]
RL, RL_OLD = "rl_data.json", "rl_data_old.json"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return write_formats(tmp_path, Size(queries=20, rows=12))


def found(files: dict[str, Path], *names: str) -> Found:
    """The findings of the first of the files, by key."""
    sources = read_files(files[name] for name in names)
    faults = audit(sources, assemble(sources, read_examples(sources)))
    return {fault["finding"]: fault for fault in faults if fault["file"] == str(files[names[0]])}


def change(file: Path, edit: Callable[[Any], object]) -> None:
    value = json.loads(file.read_text())
    edit(value)
    file.write_text(json.dumps(value))


def entries(value: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for key, entry in value.items() if key != "_meta"]


def candidates(value: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for entry in entries(value) for row in entry["pointer_candidates"]]


@pytest.mark.parametrize(
    "names", [(RL, QUESTIONS, ANNOTATIONS, "query_embeddings.pt"), (BEAM,), ("candidates.json",), ("anchors.json",)]
)
def test_whole_files_have_no_faults_but_ties(files: dict[str, Path], names: tuple[str, ...]) -> None:
    assert {key for key in found(files, *names) if not key.startswith("no_signal_top")} == set()


def test_groups_without_signal_before_and_after_the_cut(files: dict[str, Path]) -> None:
    def edit(value: dict[str, Any]) -> None:
        for number, entry in enumerate(entries(value)):
            for place, row in enumerate(entry["pointer_candidates"]):
                best = {0: 12, 1: 3, 2: 5}.get(number, 2)
                row |= {"vqa_correct": int(place < best), "vqa_acc_score": 0.9 if place < best else 0.0}

    change(files[RL], edit)
    shown = found(files, RL)
    assert (shown["no_signal"]["count"], shown["no_signal"]["of"]) == (1, 20)
    assert shown["no_signal_top_3"]["count"] == 3
    assert shown["no_signal_top_5"]["count"] == 2
    assert shown["no_signal"]["examples"][0].endswith("12 times 1.9")


def test_rows_that_teach_nothing(files: dict[str, Path]) -> None:
    def edit(value: dict[str, Any]) -> None:
        rows = candidates(value)
        rows[0]["eval_failed"] = True
        rows[1]["vqa_eval_mode"] = rows[2]["vqa_eval_mode"] = "fallback"
        rows[3] |= {"pointer": [4, 4], "pointer_global": [rows[3]["pointer_global"][0]] * 2}
        rows[5] |= {key: rows[4][key] for key in ("pointer", "pointer_global")}

    change(files[RL], edit)
    shown = found(files, RL)
    numbers = {
        key: shown[key]["count"] for key in ("failed", "fallback", "repeated_demonstrations", "repeated_sequences")
    }
    assert numbers == {"failed": 1, "fallback": 2, "repeated_demonstrations": 1, "repeated_sequences": 1}
    assert shown["failed"]["examples"][0].endswith("candidate 0")


def test_labels_that_are_taken_modulo_the_pool(files: dict[str, Path]) -> None:
    change(
        files[RL],
        lambda value: [row.update(pointer=[i % 64 for i in row["pointer_global"]]) for row in candidates(value)],
    )
    assert found(files, RL)["labels_modulo"]["count"] > 200
    old = [[index % 7 for index in range(place, place + 2)] for place in range(240)]
    change(files[RL_OLD], lambda value: [row.update(pointer=old[n]) for n, row in enumerate(candidates(value))])
    assert found(files, RL_OLD)["labels_modulo"]["count"] == 240


def test_a_pointer_that_contradicts_the_pool(files: dict[str, Path]) -> None:
    change(files[RL], lambda value: candidates(value)[0].update(pointer=candidates(value)[0]["pointer"][::-1]))
    assert found(files, RL)["pointer_elsewhere"]["count"] == 1


@pytest.mark.parametrize("key", ["pointer_global", "pointer"])
def test_an_order_that_was_thrown_away(files: dict[str, Path], key: str) -> None:
    def edit(value: dict[str, Any]) -> None:
        for row in candidates(value):
            order = np.argsort(row[key])
            row |= {name: [row[name][place] for place in order] for name in ("pointer", "pointer_global")}

    change(files[RL], edit)
    assert found(files, RL)["order_thrown_away"]["count"] == 240


def test_pools_of_another_size_or_with_the_query(files: dict[str, Path]) -> None:
    def edit(value: dict[str, list[int]]) -> None:
        first, second, third, *_ = value
        value[first] = value[first][:2]
        value[second][0] = int(second)
        value[third][0] = value[third][1]

    change(files["candidates.json"], edit)
    shown = found(files, "candidates.json")
    assert {key: fault["count"] for key, fault in shown.items()} == dict.fromkeys(
        ("pool_not_64", "query_in_pool", "candidate_twice"), 1
    )
    assert shown["pool_not_64"]["examples"][0].endswith(": 2")
    assert found(files, RL_OLD)["no_pool"]["count"] == 20


def test_indices_and_embeddings_that_do_not_fit(files: dict[str, Path]) -> None:
    change(files[RL], lambda value: candidates(value)[0].update(pointer_global=[100_000, 3]))
    shown = found(files, RL, QUESTIONS, ANNOTATIONS)
    assert shown["out_of_range"]["count"] == 1 and "100000" in shown["out_of_range"]["examples"][0]
    torch.save(torch.ones(64, 16), files["query_embeddings.pt"])
    shown = found(files, "query_embeddings.pt", "candidate_embeddings.pt", QUESTIONS, ANNOTATIONS, BEAM)
    assert shown["rows_do_not_fit"]["count"] == 3
    assert "64 rows for 120 examples" in shown["rows_do_not_fit"]["examples"]


def test_another_questions_file(files: dict[str, Path]) -> None:
    change(files[RL], lambda value: entries(value)[0]["query"].update(question_id=1))
    assert found(files, RL, QUESTIONS, ANNOTATIONS)["another_question"]["count"] == 1
    assert "another_question" not in found(files, RL)


def test_scores_whose_sign_was_flipped(files: dict[str, Path]) -> None:
    def edit(value: dict[str, Any]) -> None:
        for entry in value.values():
            entry["score_list"] = [-score for score in entry["score_list"]]

    change(files["lever_lm.json"], edit)
    assert found(files, "lever_lm.json")["scores_ascending"]["count"] == 20


def flawed_search(
    pool: list[int], query: int, rng: np.random.Generator, *, sign: int = 1
) -> list[tuple[list[int], float]]:
    """What a beam search of width 5 over two steps finds: the best of all pairs, the worst with a sign of -1."""
    gains = rng.normal(0, 0.1, (len(pool), len(pool)))
    pairs = [(first, second) for first in range(len(pool)) for second in range(len(pool)) if first != second]
    kept = sorted(pairs, key=lambda pair: -sign * gains[pair])[:5]
    return [([pool[second], pool[first], query], float(gains[first, second])) for first, second in kept]


@pytest.mark.parametrize("details", ["gone", "in the order of the search", "sorted too"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_flipped_sign_shows_after_beams_were_sorted_anew(files: dict[str, Path], details: str, sign: int) -> None:
    """Its filter sorts scores in descending order, whatever the search had kept."""

    def edit(value: dict[str, Any]) -> None:
        rng = np.random.default_rng(0)
        for key, entry in value.items():
            kept = flawed_search(list(range(200, 264)), int(key), rng, sign=sign)
            anew = sorted(kept, key=lambda pair: -pair[1])
            entry |= {"id_list": [row for row, _ in anew], "score_list": [score for _, score in anew]}
            detailed = anew if details == "sorted too" else kept
            entry["beams"] = [{"shots": [], "final_score": 0, "full_sequence": row} for row, _ in detailed]
            if details == "gone":
                del entry["beams"]

    change(files[BEAM], edit)
    shown = found(files, BEAM)
    if sign == 1:
        assert "scores_ascending" not in shown
    else:
        assert (shown["scores_ascending"]["count"], shown["scores_ascending"]["of"]) == (20, 20)


def test_scores_of_another_kind_may_all_be_below_0(files: dict[str, Path]) -> None:
    """Log-probabilities are; only a file of InfoScores says that 0 is no demonstration."""

    def edit(value: dict[str, Any]) -> None:
        for entry in value.values():
            entry["score_list"] = sorted((-abs(score) - 1 for score in entry["score_list"]), reverse=True)

    change(files["lever_lm.json"], edit)
    assert "scores_ascending" not in found(files, "lever_lm.json")


def test_the_query_among_its_own_demonstrations(files: dict[str, Path]) -> None:
    change(
        files["lever_lm.json"],
        lambda value: [entry["id_list"][0].__setitem__(0, int(key)) for key, entry in value.items()],
    )
    assert found(files, "lever_lm.json")["query_shown"]["count"] == 20


@pytest.mark.parametrize(("other", "findings"), [(0.4805, {"within_noise"}), (0.58, set())])
def test_differences_within_the_noise(files: dict[str, Path], other: float, findings: set[str]) -> None:
    accuracies = {"2025-test_data_num=800-a": 0.48, "2025-test_data_num=800-b": other}
    files["metrics.json"].write_text(json.dumps({name: {"shot_num=1": value} for name, value in accuracies.items()}))
    assert found(files, "metrics.json").keys() == findings


def test_a_zero_embedding(files: dict[str, Path]) -> None:
    values = torch.ones(120, 16)
    values[7] = 0
    torch.save(values, files["query_embeddings.pt"])
    assert found(files, "query_embeddings.pt")["zero_embeddings"]["examples"] == ["row 7"]


def test_every_fault_has_a_meaning_and_says_where_it_is(files: dict[str, Path]) -> None:
    for fault in found(files, RL_OLD).values():
        assert fault["means"] == MEANINGS[fault["finding"]]
        assert set(fault) == {"file", "format", "finding", "count", "of", "examples", "means"}
