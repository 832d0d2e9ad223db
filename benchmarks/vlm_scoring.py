"""How fast few-shot prompts are answered and scored, against the loop everybody writes first.

    python benchmarks/vlm_scoring.py [--queries 6] [--vlm PATH] [--json]
    python benchmarks/vlm_scoring.py --real-size [--json]

Three kinds of work, as a run asks for them: beam search (InfoScore of 64 candidates after each beam), GRPO's groups and
an evaluation by many selectors. On each, in one run: the loop (`processor.apply_chat_template` and `model.generate` or
one pass, prompt by prompt), then collector and store with `LocalVLM`: in batches; with vision features kept (`cached`);
with what prompts begin with computed once (`shared`). `first` is the last of these when no image is encoded yet.
`equal` says that all ways give the loop's texts, and its log-probabilities to 1e-4.

`--real-size` takes a GPU: the same for a model of Qwen2.5-VL-3B's size with random weights (benchmarks/real_size.py).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from naive_vlm import NaiveVLM
from real_size import NoGpu, measure_real_size
from rich.console import Console
from rich.table import Table
from scoring_ways import WAYS, Clock, collect, same
from scoring_work import Work, beam_work, draw_tasks, evaluation_work, grpo_work

from shotsmith.builtin import VLM_PATH
from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.recipe import VLMSettings
from shotsmith.vlms.qwen.local import LocalVLM, load_vlm

ROUNDS = 3


def main() -> None:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=6, help="queries of beam search")
    parser.add_argument("--alone", type=int, default=250, help="prompts of each kind that the loop is given")
    parser.add_argument("--vlm", default="builtin", help="folder of another Qwen2.5-VL model")
    parser.add_argument("--cpu-time", action="store_true", help="count the process's own seconds: for a busy machine")
    parser.add_argument("--real-size", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            if options.real_size:
                figures, equal = measure_real_size(Path(folder), options.queries)
            else:
                clock = time.process_time if options.cpu_time else time.perf_counter
                settings = VLMSettings(path=options.vlm)
                figures, equal = measure(Path(folder), settings, options.queries, options.alone, clock)
        except NoGpu as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(1)
    if options.json:
        sys.stdout.write(json.dumps({"figures": figures, "equal": equal}) + "\n")
        return
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.3g}" if value < 10 else f"{value:,.0f}")
    Console().print(table)
    Console().print("all results equal" if equal else "RESULTS DIFFER")


def measure(
    folder: Path, settings: VLMSettings, queries: int, alone: int, clock: Clock
) -> tuple[dict[str, float], bool]:
    """All figures, and whether all ways gave the same results."""
    tasks = draw_tasks(folder, 8 * queries)
    path = VLM_PATH if settings.path == "builtin" else Path(settings.path)
    naive = NaiveVLM(path, settings.max_new_tokens)
    vlm = load_vlm(settings)
    figures: dict[str, float] = {"threads": torch.get_num_threads()}
    equal = True
    with Store.open(folder / "drawn.sqlite") as store:
        ask = Collector(store, vlm).ask
        works = {f"beam_{shots}_shots": beam_work(tasks, ask, queries, shots) for shots in (2, 4)}
    works |= {"grpo": grpo_work(tasks, 8), "evaluation": evaluation_work(tasks)}
    for name, work in works.items():
        told, same = measure_work(folder / name, vlm, naive, work, alone, clock)
        figures |= {f"{name}_{figure}": value for figure, value in told.items()}
        equal = equal and same
    return figures, equal


def measure_work(
    folder: Path, vlm: LocalVLM, naive: NaiveVLM, work: Work, alone: int, clock: Clock
) -> tuple[dict[str, float], bool]:
    """The figures of one kind of work: prompts per second of each way, and what was computed."""
    prompts = list(dict.fromkeys(request for call in work for request in call))
    some = prompts[:: max(len(prompts) // alone, 1)]
    naive.complete(some[0])
    started = clock()
    expected = {request: naive.complete(request) for request in some}
    figures = {"prompts": len(prompts), "naive_per_second": len(some) / (clock() - started)}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    equal = True
    first = collect(folder / "first.sqlite", vlm, work, keep=True, share=True, anew=True, clock=clock)
    for number in range(ROUNDS):  # in turn: what else the machine does meanwhile hits all alike
        for way, (keep, share) in WAYS.items():
            if not keep and number:
                continue  # it encodes every image of every prompt: once is enough
            before = replace(vlm.work)
            answers, took, _ = collect(
                folder / f"{way}-{number}.sqlite", vlm, work, keep=keep, share=share, clock=clock
            )
            seconds[way].append(took)
            equal = equal and same(answers, expected)
            if way == "shared":
                done = vlm.work.since(before)
    figures |= {f"{way}_per_second": len(prompts) / median(took) for way, took in seconds.items()}
    figures |= {
        "first_per_second": len(prompts) / first[1],
        "speedup": figures["shared_per_second"] / figures["naive_per_second"],
        "first_speedup": len(prompts) / first[1] / figures["naive_per_second"],
        "tokens_per_prompt": done["tokens"] / len(prompts),
        "computed_per_prompt": done["computed"] / len(prompts),
        "prefix_hits": 1 - done["computed"] / done["tokens"],
        "padding": done["padding"] / done["computed"],
        "vision_hits_first": first[2],
    }
    return figures, equal


if __name__ == "__main__":
    main()
