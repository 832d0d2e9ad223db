"""The same work with a model of Qwen2.5-VL-3B's real size, on a GPU.

The weights are random, so the answers mean nothing and the time is real. The tokenizer is the built-in one; images are
shown with about as many tokens as a photograph of COCO takes. Beside collector and LocalVLM stands `model.generate` in
batches padded on the left, as the documentation of transformers does it, with whichever attention kernels it is faster:
those that PyTorch prefers, or without cuDNN's. `matmul_share` is the arithmetic of the tokens computed, over what the
GPU does in the same time in one large matrix product, measured here.

In bfloat16 no two ways agree to the last digit. What is asked instead is that shared beginnings bring log-probabilities
no further from those of float32 than computing every prompt by itself does.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from scoring_ways import Answers, answered, collect, texts_equal
from scoring_work import Work, beam_work, draw_tasks, evaluation_work, grpo_work
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration
from transformers.image_utils import load_image

from shotsmith.builtin import VLM_PATH
from shotsmith.builtin.processor import load_processor
from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.records import Request
from shotsmith.vlms.pretrained.kernels import steady_kernels
from shotsmith.vlms.prompting.prompts import messages
from shotsmith.vlms.qwen.fused import use_fused
from shotsmith.vlms.qwen.local import LocalVLM

REAL: Mapping[str, Any] = {
    "text_config": {
        "vocab_size": 151_936,
        "hidden_size": 2048,
        "intermediate_size": 11_008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
        "max_position_embeddings": 128_000,
    },
    "vision_config": {
        "depth": 32,
        "hidden_size": 1280,
        "num_heads": 16,
        "intermediate_size": 3420,
        "out_hidden_size": 2048,
        "fullatt_block_indexes": [7, 15, 23, 31],
        "window_size": 112,
    },
}
"""As config.json of Qwen2.5-VL-3B-Instruct says."""
PIXELS = 480 * 640
NEW_TOKENS = 5
BATCH_TOKENS = 131_072
GENERATED_TOGETHER = 16
GENERATED = 2
"""Batches that `generate` is given."""
EXACT = 24
"""Prompts that are also computed in float32."""
ALIKE = 0.98
"""The share of texts that have to be equal; where two tokens are nearly as likely, rounding decides."""


class NoGpu(Exception):
    """There is nothing to measure on."""


@dataclass(frozen=True)
class Ways:
    """One model, to be asked in several ways."""

    plain: Any
    processor: Any
    vlm: LocalVLM
    exact: LocalVLM
    """In float32, every prompt by itself."""
    rate: float
    """Floating-point operations per second of a matrix product."""


def measure_real_size(
    folder: Path,
    queries: int,
    *,
    sizes: Mapping[str, Any] = REAL,
    device: str = "cuda",
    dtype: torch.dtype = torch.bfloat16,
    pixels: int = PIXELS,
    batch_tokens: int = BATCH_TOKENS,
) -> tuple[dict[str, float], bool]:
    """Prompts per second of each way and work, and whether sharing is as near to float32 as not sharing.

    Raises NoGpu where the device is not there.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise NoGpu("--real-size needs a CUDA GPU, and this machine has none: nothing was measured")
    ways = _ways(sizes, torch.device(device), dtype, pixels, batch_tokens)
    tasks = draw_tasks(folder, 8 * queries)
    parameters = sum(one.numel() for one in ways.plain.parameters())
    figures = {"parameters": parameters, "matmul_tflops": ways.rate / 1e12}
    with Store.open(folder / "drawn.sqlite") as store:
        works = {"beam": beam_work(tasks, Collector(store, ways.vlm).ask, queries, 2)}
    works |= {"grpo": grpo_work(tasks, 8), "evaluation": evaluation_work(tasks)}
    equal = True
    for name, work in works.items():
        told, same = measure_work(folder / name, ways, work)
        figures |= {f"{name}_{figure}": value for figure, value in told.items()}
        equal = equal and same
    return figures, equal


def _ways(sizes: Mapping[str, Any], device: torch.device, dtype: torch.dtype, pixels: int, batch_tokens: int) -> Ways:
    plain, processor = build(sizes, device, dtype, pixels)
    fused = copy.deepcopy(plain)
    use_fused(fused)
    vlm, exact = (
        LocalVLM(model, processor, identity=name, max_new_tokens=NEW_TOKENS, batch_tokens=batch_tokens)
        for name, model in (("real size", fused), ("exact", copy.deepcopy(plain).float()))
    )
    return Ways(plain, processor, vlm, exact, matmul_rate(device, dtype))


