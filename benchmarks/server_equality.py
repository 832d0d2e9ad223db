"""Does a real server answer as the local VLM does, text by text and log-probability by log-probability?

    python benchmarks/server_equality.py [--url URL --kind vllm|openai] [--model NAME] [--prompts N] [--json]

It is asked for prompts of a small world with 0 to 4 demonstrations; the local built-in VLM is asked for the same, in
its own batches. `--url` names a running server with the built-in VLM; without it `transformers serve` is started on
loopback. With `--kind vllm` two answers a prompt are scored as well: the query's own and another query's. `equal` says
that all texts are the same and no log-probability differs by more than 1e-4.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from real_server import draw_requests, serving

from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.recipe import VLMSettings
from shotsmith.records import Completion, Failure, Request
from shotsmith.vlms.load import load_vlm

MOST_DIFFERENT = 1e-4
"""Of two log-probabilities that count as equal."""

Result = Completion | Failure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="of the API of a running server, for example http://localhost:8000/v1")
    parser.add_argument("--kind", choices=("vllm", "openai"), default="openai")
    parser.add_argument("--model", default="vlm", help="its name on the server")
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        requests = draw_requests(folder, options.prompts)
        if options.kind == "vllm":
            requests = [with_answers(request, requests[number - 1]) for number, request in enumerate(requests)]
        local, local_seconds = answers(folder / "local.sqlite", VLMSettings(), requests)
        with running(folder, options.url) as url:
            server = {"url": url, "model": options.model, "kind": options.kind}
            served, served_seconds = answers(folder / "served.sqlite", VLMSettings(server=server), requests)
    differing = [number for number in range(len(requests)) if not same(served[number], local[number])]
    for number in differing:
        print(f"{len(requests[number].demonstrations)} shots: served {served[number]}, local {local[number]}")
    distances = [distance for pair in zip(served, local, strict=True) for distance in differences(*pair)]
    figures = {
        "prompts": len(requests),
        "equal_share": 1 - len(differing) / len(requests),
        "failures": sum(isinstance(answer, Failure) for answer in served),
        "log_probs": len(distances),
        "largest_difference": max(distances, default=0.0),
        "answers_of_several_words": sum(" " in answer for request in requests for answer in request.answers),
        "distinct_answers": len({answer.text for answer in local if isinstance(answer, Completion)}),
        "served_seconds": round(served_seconds, 1),
        "served_seconds_over_local": round(served_seconds / local_seconds, 1),
    }
    print("\n".join(f"{name}: {value}" for name, value in figures.items()))
    if options.json:
        print(json.dumps({"figures": figures, "equal": not differing}))


def with_answers(request: Request, other: Request) -> Request:
    """The request with the log-probabilities of its own answer and of another one asked for."""
    return replace(request, answers=tuple(dict.fromkeys((request.query.answer, other.query.answer))))


@contextlib.contextmanager
def running(folder: Path, url: str | None) -> Iterator[str]:
    """The URL of a server: the one that is named, or one that is started here and stopped at the end."""
    if url is not None:
        yield url
    else:
        with serving(folder) as started:
            yield started


def same(served: Result, local: Result) -> bool:
    """Whether both are completions with equal texts, and log-probabilities of the same answers that are close."""
    if isinstance(served, Failure) or isinstance(local, Failure) or served.text != local.text:
        return False
    return served.log_probs.keys() == local.log_probs.keys() and max(differences(served, local), default=0.0) <= (
        MOST_DIFFERENT
    )


def differences(served: Result, local: Result) -> list[float]:
    """Distances of the log-probabilities that both have."""
    if isinstance(served, Failure) or isinstance(local, Failure):
        return []
    both = served.log_probs.keys() & local.log_probs.keys()
    return [abs(served.log_probs[answer] - local.log_probs[answer]) for answer in both]


def answers(file: Path, vlm: VLMSettings, requests: Sequence[Request]) -> tuple[list[Result], float]:
    """What the VLM of these settings answers, through collector and store, and the seconds without loading it."""
    loaded = load_vlm(vlm)
    started = time.perf_counter()
    with Store.open(file) as store:
        return Collector(store, loaded).ask(requests, "benchmark"), time.perf_counter() - started


if __name__ == "__main__":
    main()
