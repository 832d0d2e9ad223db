"""How long one new query takes: `python benchmarks/select_latency.py [SELECTOR] [--queries N] [--json]`.

Measured one query at a time, as an application asks: the embedding of image and question, the retrieval of four
demonstrations for known embeddings, and both (`Selector.select`), each p50 and p99 in milliseconds, and the CPU time of
this process per call, which other work on the machine does not change; and selecting for 64 queries at a time. `equal`
says that one query and many got the same demonstrations. SELECTOR is a run or an exported selector; by default an
untrained policy over a world with a bank of 20,000.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
from small_selector import draw_world

import shotsmith
from shotsmith.checkpoints.native import Manifest
from shotsmith.embeddings.load import load_encoder
from shotsmith.library.card import Card
from shotsmith.library.choosing import PolicyChooser
from shotsmith.policies.pointer import build_policy
from shotsmith.recipe import EncoderSettings, PolicySettings
from shotsmith.records import Example

BANK, SHOTS, TOGETHER, WARM_UP = 20_000, 4, 64, 10


def milliseconds(work: Callable[[int], object], times: int) -> dict[str, float]:
    """p50 and p99 of calls, after some that do not count, and the mean of their CPU time."""
    for number in range(WARM_UP):
        work(number)
    spent, used = [], time.process_time()
    for number in range(times):
        started = time.perf_counter()
        work(number)
        spent.append(1000 * (time.perf_counter() - started))
    figures = {f"p{share}_ms": round(float(np.percentile(spent, share)), 3) for share in (50, 99)}
    return figures | {"cpu_ms": round(1000 * (time.process_time() - used) / times, 3)}


def untrained(folder: Path, size: int) -> tuple[shotsmith.Selector, list[Example]]:
    bank, queries = draw_world(folder, size)
    encoder = load_encoder(EncoderSettings())
    width = encoder.embed_texts(["?"]).shape[1] * 2
    settings = PolicySettings()
    manifest = Manifest(
        policy=settings,
        embedding_width=width,
        phase="grpo",
        epoch=0,
        seed=0,
        shots=(1, 2, 3, 4),
        encoder=encoder.identity,
        vlm="",
        recipe="",
    )
    card = Card(name="untrained", encoder=EncoderSettings(), encoder_identity=encoder.identity)
    chooser = PolicyChooser(build_policy(settings, width, seed=0), manifest)
    return shotsmith.Selector(card, chooser, lambda: encoder).index(bank), queries


def measure(selector: shotsmith.Selector, queries: list[Example], count: int) -> tuple[dict[str, float], bool]:
    asked = [shotsmith.Query(one.question, one.image) for one in queries]
    many = [asked[number % len(asked)] for number in range(TOGETHER)]
    embedded = [selector._embed_few((one,)) for one in queries]

    def embed(number: int) -> object:
        return selector._embed_few((queries[number % len(queries)],))

    def retrieve(number: int) -> object:
        row = number % len(queries)
        return selector.select_embedded((queries[row],), embedded[row], shots=SHOTS)

    def select(number: int) -> object:
        return selector.select_many([asked[number % len(asked)]], shots=SHOTS)

    parts = {"embedding": embed, "retrieval": retrieve, "select": select}
    figures = {
        f"{name}/{key}": value for name, work in parts.items() for key, value in milliseconds(work, count).items()
    }
    together = milliseconds(lambda _: selector.select_many(many, shots=SHOTS), max(5, count // TOGETHER))
    figures |= {f"together/{key}_per_query": round(value / TOGETHER, 3) for key, value in together.items()}
    figures["bank"] = len(selector)
    expected = [selector.select_many([one], shots=SHOTS)[0].ids for one in many]
    return figures, expected == [one.ids for one in selector.select_many(many, shots=SHOTS)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("selector", nargs="?", help="a run, or an exported selector")
    parser.add_argument("--queries", type=int, default=1000, help="calls of each measurement")
    parser.add_argument("--bank", type=int, default=BANK, help="examples of the world's bank")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.selector is None:
            selector, queries = untrained(Path(name), options.bank)
        else:
            selector, (_, queries) = shotsmith.load(options.selector).index(), draw_world(Path(name))
        figures, equal = measure(selector, queries, options.queries)
    print("\n".join(f"{name}: {value}" for name, value in figures.items()))
    if options.json:
        print(json.dumps({"figures": figures, "equal": equal}))


if __name__ == "__main__":
    main()
