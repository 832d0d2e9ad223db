from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from small_encoders import IMAGES, save_dino, save_dinov2, save_dinov3
from transformers import AutoImageProcessor, AutoModel

from shotsmith.embeddings.load import load_encoder
from shotsmith.embeddings.vision import dinov3_pixels
from shotsmith.errors import InputError
from shotsmith.recipe import EncoderSettings

SIZES = [(40, 13), (9, 31)]


def pictures(folder: Path) -> list[Path]:
    paths = []
    for number, (width, height) in enumerate(SIZES):
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        paths.append(folder / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def encoder_of(folder: Path):
    return load_encoder(EncoderSettings(image=str(folder)))


@torch.no_grad()
@pytest.mark.parametrize("name", IMAGES)
def test_embeddings_are_the_class_token_of_the_models_own_forward_pass(name: str, tmp_path: Path) -> None:
    IMAGES[name](tmp_path)
    paths = pictures(tmp_path)
    images = [Image.open(path) for path in paths]
    if name.startswith("dinov3"):
        pixels = dinov3_pixels(tmp_path)(images)
    else:
        pixels = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")(images, return_tensors="pt").pixel_values
    options = {"add_pooling_layer": False} if name == "vit" else {}
    own = AutoModel.from_pretrained(tmp_path, **options).eval()(pixel_values=pixels)
    expected = torch.nn.functional.normalize(own.last_hidden_state[:, 0], dim=-1)
    if name != "vit":
        assert torch.equal(own.pooler_output, own.last_hidden_state[:, 0])
    np.testing.assert_allclose(encoder_of(tmp_path).embed_images(paths), expected, atol=1e-6)


def test_pixels_of_dinov3_are_scaled_averaged_over_what_they_cover_and_normalised(tmp_path: Path) -> None:
    save_dinov3(tmp_path)
    config = json.loads((tmp_path / "preprocessor_config.json").read_text())
    levels = np.zeros((16, 16, 3), dtype=np.uint8)
    levels[:, 1::2] = (255, 51, 102)  # every second column, so that half is left where two become one
    pixels = dinov3_pixels(tmp_path)([Image.fromarray(levels)])
    expected = (torch.tensor([0.5, 0.1, 0.2]) - torch.tensor(config["image_mean"])) / torch.tensor(config["image_std"])
    assert pixels.shape == (1, 3, 8, 8)
    torch.testing.assert_close(pixels[0, :, 4, 4], expected, atol=2e-2, rtol=0)


def test_pixels_of_dinov3_are_those_of_its_own_image_processor(tmp_path: Path) -> None:
    pytest.importorskip("torchvision", reason="the image processor of DINOv3 in transformers needs torchvision")
    save_dinov3(tmp_path)
    images = [Image.open(path) for path in pictures(tmp_path)]
    own = AutoImageProcessor.from_pretrained(tmp_path)(images, return_tensors="pt").pixel_values
    torch.testing.assert_close(dinov3_pixels(tmp_path)(images), own, atol=1e-6, rtol=0)


@pytest.mark.parametrize("change", [{"do_rescale": False}, {"size": {"shortest_edge": 8}}, {"do_center_crop": True}])
def test_other_preprocessing_than_that_of_dinov3_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    save_dinov3(tmp_path)
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InputError, match=r"preprocessor_config\.json: does not rescale"):
        encoder_of(tmp_path)


def test_images_that_would_not_fit_in_one_batch_are_refused_at_once(tmp_path: Path) -> None:
    save_dinov2(tmp_path)
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"do_center_crop": False}))
    with pytest.raises(InputError, match="images of different sizes"):
        encoder_of(tmp_path)


@pytest.mark.parametrize("save", [save_dino, save_dinov2])
def test_a_head_for_classification_may_be_there_and_changes_nothing(
    save: Callable[[Path], None], tmp_path: Path
) -> None:
    save(tmp_path)
    paths = pictures(tmp_path)
    before = encoder_of(tmp_path).embed_images(paths)
    weights = load_file(tmp_path / "model.safetensors")
    weights |= {"pooler.dense.weight": torch.ones(16, 16), "classifier.bias": torch.ones(2)}
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    np.testing.assert_array_equal(encoder_of(tmp_path).embed_images(paths), before)
