"""LoRA adapters: what a merged one says is what peft says, and nothing is merged that does not fit."""

from __future__ import annotations

import json
import shutil

import pytest
import small_families
import small_vlm
from peft import PeftModel
from plain_vlm import scored

from shotsmith.errors import InputError
from shotsmith.recipe import VLMSettings
from shotsmith.records import Request
from shotsmith.vlms.load import load_vlm
from shotsmith.vlms.pretrained.loading import load_pretrained


@pytest.fixture(scope="module", params=["qwen2_5_vl", "smolvlm"])
def settings(request, tmp_path_factory):
    """A model and an adapter for it: one that is run the fast way, one the general."""
    folder = tmp_path_factory.mktemp(request.param)
    small_families.FAMILIES[request.param](folder)
    plain = VLMSettings(path=str(folder))
    adapter = small_vlm.write_adapter(tmp_path_factory.mktemp("lora"), load_pretrained(plain).model)
    return plain.model_copy(update={"lora": str(adapter)})


def test_the_merged_model_says_what_peft_s_says(settings, examples):
    pretrained = load_pretrained(settings.model_copy(update={"lora": None}))
    family, prompt = pretrained.model.config.model_type, pretrained.prompt
    requests = [Request(examples[n], tuple(examples[3 : 3 + n]), ("red",), text=False) for n in range(3)]
    plain = load_vlm(settings.model_copy(update={"lora": None})).complete(requests)
    unmerged = PeftModel.from_pretrained(pretrained.model, settings.lora).eval(), pretrained.processor
    for request, merged, without in zip(requests, load_vlm(settings).complete(requests), plain, strict=True):
        expected = scored(unmerged, family, "qwen", prompt, request, "red")
        assert merged.log_probs["red"] == pytest.approx(expected, abs=1e-4)
        assert abs(merged.log_probs["red"] - without.log_probs["red"]) > 1e-3


def test_it_goes_with_a_device_map_and_beams(settings, examples):
    asked = [Request(examples[0], (examples[1],), ("red",))]
    (one,) = load_vlm(settings).complete(asked)
    (other,) = load_vlm(settings.model_copy(update={"device_map": "auto", "num_beams": 2})).complete(asked)
    assert other.log_probs == pytest.approx(dict(one.log_probs), abs=1e-4)


def test_its_content_is_in_the_identity(settings, tmp_path):
    plain = load_pretrained(settings.model_copy(update={"lora": None}))
    copied = shutil.copytree(settings.lora, tmp_path / "copy")
    other = small_vlm.write_adapter(tmp_path / "other", plain.model, seed=1)
    here, there, changed = (
        load_pretrained(settings.model_copy(update={"lora": str(folder)})).identity
        for folder in (settings.lora, copied, other)
    )
    assert here == there
    assert len({here, changed, plain.identity}) == 3


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
@pytest.mark.parametrize("damage", ["gone", "torn"])
def test_a_damaged_folder_is_an_error_that_names_it(settings, tmp_path, name, damage):
    copied = shutil.copytree(settings.lora, tmp_path / "damaged")
    file = copied / name
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match="damaged"):
        load_vlm(settings.model_copy(update={"lora": str(copied)}))


def test_pickled_weights_are_not_read(settings, tmp_path):
    copied = shutil.copytree(settings.lora, tmp_path / "pickled")
    (copied / "adapter_model.safetensors").rename(copied / "adapter_model.bin")
    with pytest.raises(InputError, match="safetensors"):
        load_vlm(settings.model_copy(update={"lora": str(copied)}))


@pytest.mark.parametrize("targets", [["q_proj", "k_proj", "v_proj"], ["no_such_layer"]], ids=str)
def test_an_adapter_of_another_model_is_refused(settings, tmp_path, targets):
    copied = shutil.copytree(settings.lora, tmp_path / "other")
    config = json.loads((copied / "adapter_config.json").read_text())
    (copied / "adapter_config.json").write_text(json.dumps(config | {"target_modules": targets}))
    with pytest.raises(InputError, match="other"):
        load_vlm(settings.model_copy(update={"lora": str(copied)}))


def test_without_peft_it_says_what_to_install(settings, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(InputError, match=r"shotsmith\[lora\]"):
        load_vlm(settings)
