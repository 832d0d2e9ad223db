"""Checkpoints with what the predecessor's training leaves in them beside the policy: only the policy is read."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from published_checkpoints import (
    HIDDEN,
    PREFIX,
    network,
    published_scores,
    scores_of,
    v2_value,
    v3_value,
    write,
)
from published_network import PublishedNetwork

from shotsmith.checkpoints.native import load_manifest, load_policy, save_policy
from shotsmith.compat.checkpoints.convert import convert, read_policy
from shotsmith.errors import CheckpointError
from shotsmith.policies.inputs import Inputs

MADE: list[str] = []
"""Names of the classes of which objects were made while a file was read."""


def a_class(module: str, name: str, *bases: type) -> Any:
    """A class of another package that notices when one of its objects is made from a pickle."""

    def made(self: object, state: object) -> None:
        MADE.append(name)

    def new(cls: type, *arguments: Any, **named: Any) -> object:
        MADE.append(name)
        return bases[0].__new__(cls) if bases else object.__new__(cls)

    there = sys.modules.setdefault(module, ModuleType(module))
    kind = type(name, bases, {"__module__": module, "__setstate__": made, "__new__": new})
    setattr(there, name, kind)
    return kind


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Hyper-parameters as Hydra and Lightning leave them."""
    for package in ("omegaconf", "omegaconf.dictconfig", "omegaconf.listconfig", "lightning_fabric"):
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
    dict_config = a_class("omegaconf.dictconfig", "DictConfig")
    list_config = a_class("omegaconf.listconfig", "ListConfig", list)
    attributes = a_class("lightning_fabric", "AttributeDict", dict)
    model, shots, hyper = dict_config(), list_config(), attributes()
    model.__dict__ = {"_content": {"d_model": 512, "device": torch.device("cpu")}, "_metadata": Path("conf")}
    shots.extend([1, 2])
    hyper.update({"cfg": model, "shots": shots, "args": Namespace(lr=1e-4), "seed": np.float64(3), "kinds": {dict}})
    MADE.clear()
    return hyper


