"""No VLM is loaded half: weights that a folder lacks, adds or shapes otherwise are refused by name, on one line."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import small_families
import small_language_models
import small_vlm
import torch
from safetensors.torch import load_file, save_file

from shotsmith.errors import InputError
from shotsmith.recipe import VLMSettings
from shotsmith.vlms.pretrained.loading import load_pretrained

SAVE: dict[str, Callable[[Path], object]] = {
    "the fast way": small_vlm.save_plain,
    **small_families.FAMILIES,
    "llama": small_language_models.save_llama,
    "qwen2": small_language_models.save_qwen2,
}
OTHER_TYPE = {name: "qwen2_vl" if name.startswith(("the fast", "qwen2_5")) else "qwen2_5_vl" for name in SAVE}
OTHER_TYPE |= {"llama": "gpt2", "qwen2": "gpt2"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {name: tmp_path_factory.mktemp("model") for name in SAVE}
    for name, folder in found.items():
        SAVE[name](folder)
    return found


@pytest.fixture(params=SAVE)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def folder(name: str, folders: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(folders[name], tmp_path / "changed"))


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_pretrained(VLMSettings(path=str(folder)))
    said = str(caught.value)
    assert said.startswith(str(folder)) and "\n" not in said
    return said


def test_a_lacking_a_strange_and_a_shrunk_weight_are_refused_by_name(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = folder / "model.safetensors"
    whole = load_file(file)
    name = next(key for key in sorted(whole) if whole[key].ndim == 2 and "layers.1." in key and "mlp" in key)
    rows, columns = whole[name].shape
    ending = name.partition("layers.1.")[2]  # what stands before it may differ between file and model
    for changed, problem in (
        ({key: value for key, value in whole.items() if key != name}, f"lacks weights: *.{ending}"),
        ({**whole, "strange.weight": torch.ones(2)}, "has unexpected weights: *strange.weight"),
        (
            {**whole, name: whole[name][:-1].clone()},
            f"has weights of another shape: *.{ending} ({rows - 1} x {columns}, not {rows} x {columns})",
        ),
    ):
        save_file(changed, file, {"format": "pt"})
        said, (beginning, end) = refusal(folder), problem.split("*")
        assert f": {beginning}" in said and said.endswith(end), said
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_folder_of_another_model_type_is_refused(name: str, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": OTHER_TYPE[name]}))
    refusal(folder)
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "clip"}))
    said = refusal(folder)  # some configurations of VLMs are none that a CLIP can have
    assert "is a 'clip' model" in said or "cannot be loaded as a model of images and text" in said
