"""What the VLM is asked in a run: the prompts of beam search, of GRPO's groups and of an evaluation, call by call."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shotsmith.data.load import load_splits
from shotsmith.data.world import make_world
from shotsmith.embeddings.cached import embed_examples
from shotsmith.embeddings.load import load_encoder
from shotsmith.embeddings.nearest import mixed_similarity
from shotsmith.recipe import BeamSettings, DataSettings, EncoderSettings, WorldSettings
from shotsmith.records import Completion, Failure, Request, Sequence
from shotsmith.selectors.beam_search import beam_search
from shotsmith.selectors.protocol import Ask, Tasks
from shotsmith.selectors.training_free import TRAINING_FREE

Work = list[list[Request]]
"""Requests asked together, one list a call."""

POOL = 64
SHOTS = (1, 2, 3, 4)
SHARPNESS = 12.0
"""How strongly the policy that draws GRPO's groups prefers similar candidates: its favourite recurs in most groups."""


def draw_tasks(folder: Path, queries: int) -> Tasks:
    """Queries of a small world, each with a pool of 64 at random."""
    world = WorldSettings(bank=None, train=max(1000, 20 * queries), val=1, test=1)
    make_world(folder / "world", world)
    settings = DataSettings(world=world, train_queries=1, val_queries=1, test_queries=1)
    train = load_splits(settings, folder / "world").train
    embedded = embed_examples(train, load_encoder(EncoderSettings()), folder / "embeddings.safetensors")
    draws = np.random.default_rng(0)
    pools = np.stack([1 + queries + draws.permutation(len(train) - queries - 1)[:POOL] for _ in range(queries)])
    return Tasks(train[:queries], train, pools, embedded.rows(np.arange(queries)), embedded)


def beam_work(tasks: Tasks, ask: Ask, queries: int, shots: int) -> Work:
    """What beam search asks, step by step: log-probabilities of true answers, every candidate after every beam."""
    calls: Work = []

    def asking(requests: list[Request], origin: str) -> list[Completion | Failure]:
        calls.append(requests)
        return ask(requests, origin)

    beam_search(tasks, range(queries), BeamSettings(shots=shots), asking)
    return calls


def grpo_work(tasks: Tasks, group: int) -> Work:
    """Groups of sequences of 1 to 4 demonstrations, drawn without replacement by similarity; text and log-probability.

    One call, as a step of training makes.
    """
    draws = np.random.default_rng(1)
    requests = []
    for query in range(len(tasks.queries)):
        scores = _similarities(tasks, query) * SHARPNESS
        for shots in SHOTS:
            for _ in range(group):
                order = np.argsort(-(scores + draws.gumbel(size=len(scores))))
                requests.append(_request(tasks, query, tuple(order[:shots].tolist())))
    return [list(dict.fromkeys(requests))]


def evaluation_work(tasks: Tasks) -> Work:
    """Every training-free selector at 1 to 4 shots, all in one call; text alone."""
    requests = []
    for make in TRAINING_FREE.values():
        for shots in SHOTS:
            for query, sequence in enumerate(make().select(tasks, shots)):
                requests.append(Request(tasks.queries[query], tasks.demonstrations(query, sequence)))
    return [list(dict.fromkeys(requests))]


def _similarities(tasks: Tasks, query: int) -> np.ndarray:
    one = tasks.query_embeddings.rows(np.array([query]))
    return np.asarray(mixed_similarity(one, tasks.index_embeddings.rows(tasks.pools[query])), dtype=np.float64)


def _request(tasks: Tasks, query: int, sequence: Sequence) -> Request:
    example = tasks.queries[query]
    return Request(example, tasks.demonstrations(query, sequence), (example.answer,))