def trained(weights: dict[str, torch.Tensor], hyper: Any) -> dict[str, Any]:
    """A Lightning checkpoint of a whole model: optimizer state for every weight, and the frozen CLIP."""
    value = v2_value(weights)
    frozen = {
        f"lever_lm.{part}.{name}": torch.randn(4, 4)
        for part, name in (
            ("img_model", "vision_model.encoder.layers.0.mlp.fc1.weight"),
            ("img_model", "visual_projection.weight"),
            ("sen_model", "text_model.embeddings.token_embedding.weight"),
        )
    }
    frozen["lever_lm.sen_model.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    state = {number: {"step": torch.tensor(3.0), "exp_avg": torch.randn(8, 8)} for number in range(20)}
    return value | {
        "state_dict": OrderedDict({**frozen, **value["state_dict"]}),
        "hyper_parameters": hyper,
        "optimizer_states": [{"state": state, "param_groups": [{"lr": 1e-4, "betas": (0.9, 0.999)}]}],
        "lr_schedulers": [{"base_lrs": [1e-4], "last_epoch": 640, "lr_lambdas": [None]}],
        "callbacks": {"ModelCheckpoint{'monitor': 'val_loss'}": {"best_model_score": torch.tensor(0.5)}},
    }


def test_a_real_lightning_checkpoint_converts_and_only_its_state_dict_is_read(tmp_path: Path, config: Any):
    module = network(layers=2)
    file = write(tmp_path / "best.ckpt", trained(module.state_dict(), config))
    done = convert(file, tmp_path / "native", "native")
    assert MADE == []
    assert torch.allclose(scores_of(load_policy(tmp_path / "native")[0]), published_scores(module), atol=1e-6)
    assert {"hyper_parameters", "optimizer_states", "callbacks"} < set(done.left)
    assert "lever_lm.img_model (2 frozen weights)" in done.left
    assert "lever_lm.sen_model (2 frozen weights)" in done.left
    torch.load(file, weights_only=False)
    assert {"DictConfig", "ListConfig", "AttributeDict"} <= set(MADE)  # the usual way makes these objects


def test_weights_that_were_trained_are_never_taken_for_frozen_ones(tmp_path: Path, config: Any):
    value = trained(network().state_dict(), config)
    value["state_dict"]["lever_lm.img_adapter.0.weight"] = torch.ones(2)
    value["state_dict"][f"{PREFIX}clip.weight"] = torch.ones(2)
    with pytest.raises(CheckpointError, match=r"lever_lm\.img_adapter\.0\.weight$"):
        read_policy(write(tmp_path / "best.ckpt", value))
    del value["state_dict"]["lever_lm.img_adapter.0.weight"]
    with pytest.raises(CheckpointError, match=r"clip\.weight is not part of it"):
        read_policy(write(tmp_path / "best.ckpt", value))


def test_a_weight_that_is_no_tensor_is_an_error_whatever_it_is(tmp_path: Path, config: Any):
    value = v3_value(dict(network().state_dict()))
    value["model_state_dict"]["query_proj.weight"] = config["cfg"]
    with pytest.raises(CheckpointError, match=r"query_proj\.weight is no tensor"):
        read_policy(write(tmp_path / "c.pt", value))
    assert MADE == []


def test_figures_of_numpy_among_the_metrics_are_left_behind_and_told(tmp_path: Path):
    value = v3_value(network().state_dict())
    value["metrics"] |= {"reward": np.float64(0.5)}
    done = convert(write(tmp_path / "c.pt", value), tmp_path / "native", "native")
    assert done.left == ("metrics.reward",)


@pytest.mark.parametrize("tensor", [torch.randn(16, 16).T, torch.randn(40, 16)[7:23], torch.randn(16, 32)[:, ::2]])
def test_views_are_read_as_they_are(tmp_path: Path, tensor: torch.Tensor):
    weights = dict(network().state_dict()) | {"query_proj.weight": torch.nn.Parameter(tensor)}
    policy, _ = read_policy(write(tmp_path / "c.pt", v3_value(weights)))
    assert policy.encoder.query_proj.weight.equal(tensor)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read(tmp_path: Path, dtype: torch.dtype):
    weights = {name: value.to(dtype) for name, value in network().state_dict().items()}
    policy, _ = read_policy(write(tmp_path / "c.pt", v3_value(weights)))
    assert policy.encoder.cand_proj.weight.equal(weights["cand_proj.weight"].float())


def as_wide(seed: int = 0, **changes: Any) -> PublishedNetwork:
    """A network for embeddings as wide as itself: it has no input projection."""
    return PublishedNetwork.drawn(seed, HIDDEN, hidden=HIDDEN, **changes)


@pytest.mark.parametrize("changes", [{}, {"layers": 0}, {"layers": 3, "memory": "none"}, {"memory": "gru", "steps": 4}])
@pytest.mark.parametrize("value", [v2_value, v3_value])
def test_without_an_input_projection_embeddings_are_compared_as_they_are(
    tmp_path: Path, changes: dict[str, Any], value: Any
):
    module = as_wide(**changes)
    assert "input_proj.weight" not in module.state_dict()
    policy, manifest = read_policy(write(tmp_path / "c", value(module.state_dict())))
    assert manifest.embedding_width == HIDDEN
    queries, candidates = torch.randn(3, HIDDEN), torch.randn(3, 9, HIDDEN)
    walk = policy.walk(Inputs(queries, candidates, torch.ones(3, 9, dtype=torch.bool)))
    scores = walk.scores(walk.start())[1][:, 0]
    assert torch.allclose(scores, module.logits(queries, candidates, [0])[:, 0], atol=1e-5)


def test_the_identity_is_left_out_again_on_the_way_back(tmp_path: Path):
    module = as_wide()
    convert(write(tmp_path / "c.pt", v3_value(module.state_dict())), tmp_path / "native", "native")
    for form, key in (("v3", "model_state_dict"), ("v2format", "state_dict")):
        convert(tmp_path / "native", tmp_path / form, form)
        stored = torch.load(tmp_path / form, weights_only=True)[key]
        assert {name.removeprefix(PREFIX) for name in stored} == module.state_dict().keys()
        as_wide(seed=1).load_state_dict({name.removeprefix(PREFIX): value for name, value in stored.items()})
    policy, manifest = load_policy(tmp_path / "native")
    policy.encoder.input_proj.weight.data[0, 1] = 0.5
    save_policy(tmp_path / "other", policy, manifest)
    with pytest.raises(CheckpointError, match="no identity"):
        convert(tmp_path / "other", tmp_path / "lost.pt", "v3")
    assert not (tmp_path / "lost.pt").exists()


@pytest.mark.parametrize(
    ("name", "inside", "epoch"),
    [
        ("grpo_epoch2.pt", 1, 2),
        ("grpo_epoch1.pt", 0, 1),
        ("rce_epoch5.pt", 4, 5),
        ("grpo_epoch20_v2format.ckpt", 19, 20),
        ("renamed.pt", 1, 2),
        ("grpo_epoch2.pt", 2, 2),  # as Shotsmith wrote it once
        ("grpo_epoch20.pt", 2, 3),
    ],
)
def test_epochs_inside_a_file_are_counted_from_zero(tmp_path: Path, name: str, inside: int, epoch: int):
    value = v3_value if name.endswith(".pt") else v2_value
    file = write(tmp_path / name, value(network().state_dict()) | {"epoch": inside})
    assert read_policy(file)[1].epoch == epoch


def test_an_epoch_is_the_same_after_every_form(tmp_path: Path):
    file = write(tmp_path / "grpo_epoch2.pt", v3_value(network().state_dict()) | {"epoch": 1})
    convert(file, tmp_path / "native", "native")
    convert(tmp_path / "native", tmp_path / "grpo_epoch2_v2format.ckpt", "v2format")
    convert(tmp_path / "grpo_epoch2_v2format.ckpt", tmp_path / "some.pt", "v3")
    assert torch.load(tmp_path / "grpo_epoch2_v2format.ckpt", weights_only=True)["epoch"] == 1
    assert torch.load(tmp_path / "some.pt", weights_only=True)["epoch"] == 1
    convert(tmp_path / "some.pt", tmp_path / "again", "native")
    assert load_manifest(tmp_path / "again").epoch == 2
