"""Does a real server answer as the local VLM does? `python benchmarks/server_equality.py [--prompts N] [--json]`.

`transformers serve` is started on loopback with the built-in VLM, and asked for prompts of a small world with 0 to 4
demonstrations; the local VLM is asked for the same, in its own batches.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from real_server import draw_requests, serving

from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.recipe import VLMSettings
from shotsmith.records import Completion, Failure, Request
from shotsmith.vlms.load import load_vlm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        requests = draw_requests(folder, options.prompts)
        local, local_seconds = answers(folder / "local.sqlite", VLMSettings(), requests)
        with serving(folder) as url:
            served, served_seconds = answers(
                folder / "served.sqlite", VLMSettings(server={"url": url, "model": "vlm"}), requests
            )
    differing = [number for number in range(len(requests)) if served[number] != local[number]]
    for number in differing:
        print(f"{len(requests[number].demonstrations)} shots: served {served[number]}, local {local[number]}")
    figures = {
        "prompts": len(requests),
        "equal_share": 1 - len(differing) / len(requests),
        "failures": sum(isinstance(answer, Failure) for answer in served),
        "distinct_answers": len({answer.text for answer in local if isinstance(answer, Completion)}),
        "served_seconds_over_local": round(served_seconds / local_seconds, 1),
    }
    print("\n".join(f"{name}: {value}" for name, value in figures.items()))
    if options.json:
        print(json.dumps({"figures": figures, "equal": not differing}))


def answers(file: Path, vlm: VLMSettings, requests: Sequence[Request]) -> tuple[list[Completion | Failure], float]:
    """What the VLM of these settings answers, through collector and store, and the seconds without loading it."""
    loaded = load_vlm(vlm)
    started = time.perf_counter()
    with Store.open(file) as store:
        return Collector(store, loaded).ask(requests, "benchmark"), time.perf_counter() - started


if __name__ == "__main__":
    main()
