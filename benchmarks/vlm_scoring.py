"""How fast few-shot prompts are answered and scored, against the loop everybody writes first.

    python benchmarks/vlm_scoring.py [--prompts 400] [--vlm PATH] [--json]

The loop asks one prompt at a time by `processor.apply_chat_template` and `model.generate`. Beside it, on the same
prompts in the same run: `LocalVLM` in batches, for the first time (pictures are encoded) and again (they are not);
with the log-probability of the true answer beside the text; the log-probability alone, which is what InfoScore asks
for; and the same through collector and store. `equal` says that all texts are those of the loop, and that
log-probabilities are those of whole passes of the unmodified model.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoProcessor, Qwen2_5_VLForConditionalGeneration
from transformers.processing_utils import ProcessorMixin

from shotsmith.builtin import VLM_PATH
from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.data.load import load_splits
from shotsmith.data.world import make_world
from shotsmith.recipe import DataSettings, VLMSettings, WorldSettings
from shotsmith.records import Completion, Failure, Request
from shotsmith.vlms.local import LocalVLM, load_vlm
from shotsmith.vlms.prompts import cut_answer, messages

SHOTS = 2
REPEATS = 3
TOLERANCE = 1e-4
SCORED_ONE_BY_ONE = 50

T = TypeVar("T")


def main() -> None:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=400)
    parser.add_argument("--vlm", default="builtin", help="folder of another Qwen2.5-VL model")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures, equal = measure(Path(folder), VLMSettings(path=options.vlm), options.prompts)
    if options.json:
        sys.stdout.write(json.dumps({"figures": figures, "equal": equal}) + "\n")
        return
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, f"{value:,.1f}")
    Console().print(table)
    Console().print("all results equal" if equal else "RESULTS DIFFER")


def measure(folder: Path, settings: VLMSettings, count: int) -> tuple[dict[str, float], bool]:
    """All figures, and whether all ways gave the same results."""
    requests = draw_requests(folder, count)
    scored = [Request(r.query, r.demonstrations, (r.query.answer,), text=False) for r in requests]
    both = [Request(r.query, r.demonstrations, (r.query.answer,)) for r in requests]
    path = VLM_PATH if settings.path == "builtin" else Path(settings.path)
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(path, dtype="auto").eval()
    processor = AutoProcessor.from_pretrained(path)
    vlm = load_vlm(settings)
    answer_alone(model, processor, requests[0], settings.max_new_tokens)
    naive, naive_seconds = timed(
        lambda: [answer_alone(model, processor, request, settings.max_new_tokens) for request in requests]
    )
    few = scored[:SCORED_ONE_BY_ONE]
    slow, slow_seconds = timed(lambda: [score_alone(model, processor, request) for request in few])
    vlm.complete(requests[:1])
    first, first_seconds = timed(lambda: in_batches(vlm, requests))
    again, again_seconds = repeated(lambda: in_batches(vlm, requests))
    scores, scores_seconds = repeated(lambda: in_batches(vlm, scored))
    answered, answered_seconds = repeated(lambda: in_batches(vlm, both))
    with Store.open(folder / "completions.sqlite") as store:
        kept, kept_seconds = timed(lambda: Collector(store, vlm).ask(both, "benchmark"))
    texts_equal = all(texts(way) == naive for way in (first, again, answered, kept))
    scores_equal = all(
        abs(one - other) < TOLERANCE
        for way in (scores, answered, kept)
        for one, other in zip(slow, log_probs(way), strict=False)
    )
    figures = {
        "prompts": count,
        "threads": torch.get_num_threads(),
        "tokens_per_prompt": sum(map(vlm.length, requests)) / count,
        "naive_prompts_per_second": count / naive_seconds,
        "batched_prompts_per_second": count / again_seconds,
        "speedup": naive_seconds / again_seconds,
        "first_time_prompts_per_second": count / first_seconds,
        "naive_scores_per_second": len(few) / slow_seconds,
        "batched_scores_per_second": count / scores_seconds,
        "answered_and_scored_per_second": count / answered_seconds,
        "collected_per_second": count / kept_seconds,
    }
    return figures, texts_equal and scores_equal


def draw_requests(folder: Path, count: int) -> list[Request]:
    """Prompts from a small world, as a pool gives them: every picture is shown many times."""
    world = WorldSettings(train=128, val=1, test=64)
    make_world(folder / "world", world)
    splits = load_splits(DataSettings(world=world, train_queries=1, val_queries=1, test_queries=1), folder / "world")
    draws = random.Random(0)
    return [Request(draws.choice(splits.test), tuple(draws.sample(splits.train, SHOTS))) for _ in range(count)]


def answer_alone(
    model: Qwen2_5_VLForConditionalGeneration, processor: ProcessorMixin, request: Request, new_tokens: int
) -> str:
    """One prompt by processor and `generate`, plain greedy."""
    inputs = processor.apply_chat_template(
        messages(request), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
    )
    output = model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False, repetition_penalty=1.0)
    new = output[0, inputs["input_ids"].shape[1] :]
    return cut_answer(processor.tokenizer.decode(new, skip_special_tokens=True))


@torch.inference_mode()
def score_alone(model: Qwen2_5_VLForConditionalGeneration, processor: ProcessorMixin, request: Request) -> float:
    """The log-probability of one answer: a pass of the unmodified model over prompt and answer."""
    inputs = dict(
        processor.apply_chat_template(
            messages(request), add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
    )
    text = processor.apply_chat_template(messages(request), add_generation_prompt=True, tokenize=False)
    length = len(processor.tokenizer(text)["input_ids"])
    added = torch.tensor([processor.tokenizer(text + request.answers[0])["input_ids"][length:]])
    pad = (0, added.shape[1])
    inputs["input_ids"] = torch.cat([inputs["input_ids"], added], 1)
    inputs["attention_mask"] = torch.nn.functional.pad(inputs["attention_mask"], pad, value=1)
    inputs["mm_token_type_ids"] = torch.nn.functional.pad(inputs["mm_token_type_ids"], pad)
    log_probs = model(**inputs).logits[0, -added.shape[1] - 1 : -1].float().log_softmax(-1)
    return float(log_probs.gather(-1, added[0, :, None]).sum())


def in_batches(vlm: LocalVLM, requests: Sequence[Request]) -> list[Completion | Failure]:
    """All prompts, shortest first, in batches of the VLM's token budget."""
    lengths = [vlm.length(request) for request in requests]
    order = sorted(range(len(requests)), key=lengths.__getitem__)
    results: dict[int, Completion | Failure] = {}
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * lengths[order[stop]] <= vlm.batch_tokens:
            stop += 1
        part = order[start:stop]
        results.update(zip(part, vlm.complete([requests[index] for index in part]), strict=True))
        start = stop
    return [results[index] for index in range(len(requests))]


def texts(completions: Sequence[Completion | Failure]) -> list[str | None]:
    return [None if isinstance(completion, Failure) else completion.text for completion in completions]


def log_probs(completions: Sequence[Completion | Failure]) -> list[float]:
    return [
        float("nan") if isinstance(completion, Failure) else sum(completion.log_probs.values())
        for completion in completions
    ]


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Result and seconds."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def repeated(work: Callable[[], T]) -> tuple[T, float]:
    """Last result and the median of the seconds."""
    results = [timed(work) for _ in range(REPEATS)]
    return results[-1][0], median(seconds for _, seconds in results)


if __name__ == "__main__":
    main()
