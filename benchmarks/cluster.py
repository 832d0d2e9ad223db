"""How much faster two workers on this machine's Ray are than one, and that their answers are the local VLM's.

    python benchmarks/cluster.py --json

The built-in VLM, one CPU and one thread a worker; the same prompts each time, after all workers have answered others.
The last line is {"figures": {...}, "equal": true|false}: `equal` says that texts are the local VLM's in this process,
and log-probabilities to 1e-4. Where other work shares the CPUs, two workers gain less.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from shotsmith.data.load import load_splits
from shotsmith.data.world import make_world
from shotsmith.progress import Silent
from shotsmith.recipe import DataSettings, VLMSettings, WorldSettings
from shotsmith.recipe.cluster import RaySettings
from shotsmith.records import Completion, Example, Request
from shotsmith.vlms.load import load_vlm
from shotsmith.vlms.protocol import VLM


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object at the end")
    parser.add_argument("--prompts", type=int, default=2000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        requests = draw(Path(folder), arguments.prompts)
        warm_up = draw(Path(folder), arguments.prompts // 4, seed=1)
        figures: dict[str, float] = {"prompts": len(requests)}
        expected, figures["local_prompts_per_second"] = timed(load_vlm(VLMSettings()), requests, warm_up)
        equal = True
        for workers in (1, 2):
            vlm: Any = load_vlm(VLMSettings(ray=RaySettings(workers=workers)))
            while not all(member.is_ready for member in vlm._crew._members):
                ask(vlm, warm_up)
            answers, figures[f"prompts_per_second_{workers}"] = timed(vlm, requests, warm_up)
            equal = equal and same(answers, expected)
            del vlm
    figures["two_over_one"] = figures["prompts_per_second_2"] / figures["prompts_per_second_1"]
    figures["one_over_local"] = figures["prompts_per_second_1"] / figures["local_prompts_per_second"]
    figures["cpus"] = len(os.sched_getaffinity(0))
    figures["load_before"] = LOAD
    rounded = {name: round(value, 3) for name, value in figures.items()}
    for name, value in rounded.items():
        print(f"{name:>28} {value:g}")
    if arguments.json:
        print(json.dumps({"figures": rounded, "equal": equal}))


LOAD = os.getloadavg()[0]
"""Processes that wanted a CPU in the minute before."""


def draw(folder: Path, count: int, seed: int = 0) -> list[Request]:
    """Prompts of up to four demonstrations from a small built-in world; half want a log-probability too."""
    world = folder / "world"
    settings = DataSettings(world=WorldSettings(seed=1, bank=None, train=300, val=8, test=40))
    if not world.exists():
        make_world(world, settings.world, Silent())
    splits, draws = load_splits(settings, world), random.Random(seed)

    def request(number: int) -> Request:
        query: Example = draws.choice(splits.train)
        return Request(query, tuple(draws.sample(splits.train, number % 5)), (query.answer,) * (number % 2))

    return [request(number) for number in range(count)]


def timed(vlm: VLM, requests: list[Request], warm_up: list[Request]) -> tuple[list[Completion], float]:
    """Answers, and prompts per second, in calls as large as the VLM wants them."""
    ask(vlm, warm_up)
    started = time.perf_counter()
    answers = ask(vlm, requests)
    return answers, len(requests) / (time.perf_counter() - started)


def ask(vlm: VLM, requests: list[Request]) -> list[Completion]:
    """Completions in order, the prompts having been asked shortest first."""
    order = sorted(range(len(requests)), key=lambda row: (vlm.length(requests[row]), row))
    answers: dict[int, Completion] = {}
    while order:
        longest = vlm.length(requests[order[-1]])
        batch = order[: max(vlm.batch_tokens // longest, 1)]
        order = order[len(batch) :]
        for row, answer in zip(batch, vlm.complete([requests[row] for row in batch]), strict=True):
            assert isinstance(answer, Completion), answer
            answers[row] = answer
    return [answers[row] for row in range(len(requests))]


def same(answers: list[Completion], expected: list[Completion]) -> bool:
    return all(
        one.text == other.text
        and one.log_probs.keys() == other.log_probs.keys()
        and all(abs(one.log_probs[answer] - value) < 1e-4 for answer, value in other.log_probs.items())
        for one, other in zip(answers, expected, strict=True)
    )


if __name__ == "__main__":
    main()
