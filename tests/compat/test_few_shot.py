"""A checkpoint of any origin on the test queries, and the predecessor's metrics file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from setting_probes.stages import parts_of

from shotsmith.checkpoints.native import Manifest
from shotsmith.compat.scripts.few_shot import append_metrics, few_shot_accuracies
from shotsmith.errors import InputError
from shotsmith.evaluation.results import read_results
from shotsmith.experiment.parts import Parts
from shotsmith.policies.pointer import PointerPolicy, build_policy
from shotsmith.recipe import PolicySettings, Recipe, parse_recipe

SETTINGS = PolicySettings.model_validate({"preset": "v3", "hidden_size": 8})


def recipe() -> Recipe:
    return parse_recipe(
        {
            "data": {
                "world": {"preset": "first", "seed": 1, "train": 40, "val": 8, "test": 10},
                **{"train_queries": 4, "val_queries": 2, "test_queries": 6},
            },
            "pools": {"size": 8},
            "beam": {"queries": 1},
            "evaluation": {"shots": [1, 3]},
        }
    )


def checkpoint(width: int, encoder: str) -> tuple[PointerPolicy, Manifest]:
    manifest = Manifest(
        policy=SETTINGS,
        embedding_width=width,
        encoder=encoder,
        vlm="unknown",
        shots=(),
        recipe="unknown",
        seed=0,
        phase="grpo",
        epoch=2,
        unknown=("encoder",) if encoder == "unknown" else (),
    )
    return build_policy(SETTINGS, width, seed=0), manifest


def accuracies(parts: Parts, encoder: str = "unknown", wider: int = 0) -> dict[int, float]:
    return few_shot_accuracies(parts, *checkpoint(parts.inputs("test").embedding_width + wider, encoder))


def test_accuracy_is_the_mean_of_the_results_kept(tmp_path: Path):
    with parts_of(recipe(), tmp_path) as parts:
        found = accuracies(parts)
        results = read_results(parts.run.results)
        assert len(parts.run.evaluations()) == 1
    assert set(found) == {1, 3}
    for shots, accuracy in found.items():
        scores = [result.vqa_accuracy for result in results if result.shots == shots]
        assert len(scores) == 6
        assert accuracy == pytest.approx(sum(score or 0.0 for score in scores) / 6)


def test_a_policy_of_another_encoder_is_refused(tmp_path: Path):
    with parts_of(recipe(), tmp_path) as parts:
        with pytest.raises(InputError, match="trained with the encoder clip:other"):
            accuracies(parts, encoder="clip:other")
        assert set(accuracies(parts, encoder=parts.encoder.identity)) == {1, 3}


def test_embeddings_of_another_width_are_refused_before_anything_is_asked(tmp_path: Path):
    with parts_of(recipe(), tmp_path) as parts:
        with pytest.raises(InputError, match=r"reads embeddings of width \d+; with encoder.joined=side_by_side"):
            accuracies(parts, wider=1)
        assert parts.requests == 0
        assert parts.run.evaluations() == []


def test_every_test_adds_an_entry_to_the_metrics_file(tmp_path: Path):
    file = tmp_path / "metrics.json"
    names = [append_metrics(file, {1: 0.5015, 2: 0.25}, 800) for _ in range(2)]
    entries = json.loads(file.read_text())
    assert list(entries) == names
    assert all(name.endswith("-test_data_num=800-LeverLMRetriever") for name in names)
    assert entries[names[0]] == {"shot_num=1": 0.5015, "shot_num=2": 0.25}


def test_a_file_that_holds_something_else_is_left_alone(tmp_path: Path):
    file = tmp_path / "metrics.json"
    file.write_text("[1]")
    with pytest.raises(InputError, match="not an object of metrics"):
        append_metrics(file, {1: 0.5}, 8)
    assert file.read_text() == "[1]"
