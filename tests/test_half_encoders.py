"""No folder of an encoder is loaded half: what its weights lack, add or shape otherwise is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_encoders import BOTH, IMAGES, TEXTS

from shotsmith.embeddings.load import load_encoder
from shotsmith.errors import InputError
from shotsmith.recipe import EncoderSettings

FAMILIES = {**BOTH, **IMAGES, **TEXTS}
OTHER_TYPE = {name: "siglip" if name == "clip" else "clip" if name in BOTH else "vit" for name in FAMILIES}
OTHER_TYPE |= {"vit": "dinov2", "bert": "llama", "qwen3": "bert", "t5": "bert"}
Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {name: tmp_path_factory.mktemp(name) for name in FAMILIES}
    for name, folder in found.items():
        FAMILIES[name](folder)
    return found


@pytest.fixture
def refused(folders: dict[str, Path], tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Says what is refused in a copy of a family's folder after a change; it must name the folder, on one line."""

    def refusal(name: str, change: Callable[[Path], object]) -> str:
        folder = tmp_path / "changed"
        shutil.copytree(folders[name], folder)
        change(folder)
        side = "path" if name in BOTH else "image" if name in IMAGES else "text"
        with pytest.raises(InputError) as caught:
            load_encoder(EncoderSettings.model_validate({side: str(folder)}))
        said = str(caught.value)
        assert str(folder) in said and "\n" not in said
        return said

    yield refusal


def rewrite(file: Path, change: Callable[[Weights], object]) -> None:
    weights = load_file(file)
    change(weights)
    save_file(weights, file, {"format": "pt"})


def shrink(weights: Weights, name: str) -> None:
    weights[name] = weights[name][:-1].clone()


def matrix(weights: Weights) -> str:
    """A weight of the last layer that every family has."""
    return [name for name in sorted(weights) if weights[name].ndim == 2 and ("fc2" in name or "layer" in name)][-1]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_weight_of_another_shape_is_named_with_both_shapes(name: str, refused: Callable[..., str]) -> None:
    def change(weights: Weights) -> None:
        shapes.append(tuple(weights[matrix(weights)].shape))
        shrink(weights, matrix(weights))

    shapes: list[tuple[int, ...]] = []
    said = refused(name, lambda folder: rewrite(folder / "model.safetensors", change))
    rows, columns = shapes[0]
    assert "has weights of another shape: " in said and f"({rows - 1} x {columns}, not {rows} x {columns})" in said


@pytest.mark.parametrize("name", FAMILIES)
def test_a_folder_that_says_it_is_another_model_is_refused_by_its_weights(
    name: str, refused: Callable[..., str]
) -> None:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"model_type": OTHER_TYPE[name]}))

    assert "weights" in refused(name, change)


@pytest.mark.parametrize("name", FAMILIES)
def test_many_lacking_weights_are_counted(name: str, refused: Callable[..., str]) -> None:
    def change(weights: Weights) -> None:
        for one in sorted(weights)[:5]:
            del weights[one]

    said = refused(name, lambda folder: rewrite(folder / "model.safetensors", change))
    assert ": lacks weights: " in said and said.endswith(" more")


def change_dense(folder: Path, change: Callable[[Weights], object]) -> None:
    file = folder / "2_Dense" / "pytorch_model.bin"
    weights = torch.load(file, weights_only=True)
    change(weights)
    torch.save(weights, file)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda weights: weights.clear(), "weight"),
        (lambda weights: weights.update({"linear.strange": torch.ones(2)}), "strange"),
        (lambda weights: shrink(weights, "linear.weight"), "weight"),
    ],
)
def test_a_dense_layer_is_whole_or_refused_by_the_name_of_its_weight(
    change: Callable[[Weights], object], named: str, refused: Callable[..., str]
) -> None:
    said = refused("t5", lambda folder: change_dense(folder, change))
    assert "2_Dense/pytorch_model.bin: does not hold the weights of the layer" in said and named in said


def test_a_decoder_that_embeds_is_not_taken_for_a_head(tmp_path: Path) -> None:
    """The last hidden state of an encoder-decoder model is its decoder's: a random one would embed every text."""
    from small_encoders import VOCABULARY, _sentence, word_tokenizer
    from transformers import BartConfig, BartModel

    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 24, "decoder_ffn_dim": 24}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 16}
    BartModel(BartConfig(vocab_size=VOCABULARY, **sizes, **heads)).save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    _sentence(tmp_path, {"pooling_mode_mean_tokens": True}, [])

    def change(weights: Weights) -> None:
        del weights["decoder.layers.0.fc1.weight"]

    rewrite(tmp_path / "model.safetensors", change)
    with pytest.raises(InputError, match=r"lacks weights: decoder\.layers\.0\.fc1\.weight"):
        load_encoder(EncoderSettings.model_validate({"text": str(tmp_path)}))
