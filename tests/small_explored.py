"""An evaluated run made by hand: pictures, questions and completions of one's choice, two policies, a store."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file

from shotsmith.checkpoints.native import Manifest, save_policy
from shotsmith.completions.store import Store, request_key
from shotsmith.data.load import load_splits
from shotsmith.data.splits import choose_queries
from shotsmith.embeddings.embedded import Embedded
from shotsmith.evaluation.results import Result, write_results
from shotsmith.files import write_json
from shotsmith.metrics.vqa import vqa_accuracy
from shotsmith.policies.pointer import build_policy
from shotsmith.recipe import Recipe, parse_recipe
from shotsmith.records import Completion, Example, Request
from shotsmith.runs import Run
from shotsmith.selectors.policy import PolicySelector
from shotsmith.selectors.protocol import Tasks

IDENTITY = "a VLM made up"
WIDTH = 8
SHOTS = (1, 2)
KINDS = ("colour", "count")


@dataclass(frozen=True)
class Told:
    """What the made-up run says."""

    queries: int = 9
    bank: int = 24
    question: Callable[[int], str] = lambda number: f"what is in picture {number}?"
    answer: Callable[[int], str] = lambda number: f"thing {number % 5}"
    completion: Callable[[int, str, int], str] = lambda query, selector, shots: (
        f"thing {(query + (query * 5 + len(selector) * shots) % 3) % 5}"
    )
    """Of a query, selector and number of shots: right, partly right or wrong."""
    kind: Callable[[int], str] = lambda number: KINDS[number % 2]


def explored_run(folder: Path, told: Told = Told(), settings: Mapping[str, Any] | None = None) -> Run:
    """Make the run in `folder`/run, its data beside it. `settings` are further sections of its recipe."""
    train = _official(folder, "train", told.bank, 1000, told)
    test = _official(folder, "test", told.queries, 1, told)
    recipe = _recipe(told.queries, train | test | {"val_share": 0.2}, settings or {})
    run = Run.create(folder / "run", recipe)
    splits = load_splits(recipe.data)
    rng = np.random.default_rng(0)
    embedded = {}
    for name, examples in splits.named().items():
        parts = (rng.normal(size=(len(examples), WIDTH)).astype(np.float32) for _ in range(2))
        images, questions = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts)
        run.embeddings(name).parent.mkdir(exist_ok=True)
        save_file({"images": images, "questions": questions}, run.embeddings(name))
        embedded[name] = Embedded(images, questions)
    rows = choose_queries(splits.test, recipe.data.test_queries, recipe.data.seed)
    queries = tuple(splits.test[row] for row in rows)
    tasks = Tasks(queries, splits.bank, None, embedded["test"].rows(np.array(rows)), embedded["train"])
    results: list[Result] = []
    said: dict[tuple[int, tuple[int, ...]], str] = {}  # one prompt has one completion, whoever chose it
    for shots in SHOTS:
        for selector, seed, draw, sequences in _chosen(run, tasks, shots):
            for query, sequence in zip(queries, sequences, strict=True):
                text = told.completion(query.id + draw + (seed or 0), selector, shots)
                text = said.setdefault((query.id, sequence), text)
                results.append(_result(query, selector, seed, shots, draw, sequence, text))
    first = next(row for row, one in enumerate(results) if one.selector == "mixed")
    results[first] = _failed(results[first])
    write_results(run.results, results)
    best = {"selector": "mixed", "best_shots": 2}
    write_json(run.summary, {"test": _test_rows(results), "contrasts": [], "best_free": best})
    for stage in ("data", "embed", "pools", "beam", "train", "rank", "evaluate"):
        run.record(stage, 1.0, 0, 0)
    _store(run, results, {one.id: one for part in (queries, splits.bank) for one in part})
    return run


def _official(folder: Path, name: str, count: int, first: int, told: Told) -> dict[str, str]:
    pictures = folder / name
    pictures.mkdir(parents=True)
    numbers = range(first, first + count)
    questions = [{"question_id": n, "image_id": n, "question": told.question(n)} for n in numbers]
    annotations = [
        {
            "question_id": n,
            "image_id": n,
            "question_type": told.kind(n),
            "answers": [{"answer": told.answer(n if place < 8 else n + 1), "answer_id": place} for place in range(10)],
        }
        for n in numbers
    ]
    for n in numbers:
        colour = n * 37 % 256, n * 91 % 256, (n * 53 + n // 256) % 256
        Image.new("RGB", (40, 30), colour).save(pictures / f"COCO_{name}2014_{n:012d}.png")
    for kind, value in (("questions", questions), ("annotations", annotations)):
        (folder / f"{name}_{kind}.json").write_text(json.dumps({"data_subtype": f"{name}2014", kind: value}))
    files = {kind: str(folder / f"{name}_{kind}.json") for kind in ("questions", "annotations")}
    return {f"{name}_{kind}": file for kind, file in (files | {"images": str(pictures)}).items()}


def _recipe(queries: int, okvqa: Mapping[str, Any], settings: Mapping[str, Any]) -> Recipe:
    data = {"okvqa": dict(okvqa), "train_queries": 8, "val_queries": 2, "test_queries": queries}
    return parse_recipe(
        {"name": "explored", "seeds": [0, 1], "data": data, "evaluation": {"shots": list(SHOTS)}, **settings}
    )


def _chosen(run: Run, tasks: Tasks, shots: int) -> list[tuple[str, int | None, int, list[tuple[int, ...]]]]:
    """Selector, seed, draw, and the rows of the bank shown to each query."""
    rng = np.random.default_rng(shots)
    count, size = len(tasks.queries), len(tasks.index)

    def some() -> list[tuple[int, ...]]:
        return [tuple(rng.choice(size, shots, replace=False).tolist()) for _ in range(count)]

    found: list[tuple[str, int | None, int, list[tuple[int, ...]]]] = [
        ("zero_shot", None, 0, [()] * count),
        ("random", None, 0, some()),
        ("random", None, 1, some()),
        ("mixed", None, 0, some()),
    ]
    for seed in (0, 1):
        policy = build_policy(run.recipe.policy, 2 * WIDTH, seed)
        noise = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in policy.parameters():
                parameter += 0.02 * torch.randn(parameter.shape, generator=noise)
        found.append(("grpo", seed, 0, PolicySelector("grpo", policy).select(tasks, shots)))
        if shots == SHOTS[0]:
            manifest = Manifest(
                policy=policy.settings,
                embedding_width=2 * WIDTH,
                encoder="an encoder made up",
                vlm=IDENTITY,
                shots=SHOTS,
                recipe="",
                seed=seed,
                phase="grpo",
                epoch=1,
            )
            save_policy(run.epoch(seed, "grpo", 1), policy, manifest)
            run.record_epoch({"seed": seed, "phase": "grpo", "epoch": 1, "val_reward": 1.0})
    bank = [example.id for example in tasks.index]
    return [(name, seed, draw, [tuple(bank[row] for row in one) for one in some]) for name, seed, draw, some in found]


def _result(
    query: Example, selector: str, seed: int | None, shots: int, draw: int, sequence: Sequence[int], text: str
) -> Result:
    value = vqa_accuracy(text, query.answers)
    kind = query.question_type
    return Result(query.id, selector, seed, shots, draw, tuple(sequence), text, value, value, kind)


def _failed(result: Result) -> Result:
    kind = result.question_type
    return Result(
        *(result.query_id, result.selector, result.seed, result.shots, result.draw, result.sequence),
        *(None, None, None, kind, "the server did not answer"),
    )


def _test_rows(results: Sequence[Result]) -> list[dict[str, Any]]:
    cell = {"shots": "mean", "metric": "vqa_accuracy", "low": 0, "high": 100, "n": 1}
    return [{**cell, "selector": name, "accuracy": 50.0} for name in dict.fromkeys(one.selector for one in results)]


def _store(run: Run, results: Sequence[Result], examples: Mapping[int, Example]) -> None:
    known = {}
    for one in results:
        if one.text is not None:
            request = Request(examples[one.query_id], tuple(examples[number] for number in one.sequence))
            known.setdefault(request_key(request, IDENTITY), Completion(one.text))
    with Store.open(run.completions) as store:
        store.put_many(list(known.items()), "evaluation")
