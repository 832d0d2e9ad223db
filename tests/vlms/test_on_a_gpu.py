"""A GPU says what a CPU says, and does the whole job. `make test-gpu` runs these where there is one."""

from __future__ import annotations

import gc

import pytest
import small_families
import small_vlm
import torch
from small_experiment import small_recipe

from shotsmith import experiment
from shotsmith.builtin import VLM_PATH
from shotsmith.progress import Silent
from shotsmith.recipe import VLMSettings
from shotsmith.records import Request
from shotsmith.runs import Run, show
from shotsmith.vlms.load import load_vlm
from shotsmith.vlms.qwen import decoding
from shotsmith.vlms.qwen.fused import FusedNorm

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU: `make test-gpu` where there is one")


@pytest.fixture(scope="module")
def requests(examples):
    drawn = small_vlm.draw_requests(examples, 7, shots=3)
    shared = [Request(examples[0], (*examples[1:4], one), (examples[0].answer,)) for one in examples[4:]]
    return [*drawn, *shared]


def on(device, path, requests, **settings):
    return load_vlm(VLMSettings(path=str(path), device=device, **settings)).complete(requests)


def assert_alike(one, other):
    assert [completion.text for completion in one] == [completion.text for completion in other]
    for left, right in zip(one, other, strict=True):
        assert left.log_probs == pytest.approx(right.log_probs, abs=1e-4)


@pytest.mark.parametrize("pass_tokens", [0, 2560])
def test_the_fast_way_answers_in_float32_as_on_a_cpu(folder, requests, pass_tokens, monkeypatch):
    monkeypatch.setattr(decoding, "GPU_PASS_TOKENS", pass_tokens)
    vlm = load_vlm(VLMSettings(path=str(folder), device="cuda", dtype="float32"))
    assert any(isinstance(module, FusedNorm) for module in vlm._decoder._model.modules())
    assert_alike(vlm.complete(requests), on("cpu", folder, requests))
    assert (vlm.work.computed < vlm.work.tokens) == (pass_tokens == 0)


@pytest.mark.parametrize("family", [name for name in small_families.FAMILIES if name != "qwen2_5_vl"])
def test_every_family_answers_in_float32_as_on_a_cpu(family, requests, tmp_path):
    small_families.FAMILIES[family](tmp_path)
    assert_alike(*(on(device, tmp_path, requests, dtype="float32") for device in ("cuda", "cpu")))


def test_arithmetic_is_bfloat16_by_default_and_mostly_says_the_same(requests):
    vlm = load_vlm(VLMSettings())
    assert "dtype=bfloat16" in vlm.identity
    texts, expected = ([one.text for one in told] for told in (vlm.complete(requests), on("cpu", VLM_PATH, requests)))
    assert sum(map(str.__eq__, texts, expected)) > 0.5 * len(requests)  # made-up words: often two are nearly as likely


def test_what_the_memory_does_not_hold_is_done_in_halves(examples):
    vlm = load_vlm(VLMSettings(dtype="float32"))
    requests = [Request(query, (one, other)) for query in examples for one in examples for other in examples]
    torch.cuda.reset_peak_memory_stats()
    base = torch.cuda.memory_allocated()
    whole = vlm.complete(requests)
    needed = base + (torch.cuda.max_memory_allocated() - base) // 2
    gc.collect()
    torch.cuda.empty_cache()
    try:
        torch.cuda.set_per_process_memory_fraction(needed / torch.cuda.get_device_properties(0).total_memory)
        before = vlm.work.passes
        halves = vlm.complete(requests)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert vlm.work.passes - before > 1
    assert [one.text for one in halves] == [one.text for one in whole]


def test_the_main_job_ends_and_is_done_only_once(tmp_path, monkeypatch):
    run = Run.create(tmp_path / "run", small_recipe())
    experiment.run(run.recipe, run, Silent())
    shown = show(run)
    assert shown["status"] == "done"
    assert {row["phase"] for row in shown["epochs"]} == {"supervised", "rce", "grpo"}
    calls = sum(stage["vlm_calls"] for stage in shown["stages"])
    experiment.run(run.recipe, run, Silent())
    assert sum(stage["vlm_calls"] for stage in show(run)["stages"]) == calls > 0
