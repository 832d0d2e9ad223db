"""Files of every format of the predecessor, drawn at random, as its users own them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

ANSWERS = ("red", "blue", "two", "a dog", "pizza", "frisbee", "wood", "yes")
ACCURACIES = (0.0, 0.3, 0.6, 0.9, 1.0)
METHODS = ("beam", "sample", "random", "retrieval")
BEAM = (
    "vqa-okvqa-Qwen2.5-VL-3B-Instruct-RandSampler-scorer:infoscore-construct_order:left-beam_size:5-few_shot:2-"
    "candidate_num:64-sample_num:800.json"
)
QUESTIONS = "OpenEnded_mscoco_train2014_questions.json"
ANNOTATIONS = "mscoco_train2014_annotations.json"
MERGED = "okvqa_mscoco_train2014.json"
EVERY_FORMAT = (
    *(QUESTIONS, ANNOTATIONS, MERGED, "anchors.json", "candidates.json", BEAM, "lever_lm.json", "rl_data.json"),
    *("rl_data_old.json", "query_embeddings.pt", "candidate_embeddings.pt", "ViT-B-32-ImgFeatures.pth"),
    *("ViT-B-32-TextFeatures.pth", "metrics.json", "train.log"),
)


@dataclass(frozen=True)
class Size:
    """How much is drawn."""

    train: int = 120
    """Examples of the train split."""
    queries: int = 20
    width: int = 16
    """d; 512 or 768 with CLIP."""
    rows: int = 12
    """Sequences a query in RL data."""
    pool: int = 64


def write_formats(folder: Path, size: Size | None = None, seed: int = 0) -> dict[str, Path]:
    """Every file of EVERY_FORMAT, all about the same queries and pools."""
    size = size or Size()
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    queries = sorted(int(row) for row in rng.choice(size.train, size.queries, replace=False))
    pools = {query: _pool(rng, query, size) for query in queries}
    rows = _questions(rng, size.train)
    rl = _rl_data(rng, pools, rows, size)
    beams = _beam_data(rng, pools)
    values: dict[str, Any] = {
        QUESTIONS: {"info": {}, "questions": [_without(row, "answers", "answer_type") for row in rows]},
        ANNOTATIONS: {"info": {}, "annotations": [_without(row, "question") for row in rows]},
        MERGED: rows,
        "anchors.json": queries,
        "candidates.json": {str(query): pool for query, pool in pools.items()},
        BEAM: beams,
        "lever_lm.json": {
            query: {"id_list": entry["id_list"], "score_list": entry["score_list"]} for query, entry in beams.items()
        },
        "rl_data.json": rl,
        "rl_data_old.json": {key: _old(entry) for key, entry in rl.items() if key != "_meta"},
        "metrics.json": _metrics(rng),
    }
    for name, value in values.items():
        (folder / name).write_text(json.dumps(value), encoding="utf-8")
    embeddings = rng.standard_normal((size.train, size.width)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    for name in ("query_embeddings.pt", "candidate_embeddings.pt"):
        torch.save(torch.from_numpy(embeddings), folder / name)
    torch.save(embeddings, folder / "ViT-B-32-ImgFeatures.pth")
    (folder / "ViT-B-32-TextFeatures.pth").write_bytes(embeddings.dumps())
    (folder / "train.log").write_text(_log(rng), encoding="utf-8")
    return {name: folder / name for name in EVERY_FORMAT}


def _pool(rng: np.random.Generator, query: int, size: Size) -> list[int]:
    others = np.delete(np.arange(size.train), query)
    return [int(index) for index in rng.choice(others, size.pool, replace=False)]


def _questions(rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
    """In no order: idx counts after sorting by question id."""
    ids = rng.permutation(np.arange(count) * 5 + 1_000_005)
    return [
        {
            "image_id": int(number) // 10,
            "question": f"What is number {number}?",
            "question_id": int(number),
            "question_type": "what is",
            "answer_type": "other",
            "answers": _answers(rng),
        }
        for number in ids
    ]


def _answers(rng: np.random.Generator) -> list[dict[str, Any]]:
    given = [ANSWERS[min(int(place), len(ANSWERS) - 1)] for place in rng.geometric(0.5, 10)]
    return [
        {"answer_id": place + 1, "answer": answer, "raw_answer": answer, "answer_confidence": "yes"}
        for place, answer in enumerate(given)
    ]


def _without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _beam_data(rng: np.random.Generator, pools: dict[int, list[int]]) -> dict[str, Any]:
    found = {}
    for query, pool in pools.items():
        beams = []
        for _ in range(5):
            first, newest = (int(index) for index in rng.choice(pool, 2, replace=False))
            shots = [{"id": first, "score": float(rng.normal())}, {"id": newest, "score": float(rng.normal())}]
            score = float(rng.normal(0, 0.1))
            beams.append({"shots": shots, "final_score": score, "full_sequence": [newest, first, query]})
        beams.sort(key=lambda beam: -beam["final_score"])
        found[str(query)] = {
            "id_list": [beam["full_sequence"] for beam in beams],
            "score_list": [beam["final_score"] for beam in beams],
            "beams": beams,
            "few_shot_num": 2,
            "shot_scores": [[shot["score"] for shot in beam["shots"]] for beam in beams],
        }
    return found


def _rl_data(
    rng: np.random.Generator, pools: dict[int, list[int]], rows: list[dict[str, Any]], size: Size
) -> dict[str, Any]:
    by_id = sorted(rows, key=lambda row: row["question_id"])
    found: dict[str, Any] = {"_meta": {"dataset": "okvqa", "created_at": "2025-11-30"}}
    for query, pool in pools.items():
        row = by_id[query]
        texts = [answer["answer"] for answer in row["answers"]]
        found[str(query)] = {
            "query": {
                "query_id": query,
                "question_id": row["question_id"],
                "image_id": row["image_id"],
                "question": row["question"],
                "gt_answers_raw": texts,
                "gt_answers_norm": texts,
            },
            "candidate_pool_ids": pool,
            "pointer_candidates": [_candidate(rng, pool, number) for number in range(size.rows)],
        }
    return found


def _candidate(rng: np.random.Generator, pool: list[int], number: int) -> dict[str, Any]:
    pointer = [int(place) for place in rng.choice(len(pool), 2, replace=False)]
    accuracy = float(rng.choice(ACCURACIES))
    method = METHODS[number % len(METHODS)]
    relevance = float(rng.uniform())
    return {
        "pointer": pointer,
        "pointer_global": [pool[place] for place in pointer],
        "gen_method": method,
        "beam_rank": number if method == "beam" else None,
        "beam_score": float(rng.normal()) if method == "beam" else None,
        "logprob_score": -float(rng.uniform(1, 8)),
        "temperature": 1.0 if method == "sample" else None,
        "vqa_raw_generation": "red\n",
        "vqa_pred_answer": "red",
        "vqa_correct": int(accuracy > 0),
        "vqa_acc_score": accuracy,
        "vqa_gt_prob": float(rng.uniform()),
        "vqa_rel_token_f1": relevance,
        "vqa_rel_edit_sim": relevance / 2,
        "vqa_rel_score": relevance,
        "vqa_eval_mode": "vqaEval",
        "eval_split_used": "train",
        "eval_failed": False,
    }


def _old(entry: dict[str, Any]) -> dict[str, Any]:
    """No pool; the pointer is the idx."""
    rows = [
        {**_without(row, "pointer_global"), "pointer": row["pointer_global"]} for row in entry["pointer_candidates"]
    ]
    return {"query": entry["query"], "pointer_candidates": rows}


def _metrics(rng: np.random.Generator) -> dict[str, Any]:
    names = ("2025-12-01-test_data_num=800-LeverLMRetriever", "2025-12-02-test_data_num=800-RandRetriever")
    return {
        name: {f"shot_num={shots}": round(float(rng.uniform(0.4, 0.6)), 4) for shots in (1, 2, 3, 4)} for name in names
    }


def _log(rng: np.random.Generator) -> str:
    lines = ["GRPO_LR=5e-5 KL_BETA=0.1", "", "Epoch Train Loss Val Loss PPO Loss KL Adv Std Adv Max Beta"]
    for epoch in range(1, 6):
        figures = [2.3 - epoch / 10, 2.4, float(rng.normal(0, 0.01)), 0.05 * epoch, 0.0062, 0.01, 0.001]
        lines.append(" ".join([str(epoch), *(f"{figure:.6f}" for figure in figures)]))
    return "\n".join(lines) + "\n"
