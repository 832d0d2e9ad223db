"""A made-up run with a bank whose faults are known: wrong labels of one source, a harmful entry and a useful one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from small_explored import IDENTITY, Told, explored_run

from shotsmith.completions.prompts import PromptLog
from shotsmith.completions.store import Store, request_key
from shotsmith.data.load import load_splits
from shotsmith.records import Completion, Request
from shotsmith.runs import Run

BANK = 320
FIRST = 1000
CLASSES = 5
USEFUL, HARMFUL = 3, 7
"""Places in the bank of the entries whose prompts are always right and never right."""


def is_careless(number: int) -> bool:
    """Whether an example is of the careless source."""
    return number >= FIRST and number % 4 == 0


def true_class(number: int) -> int:
    """What a picture shows."""
    return number * 7 // 4 % CLASSES


def answer(number: int) -> str:
    """What the annotators say: the careless source is always wrong."""
    return f"thing {(true_class(number) + is_careless(number) * (1 + number // 4 % (CLASSES - 1))) % CLASSES}"


@dataclass(frozen=True)
class Banked:
    """The run, and the ids of its bank whose labels are wrong."""

    run: Run
    wrong: frozenset[int]


def banked_run(folder: Path, told: Told | None = None) -> Banked:
    """Make the run. Its embeddings show what a picture shows and its source; its log has prompts of 20 queries."""
    told = told or Told(bank=BANK, question=lambda _: "what is it?", answer=answer, kind=lambda n: "abc"[n % 3])
    run = explored_run(folder, told, {"name": "banked"})
    splits = load_splits(run.recipe.data)
    rng = np.random.default_rng(1)
    for name, examples in splits.named().items():
        arrays = load_file(run.embeddings(name))
        shown = np.zeros((len(examples), 8), np.float32)
        for row, example in enumerate(examples):
            shown[row, true_class(example.id)] = 1
            shown[row, CLASSES + is_careless(example.id)] = 1
        shown += 0.1 * rng.normal(size=shown.shape).astype(np.float32)
        shown /= np.linalg.norm(shown, axis=1, keepdims=True)
        same = np.repeat(arrays["questions"][:1], len(examples), axis=0)
        save_file({"images": shown, "questions": same}, run.embeddings(name))
    log = PromptLog(run.prompts)
    completions: dict[str, Completion] = {}
    bank = splits.bank
    for query in bank[:20]:
        others = [example for example in bank[20:] if example.id != query.id]
        keys, requests = [], []
        for entry, right in (
            (bank[20 + USEFUL], True),
            (bank[20 + HARMFUL], False),
            *zip(others[30:40], [True, False] * 5, strict=True),
        ):
            request = Request(query, (entry,))
            keys.append(request_key(request, IDENTITY))
            requests.append(request)
            completions[keys[-1]] = Completion(query.answer if right else "something else")
        log.add(keys, requests, "seed-0/grpo/epoch-001")
    log.close()
    with Store.open(run.completions) as store:
        store.put_many(list(completions.items()), "seed-0/grpo/epoch-001")
    return Banked(run, frozenset(example.id for example in bank if is_careless(example.id)))