def build(
    sizes: Mapping[str, Any], device: torch.device, dtype: torch.dtype, pixels: int
) -> tuple[Qwen2_5_VLForConditionalGeneration, Any]:
    """A model of these sizes with random weights, and the built-in processor with images of about `pixels`."""
    processor = load_processor(VLM_PATH)
    images = processor.image_processor
    processor.image_processor = type(images)(
        **(images.to_dict() | {"min_pixels": pixels, "max_pixels": pixels, "size": None})
    )
    ids = {name: processor.tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("image_pad", "video_pad")}
    marks = {name: processor.tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("vision_start", "vision_end")}
    config = Qwen2_5_VLConfig(
        **copy.deepcopy(dict(sizes)),
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=marks["vision_start"],
        vision_end_token_id=marks["vision_end"],
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    with device:
        model = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=dtype, attn_implementation="sdpa")
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    return model.eval(), processor


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations per second of one large matrix product."""
    size = 8192 if device.type == "cuda" else 512
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    for _ in range(3):
        one @ other
    seconds = _seconds(device, lambda: [one @ other for _ in range(10)])
    return 10 * 2 * size**3 / seconds


def measure_work(folder: Path, ways: Ways, work: Work) -> tuple[dict[str, float], bool]:
    """The figures of one kind of work."""
    vlm = ways.vlm
    prompts = list(dict.fromkeys(request for call in work for request in call))
    generated = generated_per_second(ways, prompts[: GENERATED * GENERATED_TOGETHER])
    _, first_seconds, _ = collect(folder / "first.sqlite", vlm, work, keep=True, share=True, anew=True)
    before = copy.copy(vlm.work)
    shared, seconds, _ = collect(folder / "shared.sqlite", vlm, work, keep=True, share=True)
    done = vlm.work.since(before)
    cached, cached_seconds, _ = collect(folder / "cached.sqlite", vlm, work, keep=True, share=False)
    exact, _, _ = collect(folder / "exact.sqlite", ways.exact, [prompts[:EXACT]], keep=True, share=False)
    off_shared, off_cached = mean_off(shared, exact), mean_off(cached, exact)
    texts = texts_equal(shared, cached)
    figures = {
        "prompts": len(prompts),
        **generated,
        "cached_per_second": len(prompts) / cached_seconds,
        "shared_per_second": len(prompts) / seconds,
        "first_per_second": len(prompts) / first_seconds,
        "speedup": len(prompts) / seconds / max(generated.values()),
        "first_speedup": len(prompts) / first_seconds / max(generated.values()),
        "tokens_per_second": done["tokens"] / seconds,
        "tokens_per_prompt": done["tokens"] / len(prompts),
        "computed_per_prompt": done["computed"] / len(prompts),
        "passes": done["passes"],
        "matmul_share": operations(ways.plain, done["computed"] + done["decoded"]) / seconds / ways.rate,
        "texts_equal": texts,
        "shared_off_float32": off_shared,
        "cached_off_float32": off_cached,
    }
    return figures, texts > ALIKE and off_shared <= 1.5 * off_cached + 1e-4


def generated_per_second(ways: Ways, requests: list[Request]) -> dict[str, float]:
    """Prompts per second of `generate`, by attention kernels."""
    speeds = {}
    for name, kernels in (("generate", nullcontext), ("generate_without_cudnn", steady_kernels)):
        with kernels():
            generate(ways.plain, ways.processor, requests[:GENERATED_TOGETHER])
            seconds = _seconds(ways.plain.device, lambda: generate(ways.plain, ways.processor, requests))
        speeds[f"{name}_per_second"] = len(requests) / seconds
    return speeds


def mean_off(answers: Answers, exact: Answers) -> float:
    """The mean distance of log-probabilities from exact ones; 0 where none were asked for."""
    distances = [
        abs(answered(answers[request]).log_probs[answer] - value)
        for request, told in exact.items()
        for answer, value in answered(told).log_probs.items()
    ]
    return sum(distances) / max(len(distances), 1)


def operations(model: Any, tokens: int) -> float:
    """Those of the matrix products with weights: two for each weight of the language model's layers and token."""
    return 2.0 * tokens * sum(one.numel() for one in model.model.language_model.layers.parameters())


@torch.inference_mode()
def generate(model: Any, processor: Any, requests: list[Request]) -> None:
    """Batched inference as the documentation of transformers shows it."""
    for start in range(0, len(requests), GENERATED_TOGETHER):
        part = requests[start : start + GENERATED_TOGETHER]
        texts = [
            processor.apply_chat_template(messages(request), add_generation_prompt=True, tokenize=False)
            for request in part
        ]
        images = [[load_image(str(image)) for image in request.images] for request in part]
        inputs = processor(text=texts, images=images, padding=True, return_tensors="pt").to(model.device)
        model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)


def _seconds(device: torch.device, work: Any) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started
