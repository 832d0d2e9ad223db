"""Conversions from and to the predecessor's checkpoints keep every score, in every direction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from published_checkpoints import (
    CHOICES,
    HIDDEN,
    METRICS,
    PREFIX,
    WIDTH,
    network,
    published,
    published_scores,
    scores_of,
    v2_value,
    v3_value,
    write,
)

from shotsmith.checkpoints.native import Manifest, load_manifest, load_policy, save_policy
from shotsmith.compat.checkpoints.convert import convert, read_policy, unfit
from shotsmith.errors import CheckpointError, InputError
from shotsmith.policies.pointer import build_policy
from shotsmith.recipe import PolicySettings

NETWORKS: list[dict[str, Any]] = [
    {"layers": layers, "memory": memory} for layers in (0, 1, 2, 3, 4) for memory in ("gate", "none")
]
VARIANTS: list[dict[str, Any]] = [
    {"memory": "gru"},
    {"memory": "gru", "steps": 4},
    {"memory": "gru", "steps": 4, "scorer": "additive", "layers": 2},
    {"memory": "gru", "steps": 4, "scorer": "bilinear"},
    {"memory": "none", "scorer": "bilinear"},
]


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a, b, rtol=0, atol=1e-6)


def names(changes: dict[str, Any]) -> str:
    return "-".join(str(value) for value in changes.values())


@pytest.fixture(params=NETWORKS, ids=names)
def shape(request) -> dict[str, Any]:
    return request.param


def native(folder: Path, **changes: Any) -> Path:
    """A checkpoint of ours with an untrained policy whose weights are all drawn anew."""
    settings = PolicySettings.model_validate({"preset": "v3", "hidden_size": HIDDEN, **changes})
    policy = build_policy(settings, WIDTH, seed=3)
    draws = torch.Generator().manual_seed(5)
    for weight in policy.parameters():
        weight.data = torch.randn(weight.shape, generator=draws) * (
            0.5 / weight.shape[-1] ** 0.5 if weight.dim() else 1
        )
    manifest = Manifest(
        policy=settings,
        embedding_width=WIDTH,
        encoder="clip:1",
        vlm="vlm",
        shots=(1, 2),
        recipe="r",
        seed=4,
        phase="grpo",
        epoch=3,
        metrics={"beta": 0.02, "val/loss": 1.5},
    )
    save_policy(folder, policy, manifest)
    return folder


def test_v3_becomes_native(tmp_path: Path, shape: dict[str, Any]):
    module = network(**shape)
    file = write(tmp_path / "grpo_epoch2.pt", v3_value(module.state_dict()))
    convert(file, tmp_path / "native", "native")
    policy, manifest = load_policy(tmp_path / "native")
    assert close(scores_of(policy), published_scores(module))
    assert (manifest.phase, manifest.epoch, manifest.metrics["beta"]) == ("grpo", 2, 0.001)
    assert {name: manifest.metrics[name] for name in METRICS} == METRICS


def test_v2_becomes_native(tmp_path: Path, shape: dict[str, Any]):
    module = network(**shape)
    file = write(tmp_path / "best.ckpt", v2_value(module.state_dict()))
    done = convert(file, tmp_path / "native", "native")
    policy, manifest = load_policy(tmp_path / "native")
    assert close(scores_of(policy), published_scores(module))
    assert manifest.epoch == 8  # Lightning counts from 0
    assert set(done.left) == {"hyper_parameters", "loops", "optimizer_states"}


@pytest.mark.parametrize("memory", ["gate", "none"])
@pytest.mark.parametrize("value", [v2_value, v3_value])
def test_one_layer_names_are_understood(tmp_path: Path, memory: str, value: Any):
    module = network(memory=memory, one_layer_names=True)
    assert "cross_attn.in_proj_weight" in module.state_dict()
    policy, _ = read_policy(write(tmp_path / "c", value(module.state_dict())))
    assert close(scores_of(policy), published_scores(module))


def test_native_becomes_v3(tmp_path: Path, shape: dict[str, Any]):
    source = native(tmp_path / "native", **shape)
    convert(source, tmp_path / "c.pt", "v3")
    stored = torch.load(tmp_path / "c.pt", weights_only=True)
    assert set(stored) == {"epoch", "phase", "model_state_dict", "kl_beta", "metrics"}
    assert (stored["epoch"], stored["phase"], stored["kl_beta"]) == (2, "grpo", 0.02)
    module = published(stored["model_state_dict"], **shape)
    assert close(published_scores(module), scores_of(load_policy(source)[0]))


def test_native_becomes_v2_format(tmp_path: Path, shape: dict[str, Any]):
    source = native(tmp_path / "native", **shape)
    convert(source, tmp_path / "c_v2format.ckpt", "v2format")
    stored = torch.load(tmp_path / "c_v2format.ckpt", weights_only=True)
    assert {"epoch", "global_step", "hyper_parameters", "state_dict"} <= set(stored)
    assert all(name.startswith(PREFIX) for name in stored["state_dict"])
    weights = {name.removeprefix(PREFIX): value for name, value in stored["state_dict"].items()}
    assert close(published_scores(published(weights, **shape)), scores_of(load_policy(source)[0]))


def test_v3_becomes_v2_format_without_a_loss(tmp_path: Path, shape: dict[str, Any]):
    module = network(**shape)
    convert(write(tmp_path / "c.pt", v3_value(module.state_dict())), tmp_path / "c.ckpt", "v2format")
    stored = torch.load(tmp_path / "c.ckpt", weights_only=True)["state_dict"]
    weights = {name.removeprefix(PREFIX): value for name, value in stored.items()}
    assert weights.keys() == module.state_dict().keys()
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())


def test_a_round_trip_through_every_form_changes_no_bit(tmp_path: Path, shape: dict[str, Any]):
    first = native(tmp_path / "0", **shape)
    convert(first, tmp_path / "1.pt", "v3")
    convert(tmp_path / "1.pt", tmp_path / "2", "native")
    convert(tmp_path / "2", tmp_path / "3.ckpt", "v2format")
    convert(tmp_path / "3.ckpt", tmp_path / "4", "native")
    before, after = load_policy(first)[0], load_policy(tmp_path / "4")[0]
    assert torch.equal(scores_of(before), scores_of(after))
    told = [load_manifest(tmp_path / name) for name in ("0", "4")]
    assert told[0].metrics == told[1].metrics
    assert told[0].phase == told[1].phase == "grpo"
    assert told[0].epoch == told[1].epoch == 3


@pytest.mark.parametrize("variant", VARIANTS, ids=names)
def test_the_variants_whose_parts_are_ours_go_there_and_back(tmp_path: Path, variant: dict[str, Any]):
    module = network(**variant)
    file = write(tmp_path / "c.pt", v3_value(module.state_dict()))
    convert(file, tmp_path / "native", "native")
    assert close(scores_of(load_policy(tmp_path / "native")[0]), published_scores(module))
    convert(tmp_path / "native", tmp_path / "back.pt", "v4")
    back = published(torch.load(tmp_path / "back.pt", weights_only=True)["model_state_dict"], **variant)
    assert close(published_scores(back), published_scores(module))
    with pytest.raises(CheckpointError, match="does not have: policy"):
        convert(tmp_path / "native", tmp_path / "no.pt", "v3")


@pytest.mark.parametrize("variant", VARIANTS, ids=names)
def test_the_variants_go_to_v2_format_and_back(tmp_path: Path, variant: dict[str, Any]):
    module = network(**variant)
    file = write(tmp_path / "c.pt", v3_value(module.state_dict()))
    convert(file, tmp_path / "c_v2format.ckpt", "v2format")
    stored = torch.load(tmp_path / "c_v2format.ckpt", weights_only=True)["state_dict"]
    assert stored.keys() == {PREFIX + name for name in module.state_dict()}
    back = published({name.removeprefix(PREFIX): value for name, value in stored.items()}, **variant)
    assert close(published_scores(back), published_scores(module))
    assert close(scores_of(read_policy(tmp_path / "c_v2format.ckpt")[0]), published_scores(module))


def test_what_is_not_known_is_marked(tmp_path: Path):
    weights = network().state_dict()
    _, of_v3 = read_policy(write(tmp_path / "c.pt", v3_value(weights)))
    assert (of_v3.encoder, of_v3.vlm, of_v3.recipe, of_v3.shots) == ("unknown", "unknown", "unknown", ())
    assert set(of_v3.unknown) == {"encoder", "vlm", "shots", "recipe", "seed"}
    assert (of_v3.policy.temperature, of_v3.policy.dropout) == (0.1, 0.5)
    _, of_v2 = read_policy(write(tmp_path / "c.ckpt", v2_value(weights)))
    assert set(of_v2.unknown) == {"encoder", "vlm", "shots", "recipe", "seed", "phase"}


def test_our_own_checkpoints_know_everything(tmp_path: Path):
    assert load_manifest(native(tmp_path / "c")).unknown == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"feed_forward": True, "memory": "gru"}, ["policy.feed_forward: True", "policy.memory: gru"]),
        ({"start": "similarity", "order": "outwards"}, ["policy.start: similarity", "policy.order: outwards"]),
        ({"gains": ["mmr", "coverage"]}, ["policy.gains: ['mmr', 'coverage']"]),
        ({"temperature": 0.2, "heads": 2}, ["policy.temperature: 0.2", "policy.heads: 2"]),
        ({"scorer": "additive", "step_embedding": True}, ["policy.scorer: additive", "policy.step_embedding: True"]),
        ({"decoding": "two_stage", "length": "stop"}, ["policy.decoding: two_stage", "policy.length: stop"]),
        ({"candidate_encoder": "self_attention"}, ["policy.candidate_encoder: self_attention"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", ["v3", "v2format"])
def test_what_the_published_network_cannot_be_is_listed_and_nothing_written(
    tmp_path: Path, changes: dict[str, Any], said: list[str], form: Any
):
    source = native(tmp_path / "native", **changes)
    with pytest.raises(CheckpointError) as caught:
        convert(source, tmp_path / "c", form)
    assert all(one in str(caught.value) for one in said)
    assert not (tmp_path / "c").exists()


def test_lever_lm_has_no_v3_form():
    lever_lm = PolicySettings.model_validate({"preset": "v0"})
    assert unfit(lever_lm, "v3") == unfit(lever_lm, "v4") == ["policy.memory: gpt2"]


def test_every_part_of_the_policy_is_known_to_be_in_the_published_network_or_not():
    """A setting that changes scores and is forgotten in the table would be dropped without a word."""
    harmless = {"hidden_size", "layers", "projections", "dropout", "attention_dropout"}
    only_with_others = {"topics", "dpp_rank", "top_m", "shortlist", "index", "prior", "gain_options"}
    from shotsmith.compat.checkpoints.convert import _PUBLISHED

    assert _PUBLISHED.keys() | harmless | only_with_others == PolicySettings.model_fields.keys()


def test_like_the_predecessor_drops_layers_and_says_which(tmp_path: Path):
    module = network(layers=3)
    file = write(tmp_path / "grpo_epoch2.pt", v3_value(module.state_dict()))
    done = convert(file, tmp_path / "c.ckpt", "v2format", like_predecessor=True)
    stored = torch.load(tmp_path / "c.ckpt", weights_only=True)["state_dict"]
    assert {name.removeprefix(PREFIX) for name in stored} == network(one_layer_names=True).state_dict().keys()
    assert torch.equal(stored[f"{PREFIX}cross_attn.in_proj_weight"], module.cross_attn_layers[0].in_proj_weight)
    dropped = {name for name in module.state_dict() if ".1." in name or ".2." in name}
    assert set(done.lost) == dropped
    assert len(dropped) == 12


@pytest.mark.parametrize("form", ["native", "v3"])
def test_only_its_converter_can_be_imitated(tmp_path: Path, form: Any):
    file = write(tmp_path / "c.pt", v3_value(network().state_dict()))
    with pytest.raises(InputError, match="v2 format"):
        convert(file, tmp_path / "d", form, like_predecessor=True)


def spoilt(change: Any, **shape: Any) -> dict[str, torch.Tensor]:
    weights = dict(network(**shape).state_dict())
    change(weights)
    return weights


def rename(before: str, after: str) -> Any:
    return lambda weights: weights.update({after: weights.pop(before)})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (rename("query_proj.weight", "q_proj.weight"), ["query_proj.weight is missing", "q_proj.weight is not part"]),
        (lambda w: w.update({"div_lambda": torch.zeros(2)}), ["div_lambda is not part"]),
        (lambda w: w.update({"a": torch.ones(1), "b": torch.ones(1)}), ["a is not part", "b is not part"]),
        (
            rename("cross_attn_layers.1.in_proj_weight", "cross_attn_layers.2.in_proj_weight"),
            ["cross_attn_layers.1.in_proj_weight is missing", "cross_attn_layers.2.in_proj_bias is missing"],
        ),
        (lambda w: w.update({"input_proj.bias": torch.zeros(HIDDEN)}), ["input_proj.bias is not part"]),
        (lambda w: w.pop("query_update_gate.bias"), ["query_update_gate.bias is missing"]),
        (lambda w: w.update({"cand_proj.weight": torch.ones(3, 4)}), ["cand_proj.weight has the shape (3, 4), not"]),
        (
            lambda w: w.update({"cross_attn.in_proj_bias": torch.ones(1)}),
            ["one-layer name and another: cross_attn.in_proj_bias"],
        ),
        (lambda w: w.clear() or w.update({"x": torch.ones(1)}), ["input_proj.weight is missing", "x is not part"]),
        (lambda w: w.update({"query_proj.weight": torch.full((HIDDEN, HIDDEN), torch.nan)}), ["not finite"]),
        (lambda w: w.update({"query_proj.weight": torch.zeros(1).expand(10**6, 10**6)}), ["larger than the file"]),
        (lambda w: w.update({"query_proj.weight": "weights"}), ["query_proj.weight is no tensor"]),
        (lambda w: w.update({"query_proj.weight": torch.ones(16, 16, dtype=torch.int64)}), ["int64"]),
    ],
)
def test_what_does_not_fit_is_listed(tmp_path: Path, change: Any, said: list[str]):
    file = write(tmp_path / "c.pt", v3_value(spoilt(change, layers=2)))
    with pytest.raises(CheckpointError) as caught:
        convert(file, tmp_path / "native", "native")
    assert all(one in str(caught.value) for one in said), caught.value
    assert str(file) in str(caught.value)
    assert not (tmp_path / "native").exists()


def test_weights_outside_the_pointer_network_are_listed(tmp_path: Path):
    value = v2_value(network().state_dict())
    value["state_dict"] |= {"lever_lm.img_adapter.weight": torch.ones(1), "lever_lm.wte.weight": torch.ones(1)}
    with pytest.raises(CheckpointError, match=r"lever_lm\.img_adapter\.weight, lever_lm\.wte\.weight"):
        read_policy(write(tmp_path / "c.ckpt", value))


def test_weights_of_the_encoder_are_left_behind_where_one_says_so(tmp_path: Path):
    module = network()
    value = v2_value(module.state_dict())
    value["state_dict"] |= {"lever_lm.sen_model.weight": torch.full((1,), torch.nan), "lever_lm.other": torch.ones(1)}
    file = write(tmp_path / "c.ckpt", value)
    with pytest.raises(CheckpointError, match=r"lever_lm\.other$"):
        convert(file, tmp_path / "native", "native", leave=["lever_lm.sen_model."])
    done = convert(file, tmp_path / "native", "native", leave=["lever_lm.sen_model.", "lever_lm.other"])
    assert {"lever_lm.sen_model.weight", "lever_lm.other"} < set(done.left)
    assert close(scores_of(load_policy(tmp_path / "native")[0]), published_scores(module))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epoch": "two"}, "field epoch: is not the number of an epoch: 'two'"),
        ({"epoch": True}, "field epoch"),
        ({"phase": 3}, "field phase"),
        ({"phase": "warmup"}, "field phase: is none of sft, supervised, rce, grpo: 'warmup'"),
        ({"kl_beta": float("nan")}, "field kl_beta"),
        ({"kl_beta": 10**400}, "field kl_beta"),
        ({"metrics": [1]}, "field metrics"),
        ({"model_state_dict": []}, "field model_state_dict"),
        ({"state_dict": {}}, "it needs either"),
    ],
    ids=str,
)
def test_a_field_that_is_not_understood_is_named(tmp_path: Path, change: dict[str, Any], said: str):
    file = write(tmp_path / "c.pt", v3_value(dict(network().state_dict())) | change)
    with pytest.raises(CheckpointError) as caught:
        read_policy(file)
    assert said in str(caught.value)


def test_metrics_a_manifest_cannot_hold_are_told(tmp_path: Path):
    value = v3_value(network().state_dict())
    value["metrics"] |= {"curve": [1, 2], "val_loss": float("nan")}
    file = write(tmp_path / "c.pt", value)
    done = convert(file, tmp_path / "native", "native")
    assert set(done.left) == {"metrics.curve", "metrics.val_loss"}
    assert "val_loss" not in load_manifest(tmp_path / "native").metrics


def test_a_folder_that_is_no_checkpoint_is_never_replaced(tmp_path: Path):
    file = write(tmp_path / "c.pt", v3_value(network().state_dict()))
    target = tmp_path / "precious"
    target.mkdir()
    (target / "work.txt").write_text("years of it")
    with pytest.raises(InputError, match="no checkpoint of ours"):
        convert(file, target, "native")
    with pytest.raises(InputError, match="is a folder"):
        convert(file, target, "v2format")
    with pytest.raises(InputError, match="give another target"):
        convert(file, file, "v3")
    assert (target / "work.txt").read_text() == "years of it"


def test_equal_policies_give_equal_files(tmp_path: Path):
    source = native(tmp_path / "native")
    for name in ("a.pt", "b.pt"):
        convert(source, tmp_path / name, "v3")
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_the_examples_choose_different_candidates():
    """Otherwise the memory would not show in the scores."""
    assert len(set(CHOICES)) == len(CHOICES)
    gate, none = network(), network(memory="none")
    assert not close(published_scores(gate)[:, 1], published_scores(none)[:, 1])
