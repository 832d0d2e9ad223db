"""A bank in Milvus against exact search and the index in memory: `python benchmarks/stored_bank.py [--quick] [--json]`.

Draws clustered embeddings, encodes them by a policy with random weights, and searches their keys for the entries with
the highest scores, one query at a time: exactly, by the `ivf` index in memory, and in Milvus (Milvus Lite, in this
process, unless --uri names a server). Recall is the share of the 256 best that are among the 768 found, of which a
policy chooses after scoring them exactly. `fetch` reads the embeddings of these 768 from the database. `equal` says
that every search has found the best entry of every query.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

import shotsmith
from shotsmith.embeddings.embedded import Floats
from shotsmith.library.milvus import Note
from shotsmith.policies.bank_search import BankSearch
from shotsmith.policies.pointer import PointerPolicy
from shotsmith.policies.stored import policy_digest, stored_keys
from shotsmith.recipe import PolicySettings
from shotsmith.records import Example

SHORTLIST, FOUND, BLOCK, PROBES = 256, 768, 10_000, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=512, help="of an embedding")
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--quick", action="store_true", help="20,000 entries, 256 wide")
    parser.add_argument("--memory-only", action="store_true", help="without Milvus")
    parser.add_argument("--uri", default="", help="of a Milvus server")
    parser.add_argument("--index", type=json.loads, default={"index_type": "IVF_SQ8", "params": {"nlist": 1000}})
    parser.add_argument("--search", type=json.loads, default={"nprobe": PROBES})
    parser.add_argument("--folder", type=Path, help="where files lie; default: a temporary one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.entries, options.width = 20_000, 256
    with tempfile.TemporaryDirectory() as temporary:
        figures, equal = measure(options, options.folder or Path(temporary))
    print("\n".join(f"{name}: {value}" for name, value in figures.items()))
    if options.json:
        print(json.dumps({"figures": figures, "equal": equal}))


def measure(options: argparse.Namespace, folder: Path) -> tuple[dict[str, float], bool]:
    policy = policy_with_weights(options.width)
    keys, start = keys_in(folder / "keys.npy", policy, options.entries, options.width)
    asked = vectors_of(options.width, options.queries, keys.shape[1], start)
    figures: dict[str, float] = {"entries": len(keys), "key_width": keys.shape[1]}
    best, figures["exact_ms"] = timed(lambda vector: exactly(keys, vector), asked)

    started = time.perf_counter()
    index = BankSearch([keys], policy.settings.index.model_copy(update={"kind": "ivf"}))
    figures["ivf_build_seconds"] = time.perf_counter() - started
    found, figures["ivf_ms"] = timed(
        lambda vector: index.rows(torch.from_numpy(vector[None]), FOUND, PROBES)[0].numpy(), asked
    )
    figures["ivf_recall"], ivf_equal = recall(best, found)
    if options.memory_only:
        return {name: round(value, 3) for name, value in figures.items()}, ivf_equal

    uri = options.uri or str(folder / "bank.db")
    store = shotsmith.MilvusBank(uri, "benchmark", index=options.index, search=options.search)
    note = Note(
        policy=policy_digest(policy),
        encoder="",
        images=0,
        questions=options.width,
        averaged=False,
        keys=keys.shape[1],
        embeddings_at=start,
    )
    store.make(note)
    store.open(note)
    started = time.perf_counter()
    step = min(note.rows_at_a_time, 4096)
    for first in range(0, len(keys), step):
        block = keys[first : first + step]
        ids = range(first, first + len(block))
        store.write(ids, [Example(row, (), row, "what?", ("this",)) for row in ids], block, block)
    figures["milvus_write_seconds"] = time.perf_counter() - started
    started = time.perf_counter()
    store.finish()
    store.open(note)
    figures["milvus_build_seconds"] = time.perf_counter() - started
    store.search(asked[:1], FOUND)
    found, figures["milvus_ms"] = timed(lambda vector: store.search(vector[None], FOUND)[0], asked)
    figures["milvus_recall"], milvus_equal = recall(best, found)
    rows = iter(found)
    _, figures["milvus_fetch_ms"] = timed(lambda _: store.embeddings(next(rows)), asked)
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {name: round(value, 3) for name, value in figures.items()}, ivf_equal and milvus_equal


def policy_with_weights(width: int) -> PointerPolicy:
    """A policy whose projections are no identity any more."""
    torch.manual_seed(0)
    policy = PointerPolicy(PolicySettings(), width).eval()
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return policy


def keys_in(file: Path, policy: PointerPolicy, entries: int, width: int) -> tuple[Floats, int | None]:
    """The keys of all entries in a file that is mapped into memory, and where embeddings start in them."""
    keys, start = None, None
    for first, block in embeddings(entries, width, seed=0):
        found, start = stored_keys(policy, torch.from_numpy(block))
        if keys is None:
            keys = np.lib.format.open_memmap(file, "w+", np.float32, (entries, found.shape[1]))
        keys[first : first + len(found)] = found
    assert keys is not None
    return keys, start


def embeddings(entries: int, width: int, seed: int) -> Iterator[tuple[int, Floats]]:
    """Unit vectors around one centre for each hundred."""
    centres = np.random.default_rng(9).standard_normal((max(1, 10_000), width), dtype=np.float32)
    generator = np.random.default_rng(seed)
    for first in range(0, entries, BLOCK):
        count = min(BLOCK, entries - first)
        drawn = centres[generator.integers(len(centres), size=count)]
        drawn = drawn + generator.standard_normal((count, width), dtype=np.float32)
        yield first, drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def vectors_of(width: int, queries: int, key_width: int, start: int | None) -> Floats:
    """What is searched for: the embedding where keys hold one, noise that is small beside it elsewhere."""
    (_, drawn), *_ = embeddings(queries, width, seed=1)
    vectors = 0.02 * np.random.default_rng(2).standard_normal((queries, key_width)).astype(np.float32)
    first = start or 0
    vectors[:, first : first + width] += drawn
    return vectors


def exactly(keys: Floats, vector: Floats) -> np.ndarray:
    scores = np.concatenate([keys[first : first + BLOCK] @ vector for first in range(0, len(keys), BLOCK)])
    best = np.argpartition(-scores, SHORTLIST)[:SHORTLIST]
    return best[np.argsort(-scores[best])]


def timed(work: Callable[[Floats], np.ndarray], asked: Floats) -> tuple[list[np.ndarray], float]:
    """What every query gives, and the median of milliseconds."""
    found, spent = [], []
    for vector in asked:
        started = time.perf_counter()
        found.append(work(vector))
        spent.append(1000 * (time.perf_counter() - started))
    return found, float(np.median(spent))


def recall(best: list[np.ndarray], found: list[np.ndarray]) -> tuple[float, bool]:
    shares = [np.isin(one, other).mean() for one, other in zip(best, found, strict=True)]
    return float(np.mean(shares)), all(one[0] in other for one, other in zip(best, found, strict=True))


if __name__ == "__main__":
    main()
