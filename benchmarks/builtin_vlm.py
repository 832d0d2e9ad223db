"""What the built-in VLM can do: the table of the model card, asked through the same code as every experiment.

    python benchmarks/builtin_vlm.py [--queries 800] [--json]

Facts are made up for every question, pictures are drawn afresh. `equal` says that answers given in batches are those
given one prompt at a time.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from shotsmith.builtin.episodes import Item
from shotsmith.builtin.probes import PROBES, SINGLE
from shotsmith.data.world.drawing import draw, random_scene
from shotsmith.data.world.language import KINDS, split_fact
from shotsmith.recipe import VLMSettings
from shotsmith.records import Completion, Example, Request
from shotsmith.vlms.qwen.local import LocalVLM, load_vlm

_BATCH = 64
_ONE_BY_ONE = 32
"""Prompts of each probe asked again on their own."""
CHANCE = float(sum(Fraction(1, len(split_fact(KINDS[kind].facts[0])[0].answers)) for kind in SINGLE) / len(SINGLE))


def main() -> None:
    """Ask all probes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=800, help="questions of each probe")
    parser.add_argument("--seed", type=int, default=12345)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    vlm = load_vlm(VLMSettings())
    figures: dict[str, float] = {"chance": 100 * CHANCE}
    equal = True
    for number, (name, probe) in enumerate(PROBES.items()):
        rng = np.random.default_rng([options.seed, number])
        with tempfile.TemporaryDirectory() as folder:
            accuracy, same = _accuracy(vlm, probe, rng, options.queries, Path(folder))
        figures[name] = 100 * accuracy
        equal = equal and same
    if options.json:
        sys.stdout.write(json.dumps({"figures": figures, "equal": equal}) + "\n")
        return
    table = Table("probe", "what it asks", "right (%)")
    for name, probe in PROBES.items():
        table.add_row(name, (probe.__doc__ or "").strip(), f"{figures[name]:.1f}")
    console = Console()
    console.print(table)
    console.print(f"chance on knowledge questions {100 * CHANCE:.1f} %; batched answers equal single ones: {equal}")


def _accuracy(
    vlm: LocalVLM,
    probe: Callable[[np.random.Generator], list[Item]],
    rng: np.random.Generator,
    count: int,
    folder: Path,
) -> tuple[float, bool]:
    episodes = [probe(rng) for _ in range(count)]
    requests = [_request(rng, items, folder / str(number)) for number, items in enumerate(episodes)]
    order = sorted(range(count), key=lambda number: vlm.length(requests[number]))
    texts: dict[int, str | None] = {}
    for start in range(0, count, _BATCH):
        rows = order[start : start + _BATCH]
        texts |= dict(zip(rows, _texts(vlm, [requests[row] for row in rows]), strict=True))
    right = sum(texts[number] == requests[number].query.answer for number in range(count))
    alone = [_texts(vlm, [requests[number]])[0] for number in range(min(count, _ONE_BY_ONE))]
    return right / count, alone == [texts[number] for number in range(len(alone))]


def _texts(vlm: LocalVLM, requests: Sequence[Request]) -> list[str | None]:
    return [answer.text if isinstance(answer, Completion) else None for answer in vlm.complete(requests)]


def _request(rng: np.random.Generator, items: list[Item], folder: Path) -> Request:
    folder.mkdir()
    examples = []
    for number, item in enumerate(items):
        image = folder / f"{number}.png"
        draw(random_scene(rng, item.shape, item.colour, bool(rng.random() < 0.5)), rng).save(image)
        phrasings = KINDS[item.kind].phrasings
        answer = " ".join(part.word for part in item.parts)
        question = phrasings[int(rng.integers(len(phrasings)))]
        examples.append(Example(number, (image,), number, question, (answer,) * 10, item.kind))
    return Request(examples[-1], tuple(examples[:-1]))


if __name__ == "__main__":
    main()
