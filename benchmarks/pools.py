"""Pools of 64 for 10,000 queries out of 443,000 examples: `python benchmarks/pools.py [--kinds flat ivf] [--json]`.

The embeddings are clustered as those of real questions and pictures are: 3,000 topics of very unequal size in a space
of few dimensions, each with a spread of its own, and noise. Exact search takes a number of the queries only; its time
for all follows from that. Each kind's pools are held against exact search on 100 queries. Memory is that of the
process: its own, and pages of mapped files, which the system takes back when it needs them.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from resident_memory import ResidentMemory, resident

from shotsmith.embeddings.embedded import Embedded, Floats
from shotsmith.embeddings.nearest import open_ivf
from shotsmith.embeddings.pools import draw_pools, recall
from shotsmith.recipe import PoolSettings
from shotsmith.records import Example

BLOCK = 20_000
TOPICS = 3_000
DIRECTIONS = 128
EXACT_QUERIES = 100
IMAGES_OF = 5  # questions that share an image


class Clustered:
    """Unit vectors around unequal topics."""

    def __init__(self, width: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        basis = rng.standard_normal((DIRECTIONS, width), dtype=np.float32) / np.float32(np.sqrt(width))
        self.basis = basis * (np.arange(1, DIRECTIONS + 1, dtype=np.float32) ** -0.5)[:, None]
        self.topics = rng.standard_normal((TOPICS, DIRECTIONS), dtype=np.float32)
        sizes = 1 / np.arange(1, TOPICS + 1) ** 0.7
        self.shares = sizes / sizes.sum()
        self.spread = rng.uniform(0.3, 0.9, TOPICS).astype(np.float32)

    def draw(self, count: int, rng: np.random.Generator) -> Floats:
        topics = rng.choice(TOPICS, count, p=self.shares)
        within = rng.standard_normal((count, DIRECTIONS), dtype=np.float32) * self.spread[topics, None]
        vectors = (self.topics[topics] + within) @ self.basis
        vectors += 0.02 * rng.standard_normal(vectors.shape, dtype=np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write(path: Path, source: Clustered, count: int, width: int) -> Floats:
    """The examples' embeddings in a file, mapped."""
    table = np.memmap(path, np.float32, "w+", shape=(count, width))
    rng = np.random.default_rng(1)
    for start in range(0, count, BLOCK):
        table[start : start + BLOCK] = source.draw(min(BLOCK, count - start), rng)
    table.flush()
    del table
    return np.memmap(path, np.float32, "r", shape=(count, width))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=443_000)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--probes", type=int, nargs="+", default=[PoolSettings().probes])
    parser.add_argument("--kinds", nargs="+", default=["random", "exact", "ivf", "flat"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = measure(options, Path(name))
    figures["load_average"] = os.getloadavg()[0]
    for key, value in figures.items():
        print(f"{key:32} {value:,.4g}", flush=True)
    if options.json:
        print(json.dumps({"figures": figures, "equal": figures.get("flat_recall", 1.0) == 1.0}))


def measure(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    source = Clustered(options.width)
    table = write(folder / "embeddings", source, options.examples, options.width)
    some = source.draw(options.queries, np.random.default_rng(2))
    nothing = np.zeros((options.examples, 0), dtype=np.float32)
    index_embeddings, embeddings = Embedded(nothing, table), Embedded(nothing[: options.queries], some)
    index = [Example(n, (), n // IMAGES_OF, "", ("",)) for n in range(options.examples)]
    queries = [Example(-1 - n, (), n // IMAGES_OF, "", ("",)) for n in range(options.queries)]

    def pools(count: int, **settings: object) -> tuple[np.ndarray, float, ResidentMemory]:
        made = PoolSettings.model_validate({"size": options.size, **settings})
        first = embeddings.rows(np.arange(count))
        with ResidentMemory() as memory:
            start = time.perf_counter()
            drawn = draw_pools(made, queries[:count], index, first, index_embeddings, folder)
            seconds = time.perf_counter() - start
        return drawn, seconds, memory

    figures: dict[str, float] = {"resident_before_mib": resident()["VmRSS"]}

    def note(name: str, seconds: float, memory: ResidentMemory) -> None:
        figures[f"{name}_seconds"] = seconds
        figures[f"{name}_peak_own_mib"] = memory.own
        figures[f"{name}_peak_mapped_mib"] = memory.mapped

    if "random" in options.kinds:
        _, seconds, memory = pools(options.queries, sampler="random")
        note("random", seconds, memory)
    count = min(EXACT_QUERIES, options.queries)
    exact, seconds, memory = pools(count, sampler="text_similar", index="exact")
    note("exact", seconds / count * options.queries, memory)
    figures["exact_queries_measured"] = count
    for probes in options.probes if "ivf" in options.kinds else ():
        if not list(folder.glob("ivf-*")):
            with ResidentMemory() as memory:
                start = time.perf_counter()
                open_ivf((table,), probes, folder)
                note("ivf_build", time.perf_counter() - start, memory)
            figures["ivf_file_mib"] = next(folder.glob("ivf-*")).stat().st_size / 2**20
        drawn, seconds, memory = pools(options.queries, sampler="text_similar", index="ivf", probes=probes)
        note(f"ivf_{probes}", seconds, memory)
        figures[f"ivf_{probes}_recall"] = recall(drawn[:count], exact)
    if "flat" in options.kinds:
        drawn, seconds, memory = pools(options.queries, sampler="text_similar", index="flat")
        note("flat", seconds, memory)
        figures["flat_recall"] = recall(drawn[:count], exact)
    return figures


if __name__ == "__main__":
    main()
