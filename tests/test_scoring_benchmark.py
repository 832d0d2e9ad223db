"""The benchmark of scoring takes the same way with a model of any size, on any device."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

SMALL = {
    "text_config": {
        "vocab_size": 330,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
    },
    "vision_config": {
        "depth": 1,
        "hidden_size": 16,
        "num_heads": 2,
        "intermediate_size": 24,
        "out_hidden_size": 32,
        "fullatt_block_indexes": [0],
    },
}


@pytest.fixture
def real_size(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[1] / "benchmarks"), *sys.path])
    return importlib.import_module("real_size")


def test_the_way_of_the_gpu_runs_with_small_sizes_on_a_cpu(
    real_size: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = importlib.import_module("scoring_work")
    monkeypatch.setattr(work, "POOL", 6)
    monkeypatch.setattr(work, "SHOTS", (1, 2))
    figures, equal = real_size.measure_real_size(
        tmp_path, 1, sizes=SMALL, device="cpu", dtype=torch.float32, pixels=56 * 84, batch_tokens=4096
    )
    assert equal
    for kind in ("beam", "grpo", "evaluation"):
        assert figures[f"{kind}_texts_equal"] == 1
        assert figures[f"{kind}_shared_off_float32"] < 1e-4
        assert figures[f"{kind}_generate_per_second"] > 0
        assert figures[f"{kind}_matmul_share"] > 0
        assert figures[f"{kind}_computed_per_prompt"] <= figures[f"{kind}_tokens_per_prompt"]


def test_without_a_gpu_it_says_so_and_measures_nothing(real_size: ModuleType, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(real_size.NoGpu, match="this machine has none"):
        real_size.measure_real_size(tmp_path, 1)
