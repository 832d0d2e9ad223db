"""Every benchmark behind the figures of README and docs, one after the other: `make bench`, or `make bench-quick`.

    python benchmarks/suite.py [--quick] [--only NAME ...] [--fresh] [--out benchmarks/results]

The figures of each go into a file of `--out`, with command, commit, date and machine. A benchmark that has a file of
the present commit is not run again, so that the suite can be stopped at any moment and continued. `--quick` runs small
sizes, which show that every benchmark works; their figures say nothing and are kept apart.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
logger = logging.getLogger("suite")


class Benchmark(NamedTuple):
    """A script of this folder, what it is given at full size, and at a small one (None: it has none)."""

    script: str
    full: Sequence[str] = ()
    quick: Sequence[str] | None = None


BENCHMARKS = (
    Benchmark("vlm_scoring", quick=("--queries", "1", "--alone", "8")),
    Benchmark("builtin_vlm", quick=("--queries", "16")),
    Benchmark("builtin_clip", quick=("--pictures", "200")),
    Benchmark("server_equality", quick=("--prompts", "12")),
    Benchmark("policy_training", quick=("--quick",)),
    Benchmark("selection", quick=("--small",)),
    Benchmark("select_latency", quick=("--queries", "20", "--bank", "500")),
    Benchmark("serve_load", quick=("--seconds", "1")),
    Benchmark("serve_fuzz", quick=("--requests", "100")),
    Benchmark("fuzz_inputs", quick=("--variants", "20")),
    Benchmark("fuzz_replies", quick=("--replies", "100")),
    Benchmark("fuzz_formats", quick=("--variants", "20")),
    Benchmark("fuzz_checkpoints", quick=("--variants", "20")),
    Benchmark("report_speed", quick=("--rows", "400")),
    Benchmark("view_speed", quick=("--queries", "200")),
    Benchmark("store", quick=("--completions", "20000", "--keys", "100")),
    Benchmark("open_data", quick=("--questions", "2000")),
    Benchmark("pools", quick=("--examples", "2000", "--queries", "50", "--width", "32")),
    Benchmark("compare_power", quick=("--simulations", "10")),
    Benchmark("careless_source", ("--seeds", "7", "8"), quick=("--seeds", "7", "--bank", "500")),
    Benchmark("memory_growth", ("--epochs", "2")),
    Benchmark("crashes"),
    Benchmark("transfer"),
    Benchmark("phases"),
    Benchmark("world_difficulties"),
    Benchmark("pools_and_old_world"),
    Benchmark("worlds"),
    Benchmark("quality", ("--seeds", "3")),
)


def main() -> None:
    """Run what has no figures of this commit yet, and print one line a benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, and only what has one")
    parser.add_argument("--only", nargs="+", choices=[one.script for one in BENCHMARKS], metavar="NAME")
    parser.add_argument("--fresh", action="store_true", help="also what has figures of this commit")
    parser.add_argument("--out", type=Path, help="folder of the figures")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = options.out or HERE / ("results-quick" if options.quick else "results")
    folder.mkdir(parents=True, exist_ok=True)
    failed = []
    for one in BENCHMARKS:
        arguments = one.quick if options.quick else one.full
        if arguments is None or (options.only and one.script not in options.only):
            continue
        file = folder / f"{one.script}.json"
        if not options.fresh and done(file):
            logger.info("%-22s has figures of this commit: %s", one.script, file)
            continue
        found = run(one.script, arguments)
        if found is None or not found["equal"]:
            failed.append(one.script)
        if found is not None:
            file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if failed:
        logger.error("failed, or not equal: %s", ", ".join(failed))
    sys.exit(bool(failed))


def run(script: str, arguments: Sequence[str]) -> dict[str, Any] | None:
    """What is kept of one benchmark; None where it failed."""
    command = [sys.executable, str(HERE / f"{script}.py"), *arguments, "--json"]
    logger.info("%-22s running: %s", script, " ".join(["python", f"benchmarks/{script}.py", *arguments]))
    started = time.perf_counter()
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    seconds = time.perf_counter() - started
    lines = finished.stdout.strip().splitlines()
    if finished.returncode or not lines:
        logger.error("%-22s ended with code %d", script, finished.returncode)
        return None
    told = json.loads(lines[-1])
    logger.info("%-22s %.0f s, equal: %s, %d figures", script, seconds, told["equal"], len(told["figures"]))
    made = {"command": ["python", f"benchmarks/{script}.py", *arguments], "commit": commit(), "machine": machine()}
    return made | {"date": datetime.now(UTC).date().isoformat(), "seconds": round(seconds, 1)} | told


def done(file: Path) -> bool:
    """Whether the file holds figures of the present commit, whose results were equal."""
    if not file.exists():
        return False
    found = json.loads(file.read_text(encoding="utf-8"))
    return bool(found["equal"]) and found["commit"] == commit()


def commit() -> str:
    """The commit of the checkout, with '-dirty' where files that are tracked have changes outside the results."""
    git = ["git", "-C", str(HERE)]
    name = subprocess.run([*git, "rev-parse", "HEAD"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    status = [*git, "status", "--porcelain", "--untracked-files=no", "--", "..", ":!results"]
    changed = subprocess.run(status, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    return f"{name}-dirty" if changed else name


def machine() -> dict[str, Any]:
    """What the figures depend on: processor, number of CPUs, memory, system and Python."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        named = [line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        processor = named[0].partition(":")[2].strip() if named else processor
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": processor,
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    main()
