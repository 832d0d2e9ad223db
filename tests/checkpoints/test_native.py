from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_matching import SETTINGS, WIDTH, Matching, small_policy, small_run

from shotsmith.checkpoints import native
from shotsmith.checkpoints.native import load_policy, save_policy
from shotsmith.errors import CheckpointError
from shotsmith.files import file_digest
from shotsmith.policies.pointer import build_policy
from shotsmith.temporary import unfinished_folder


def manifest_in(folder, **changes):
    manifest = small_run(folder, "grpo", seed=3).manifest
    return manifest.model_copy(update={"epoch": 2, "metrics": {"val_reward": 0.5, "phase": "grpo"}} | changes)


@pytest.fixture
def checkpoint(tmp_path):
    folder = tmp_path / "epoch-002"
    save_policy(folder, small_policy(seed=5), manifest_in(tmp_path))
    return folder


def forge(folder, change):
    """Change the weights and make the manifest speak of the changed file."""
    weights = load_file(folder / "policy.safetensors")
    change(weights)
    save_file(weights, folder / "policy.safetensors")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["weights"] = file_digest(folder / "policy.safetensors")
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"memory": "none"},
        {"start": "random"},
        {"feed_forward": False},
        {"layers": 3},
        {"heads": 4},
        {"temperature": 0.5},
    ],
    ids=lambda change: next(iter(change), "base"),
)
def test_a_loaded_policy_gives_equal_logits_whatever_its_settings(tmp_path, change):
    settings = SETTINGS.model_copy(update=change)
    policy = build_policy(settings, WIDTH, seed=5)
    save_policy(tmp_path / "c", policy, manifest_in(tmp_path, policy=settings))
    loaded, _ = load_policy(tmp_path / "c")
    inputs, sequences = Matching.draw(4, seed=0).inputs.batch(range(4)), torch.tensor([[[0, 5, 2]]]).expand(4, 1, 3)
    assert torch.equal(loaded.step_distributions(inputs, sequences), policy.step_distributions(inputs, sequences))
    assert not loaded.training


def test_the_manifest_comes_back_as_it_was(tmp_path, checkpoint):
    _, manifest = load_policy(checkpoint)
    assert manifest.model_copy(update={"weights": ""}) == manifest_in(tmp_path)


def test_a_truncated_weights_file_is_named(checkpoint):
    weights = checkpoint / "policy.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"policy\.safetensors: is damaged"):
        load_policy(checkpoint)


def test_a_weights_file_that_is_no_safetensors_is_named(checkpoint):
    (checkpoint / "policy.safetensors").write_bytes(b"no weights")
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["weights"] = file_digest(checkpoint / "policy.safetensors")
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=r"policy\.safetensors: is not a safetensors file"):
        load_policy(checkpoint)


@pytest.mark.parametrize("name", ["policy.safetensors", "manifest.json"])
def test_a_missing_file_is_named(checkpoint, name):
    (checkpoint / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        load_policy(checkpoint)


def test_a_missing_key_is_named(checkpoint):
    forge(checkpoint, lambda weights: weights.pop("encoder.query_proj.weight"))
    with pytest.raises(CheckpointError, match=r"field encoder\.query_proj\.weight: is missing"):
        load_policy(checkpoint)


def test_a_key_too_many_is_named(checkpoint):
    forge(checkpoint, lambda weights: weights.update({"encoder.cross_attn_layers.1.bias": torch.zeros(1)}))
    with pytest.raises(CheckpointError, match=r"field encoder\.cross_attn_layers\.1\.bias: is not part"):
        load_policy(checkpoint)


def test_a_wrong_shape_is_named(checkpoint):
    forge(checkpoint, lambda weights: weights.update({"encoder.input_proj.weight": torch.zeros(2, 3)}))
    with pytest.raises(CheckpointError, match=r"field encoder\.input_proj\.weight: .*\(2, 3\).*\(24, 24\)"):
        load_policy(checkpoint)


@pytest.mark.parametrize(
    ("field", "value"),
    [("phase", "v3"), ("epoch", "two"), ("format", 2), ("temperature", 0.1), ("policy", {"size": 3})],
)
def test_a_manifest_that_is_not_understood_names_the_field(checkpoint, field, value):
    manifest = json.loads((checkpoint / "manifest.json").read_text()) | {field: value}
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=rf"manifest\.json, field {field}"):
        load_policy(checkpoint)


def test_a_manifest_of_another_network_cannot_be_written(tmp_path):
    other = SETTINGS.model_copy(update={"layers": 2})
    with pytest.raises(CheckpointError, match="another policy"):
        save_policy(tmp_path / "c", small_policy(), manifest_in(tmp_path, policy=other))
    assert not (tmp_path / "c").exists()


def test_an_interrupted_save_leaves_the_old_checkpoint_and_nothing_else(tmp_path, checkpoint, monkeypatch):
    before = {file.name: file.read_bytes() for file in checkpoint.iterdir()}

    def interrupted(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(native, "write_json", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_policy(checkpoint, small_policy(seed=6), manifest_in(tmp_path))
    assert {file.name: file.read_bytes() for file in checkpoint.iterdir()} == before
    assert list(tmp_path.iterdir()) == [checkpoint]


def test_saving_again_takes_the_place_of_the_old_one_and_clears_what_a_kill_left(tmp_path, checkpoint):
    with unfinished_folder(checkpoint) as left:
        pass
    left.mkdir()
    save_policy(checkpoint, small_policy(seed=6), manifest_in(tmp_path))
    loaded, _ = load_policy(checkpoint)
    assert torch.equal(loaded.encoder.input_proj.weight, small_policy(seed=6).encoder.input_proj.weight)
    assert list(tmp_path.iterdir()) == [checkpoint]


def test_a_checkpoint_of_the_first_version_loads_as_the_policy_it_was(tmp_path):
    settings = SETTINGS.model_copy(update={"start": "random", "order": "inwards", "layers": 1, "memory": "gate"})
    policy = build_policy(settings, WIDTH, seed=5)
    save_policy(tmp_path / "c", policy, manifest_in(tmp_path, policy=settings))
    manifest = json.loads((tmp_path / "c" / "manifest.json").read_text())
    for name in ("start", "order", "shortlist", "index", "prior"):
        del manifest["policy"][name]
    (tmp_path / "c" / "manifest.json").write_text(json.dumps(manifest))
    loaded, found = load_policy(tmp_path / "c")
    assert (found.policy.start, found.policy.order, loaded.outwards) == ("random", "inwards", False)
    assert all(torch.equal(loaded.state_dict()[name], value) for name, value in policy.state_dict().items())
