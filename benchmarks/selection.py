"""How long a policy takes to choose from a whole bank: `python benchmarks/selection.py [--small] [--json]`.

- One query at a time, four shots: from 20,000 entries of width 128 by exact search, and from 443,000 of width 1,024
  through an ivf index. `equal` says that the quick way (policies.single_query) chooses what `greedy` chooses on the
  exact index, for every query on the small bank; for the large one the figures say how often it does, and the recall.
- A step of GRPO without a VLM: 32 groups of 8 sequences of one to four shots are sampled, and their recorded
  log-probabilities are computed twice with gradient; with either bank at equal width and shortlist, and keys kept.

Embeddings are clustered as those of benchmarks/pools.py; the policy is moved away from its start. Wall-clock times are
of the machine as it is, CPU times of this process.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch
from pools import Clustered
from resident_memory import resident
from torch.nn import functional

from shotsmith.policies.bank import BankIndex
from shotsmith.policies.pointer import PointerPolicy, build_policy
from shotsmith.policies.protocol import BankInputs
from shotsmith.policies.shortlists import measure_shortlists
from shotsmith.policies.single_query import choose
from shotsmith.recipe import PolicySettings
from shotsmith.recipe.policy import IndexSettings

SMALL, LARGE = (20_000, 128), (443_000, 1_024)
SHOTS, QUERIES, COMPARED = 4, 200, 32
BLOCK = 20_000


def embedded(count: int, width: int, seed: int) -> torch.Tensor:
    """Image and question side by side, [count, width]."""
    rng, source, rows = np.random.default_rng(seed), Clustered(width // 2), torch.empty(count, width)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        rows[start : start + size] = torch.from_numpy(
            np.concatenate([source.draw(size, rng), source.draw(size, rng)], axis=1)
        )
    return rows


def moved(width: int, index: IndexSettings) -> PointerPolicy:
    """A policy that is no longer similarity search alone."""
    policy = build_policy(PolicySettings(index=index), width, seed=0)
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=noise)
    return policy


def with_index(policy: PointerPolicy, kind: str) -> PointerPolicy:
    """The same weights with another kind of index."""
    index = policy.settings.index.model_copy(update={"kind": kind})
    other = build_policy(policy.settings.model_copy(update={"index": index}), policy.embedding_width, seed=0)
    other.load_state_dict(policy.state_dict())
    return other


def inputs_of(queries: torch.Tensor, bank: BankIndex) -> BankInputs:
    return BankInputs(queries, bank, torch.full((len(queries), 1), -1))


def timed(work: Callable[[int], object], times: int) -> dict[str, float]:
    """Milliseconds of each call, after a few that do not count."""
    wall, cpu = [], []
    for number in range(-10, times):
        started, used = time.perf_counter(), time.process_time()
        work(max(number, 0))
        if number >= 0:
            wall.append(time.perf_counter() - started)
            cpu.append(time.process_time() - used)
    quantiles = {"p50": 50, "p90": 90}
    figures = {f"{name}_ms": 1e3 * float(np.percentile(wall, share)) for name, share in quantiles.items()}
    return figures | {"cpu_p50_ms": 1e3 * float(np.percentile(cpu, 50))}


def selection(policy: PointerPolicy, bank: BankIndex, queries: torch.Tensor) -> dict[str, float]:
    ones = [inputs_of(query, bank) for query in queries.split(1)]
    return timed(lambda number: choose(policy, ones[number], SHOTS), len(ones))


def agreement(policy: PointerPolicy, exact: PointerPolicy, bank: BankIndex, queries: torch.Tensor) -> float:
    """Share of the queries for which the quick way chooses what greedy chooses on the exact index."""
    expected = exact.greedy(inputs_of(queries, bank), SHOTS).tolist()
    found = [choose(policy, inputs_of(query, bank), SHOTS) for query in queries.split(1)]
    return float(np.mean([one == other for one, other in zip(found, expected, strict=True)]))


def grpo_step(policy: PointerPolicy, bank: BankIndex, queries: torch.Tensor) -> dict[str, float]:
    """Seconds of sampling, and of two passes with gradient."""
    generator, inputs = torch.Generator().manual_seed(0), inputs_of(queries, bank)

    def once() -> tuple[float, float]:
        started, sequences, shortlists = time.perf_counter(), [], []
        for shots, part in enumerate(queries.split(len(queries) // SHOTS), start=1):
            drawn = policy.sample(inputs_of(part, bank), shots, 8, generator)
            assert drawn.shortlists is not None
            sequences.append(functional.pad(drawn.sequences, (0, SHOTS - shots), value=-1))
            shortlists.append(functional.pad(drawn.shortlists, (0, 0, 0, SHOTS - shots), value=-1))
        sampled = time.perf_counter()
        recorded = BankInputs(inputs.queries, bank, inputs.barred, torch.cat(shortlists))
        for _ in range(2):
            policy.zero_grad()
            policy.log_prob(recorded, torch.cat(sequences)).sum().backward()
        return sampled - started, time.perf_counter() - sampled

    times = [once() for _ in range(4)][1:]
    sampling, passes = (min(column) for column in zip(*times, strict=True))
    return {"sampling_s": sampling, "passes_s": passes, "step_s": sampling + passes}


def small_bank() -> tuple[dict[str, float], bool]:
    bank, queries = BankIndex(embedded(*SMALL, seed=1)), embedded(QUERIES, SMALL[1], seed=2)
    policy = moved(SMALL[1], IndexSettings())
    figures = selection(policy, bank, queries)
    figures["agreement"] = agreement(policy, policy, bank, queries)
    return {f"small/{name}": value for name, value in figures.items()}, figures["agreement"] == 1.0


def large_bank(kind: str) -> dict[str, float]:
    width = LARGE[1]
    embeddings, queries = embedded(*LARGE, seed=1), embedded(QUERIES, width, seed=2)
    policy = moved(width, IndexSettings(kind=kind))
    few = BankIndex(embeddings[: SMALL[0]])
    step_few = grpo_step(with_index(policy, "exact"), few, queries[:32])
    bank = BankIndex(embeddings)
    bank.search(policy)
    figures = {"build_s": bank.build_seconds} | selection(policy, bank, queries)
    step = grpo_step(policy, bank, queries[:32])
    figures |= {f"grpo/{name}": value for name, value in step.items()}
    figures |= {f"grpo/{SMALL[0]}/{name}": value for name, value in step_few.items()}
    figures["grpo/ratio"] = step["step_s"] / step_few["step_s"]
    figures["resident_gib"] = resident()["VmHWM"] / 1024
    figures |= measure_shortlists(policy, inputs_of(queries[:COMPARED], bank), SHOTS)
    figures["agreement"] = agreement(policy, with_index(policy, "exact"), bank, queries[:COMPARED])
    return {f"large/{name}": value for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="leave the large bank out")
    parser.add_argument("--kind", default="ivf", choices=("ivf", "hnsw"), help="index of the large bank")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures, equal = small_bank()
    if not options.small:
        figures |= large_bank(options.kind)
    if options.json:
        print(json.dumps({"figures": {name: round(value, 4) for name, value in figures.items()}, "equal": equal}))
    else:
        for name, value in figures.items():
            print(f"{name:28} {value:10.3f}")
        print("the quick way chooses what greedy chooses" if equal else "the quick way chooses otherwise")


if __name__ == "__main__":
    main()
