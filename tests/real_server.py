"""A real server: `transformers serve` on a free port of loopback; and what to ask it."""

from __future__ import annotations

import contextlib
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from shotsmith.data.load import load_splits
from shotsmith.data.world import make_world
from shotsmith.recipe import DataSettings, WorldSettings
from shotsmith.records import Request

SECONDS = 120.0
"""Most that it may take to start; usually five."""
_OTHER = """
import pathlib, shotsmith.builtin
shotsmith.builtin.VLM_PATH = pathlib.Path({!r})
from shotsmith.builtin.serve import main
main()
"""
_URL = re.compile(r"running on (http://\S+)")


@contextlib.contextmanager
def serving(folder: Path, vlm: Path | None = None) -> Iterator[str]:
    """The URL of its API, up to the end of the block; `folder` takes its log and an empty hub cache.

    It serves the built-in VLM, or the one in the folder `vlm` by the same program.
    """
    log = folder / "server.log"
    environment = os.environ | {"HF_HOME": str(folder / "hub"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    program = ["-m", "shotsmith.builtin.serve"] if vlm is None else ["-c", _OTHER.format(str(vlm))]
    command = [sys.executable, *program, "--host", "127.0.0.1", "--port", "0"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        yield _url(process, log) + "/v1"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def draw_requests(folder: Path, count: int, seed: int = 0) -> list[Request]:
    """Prompts of a small world with 0 to 4 demonstrations, as many of each, of which half ask the query's question."""
    world = WorldSettings(bank=None, train=400, val=1, test=max(50, count))
    make_world(folder / "world", world)
    data = DataSettings(world=world, train_queries=1, val_queries=1, test_queries=count)
    splits = load_splits(data, folder / "world")
    draws = random.Random(seed)
    requests = []
    for number, query in enumerate(draws.sample(splits.test, count)):
        alike = [example for example in splits.train if example.question == query.question] or splits.train
        shown = [draws.choice(draws.choice((alike, splits.train))) for _ in range(number % 5)]
        requests.append(Request(query, tuple(shown)))
    return requests


def _url(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and process.poll() is None:
        if found := _URL.search(log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start: {log.read_text(errors='replace')[-2000:]}")
