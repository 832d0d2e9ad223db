"""How long a report of 10,000 evaluation rows takes, and where the time goes: `python benchmarks/report_speed.py`.

The run is made up (a small world, random choices, random answers): what is timed depends on sizes alone. Two ways to
a report are timed: `shotsmith report` in a process of its own, from nothing to the files written, and its parts one
by one. The tables of the evaluation, which a report reads and does not compute, are timed beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from shotsmith.data.load import load_splits
from shotsmith.data.splits import choose_queries
from shotsmith.data.world import make_world
from shotsmith.evaluation.results import Result, write_results
from shotsmith.evaluation.summary import summarise
from shotsmith.files import write_json
from shotsmith.progress import Silent
from shotsmith.recipe import parse_recipe
from shotsmith.reports.content import content
from shotsmith.reports.gather import gather
from shotsmith.reports.html import html
from shotsmith.reports.language import LANGUAGES
from shotsmith.reports.markdown import markdown
from shotsmith.runs import Run

SELECTORS = ("random", "image_similar", "text_similar", "mixed", "supervised", "rce", "grpo", "grpo_reversed", "oracle")
SHOTS = (1, 2, 3, 4)
POOL = 64
WIDTH = 512
SECONDS_ALLOWED = 10.0

Seconds = dict[str, float]


@contextmanager
def timed(seconds: Seconds, name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - start


def make_run(folder: Path, rows: int, seeds: int = 3) -> tuple[Run, list[Result]]:
    """A run of about that many evaluation rows, with everything a report reads."""
    queries = round(rows / (len(SELECTORS) * len(SHOTS)))
    data = {
        "world": {"preset": "first", "train": 1000, "val": 100, "test": queries},
        "test_queries": queries,
        "train_queries": 500,
    }
    recipe = parse_recipe({"name": "speed", "seeds": list(range(seeds)), "data": {**data, "val_queries": 50}})
    run = Run.create(folder, recipe)
    world = recipe.data.world
    assert world is not None
    make_world(run.world, world, Silent())
    splits = load_splits(recipe.data, run.world)
    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        size = len(splits.named()[split])
        parts = {part: rng.normal(size=(size, WIDTH)).astype(np.float32) for part in ("images", "questions")}
        run.embeddings(split).parent.mkdir(parents=True, exist_ok=True)
        save_file(parts, run.embeddings(split))
    chosen = [splits.test[row] for row in choose_queries(splits.test, queries, recipe.data.seed)]
    pools = np.stack([rng.choice(len(splits.train), POOL, replace=False) for _ in chosen])
    run.pools("test").parent.mkdir(parents=True)
    save_file({"pools": pools}, run.pools("test"))
    results = []
    for selector in SELECTORS:
        for shots in SHOTS:
            for query, pool in zip(chosen, pools, strict=True):
                shown = tuple(splits.train[row].id for row in rng.choice(pool, shots, replace=False))
                accuracy = float(rng.choice([0.0, 0.3, 1.0]))
                scores = (accuracy, accuracy, query.question_type, None, accuracy)
                results.append(Result(query.id, selector, None, shots, 0, shown, query.answer, *scores))
    write_results(run.results, results)
    for seed in range(seeds):
        for epoch in range(1, 51):
            row = {name: float(rng.normal()) for name in ("val_loss", "val_reward", "ppo_loss", "kl", "adv_std")}
            run.record_epoch({"seed": seed, "phase": "grpo", "epoch": epoch, **row})
    run.record("evaluate", 1.0, len(results), 0)
    return run, results


def measure(rows: int, folder: Path) -> Seconds:
    """Seconds of every part."""
    seconds: Seconds = {}
    run, results = make_run(folder, rows)
    with timed(seconds, "tables of the evaluation"):
        write_json(run.summary, summarise(results, run.recipe.evaluation))
    command = [sys.executable, "-m", "shotsmith", "report", str(run.folder), "--quiet"]
    with timed(seconds, "shotsmith report"):
        subprocess.run(command, check=True)
    with timed(seconds, "of which reading and diagnosing"):
        data = gather(run.folder)
    with timed(seconds, "of which sentences and tables"):
        said = content(data, LANGUAGES["en"])
    forms: dict[str, Callable[..., str]] = {"Markdown": markdown, "HTML": html}
    for name, form in forms.items():
        with timed(seconds, f"of which {name}"):
            form(said)
    parts = sum(value for name, value in seconds.items() if name.startswith("of which"))
    seconds["of which starting Python, imports"] = max(0.0, seconds["shotsmith report"] - parts)
    return {**seconds, "rows": float(len(results))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(options.rows, Path(folder) / "run")
    fast = figures["shotsmith report"] < SECONDS_ALLOWED
    for name, value in figures.items():
        print(f"{name:36} {value:10.2f}", file=sys.stderr if options.json else sys.stdout)
    print(json.dumps({"figures": figures, "equal": fast}) if options.json else f"under {SECONDS_ALLOWED:.0f} s: {fast}")


if __name__ == "__main__":
    main()
