"""Memory of training on very many queries, whose embeddings lie in a file larger than memory need be."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from resident_memory import ResidentMemory
from synthetic_rollouts import WIDTH, Shape, draw_groups, draw_pools, unit_vectors
from timed_training import POLICY, train

from shotsmith.policies.inputs import InputsTable
from shotsmith.policies.pointer import build_policy
from shotsmith.runs import Phase

CHUNK = 4_096


def write_table(file: Path, rows: int) -> None:
    """Random embeddings [rows, WIDTH]; every page of the file is real."""
    rng = np.random.default_rng(2)
    with file.open("wb") as stream:
        for start in range(0, rows, CHUNK):
            unit_vectors(rng, min(CHUNK, rows - start)).tofile(stream)


def train_on_many(phase: Phase, table: Path, rows: int, queries: int) -> dict[str, float]:
    """Peak memory of one epoch over that many queries, the table's first rows; pools are all over it."""
    embeddings = np.memmap(table, np.float32, "r", shape=(rows, WIDTH))
    with ResidentMemory() as memory, tempfile.TemporaryDirectory() as folder:
        inputs = InputsTable(embeddings[:queries], embeddings, draw_pools(np.random.default_rng(3), queries, rows))
        policy = build_policy(POLICY, WIDTH, seed=0)
        row = train(phase, policy, inputs, draw_groups(Shape(queries)), Path(folder), epochs=1)[-1]
    return {
        "peak_mib": memory.peak,
        "own_mib": memory.own,
        "mapped_mib": memory.mapped,
        "seconds_per_epoch": float(row["time/seconds"] or 0),
    }
