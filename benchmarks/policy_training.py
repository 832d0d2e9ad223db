"""How fast a policy is trained on recorded rollouts, against a loop that takes one query at a time.

    python benchmarks/policy_training.py [--queries 600] [--quick] [--json]

RCE and GRPO of the preset v3 (hidden 256, one layer, gate): 11-40 two-shot sequences per query, pools of 64, width
768. Beside seconds per epoch: operations counted (forward and backward), the share they reach of the machine's own
matrix-product rate, memory, how time grows with queries and sequences, and memory with 100,000 queries over a
memory-mapped table. `equal` says that losses and gradients are those of the loop, to 1e-5, over several updates.
Memory is read from /proc: Linux only.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

import many_queries
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from same_training import largest_difference
from synthetic_rollouts import Shape
from timed_training import Timing, matmul_rate, time_loop, time_training

PHASES = ("rce", "grpo")
QUERIES = (0.25, 0.5, 1.0, 2.0)
"""Shares of --queries whose times are compared."""
SEQUENCES = (10, 20, 40, 80)
TOLERANCE = 1e-5

P = ParamSpec("P")
T = TypeVar("T")


def main() -> None:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=5, help="timed epochs; figures are medians")
    parser.add_argument("--quick", action="store_true", help="a small run that shows that everything works")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.quick:
        options.queries, options.epochs = 64, 2
    figures = measure(options.queries, options.epochs)
    figures |= measure_scaling(options.queries, options.epochs)
    figures |= measure_many_queries(2_000 if options.quick else 100_000, 20_000 if options.quick else 443_000)
    differences = {phase: largest_difference(phase) for phase in PHASES}
    figures |= {f"{phase}_difference": value for phase, value in differences.items()}
    equal = max(differences.values()) < TOLERANCE
    if options.json:
        sys.stdout.write(json.dumps({"figures": figures, "equal": equal}) + "\n")
        return
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.4g}")
    Console().print(table)
    Console().print("losses and gradients equal" if equal else "LOSSES OR GRADIENTS DIFFER")


def measure(queries: int, epochs: int) -> dict[str, float]:
    """Both phases, ours and the loop's, and the machine's rate before and after."""
    shape = Shape(queries)
    rates = [matmul_rate()]
    ours = {phase: alone(time_training, phase, shape, epochs) for phase in PHASES}
    loop = {phase: alone(time_loop, phase, shape) for phase in PHASES}
    rates.append(matmul_rate())
    rate = max(rates)
    figures = {"queries": queries, "threads": torch.get_num_threads(), "matmul_gflops": rate / 1e9}
    for phase in PHASES:
        figures |= described(phase, ours[phase], queries, rate)
        figures |= described(f"loop_{phase}", loop[phase], queries, rate)
        figures[f"{phase}_speedup"] = loop[phase].seconds / ours[phase].seconds
    return figures


def described(name: str, timing: Timing, queries: int, rate: float) -> dict[str, float]:
    return {
        f"{name}_seconds_per_epoch": timing.seconds,
        f"{name}_ms_per_query": timing.seconds / queries * 1e3,
        f"{name}_gflop_per_epoch": timing.operations / 1e9,
        f"{name}_share_of_matmul_rate": timing.operations / timing.seconds / rate,
        f"{name}_peak_mib": timing.peak_mib,
        f"{name}_peak_above_start_mib": timing.peak_above_start_mib,
    }


def measure_scaling(queries: int, epochs: int) -> dict[str, float]:
    """Seconds per epoch with more queries and with more sequences; growth is the exponent of a fitted power."""
    figures: dict[str, float] = {}
    for phase in PHASES:
        counts = [round(share * queries) for share in QUERIES]
        by_queries = {count: alone(time_training, phase, Shape(count), epochs).seconds for count in counts}
        by_sequences = {
            count: alone(time_training, phase, Shape(queries, count, count), epochs).seconds for count in SEQUENCES
        }
        for what, seconds in (("queries", by_queries), ("sequences", by_sequences)):
            figures |= {f"{phase}_seconds_{count}_{what}": value for count, value in seconds.items()}
            figures[f"{phase}_growth_with_{what}"] = growth(seconds)
    return figures


def growth(seconds: Mapping[int, float]) -> float:
    """b of seconds = a * count ** b: 1 is linear."""
    return float(np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)[0])


def measure_many_queries(queries: int, rows: int) -> dict[str, float]:
    """Memory of an RCE epoch and of GRPO steps over many queries, the embeddings in a file."""
    figures: dict[str, float] = {"many_queries": queries, "many_rows": rows}
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "embeddings.f32"
        many_queries.write_table(table, rows)
        for phase in PHASES:
            memory = alone(many_queries.train_on_many, phase, table, rows, queries)
            figures |= {f"many_queries_{phase}_{name}": value for name, value in memory.items()}
    return figures


def alone(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """What `work` returns, in a fresh process: its memory is its own. It gets the threads of this process."""
    os.environ["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *arguments, **named).result()


if __name__ == "__main__":
    main()
