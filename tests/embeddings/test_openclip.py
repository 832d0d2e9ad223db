"""OpenCLIP's own format. What needs the package is skipped where it is not installed: it brings torchvision with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from small_encoders import save_openclip_config, word_tokenizer

from shotsmith.embeddings.image_text import OPENCLIP_CONFIG
from shotsmith.embeddings.load import embedding_widths, family_of, load_encoder
from shotsmith.errors import InputError
from shotsmith.recipe import EncoderSettings

TEXTS = ["what is this ?", "the", "the colour of a shape " * 9]


def package():
    return pytest.importorskip("open_clip", reason="needs open_clip_torch: pip install 'shotsmith[openclip]'")


def save_openclip(folder: Path) -> None:
    """A model of the real class with random weights, its file as OpenCLIP names it."""
    config = save_openclip_config(folder)
    torch.manual_seed(0)
    model = package().CLIP(**config["model_cfg"])
    save_file(model.state_dict(), folder / "open_clip_model.safetensors", {"format": "pt"})
    word_tokenizer().save_pretrained(folder)


def pictures(folder: Path) -> list[Path]:
    paths = []
    for number, (width, height) in enumerate([(40, 13), (9, 31), (8, 8)]):
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        paths.append(folder / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@torch.no_grad()
def test_embeddings_are_those_of_the_models_own_forward_pass(tmp_path: Path) -> None:
    save_openclip(tmp_path)
    paths = pictures(tmp_path)
    model, transform = package().create_model_from_pretrained(f"local-dir:{tmp_path}")
    tokens = package().get_tokenizer(f"local-dir:{tmp_path}")(TEXTS)
    images, texts, _scale = model.eval()(torch.stack([transform(Image.open(path)) for path in paths]), tokens)
    for batch_size in (1, 2):
        encoder = load_encoder(EncoderSettings(path=str(tmp_path), batch_size=batch_size))
        np.testing.assert_allclose(encoder.embed_images(paths), images, atol=1e-5)
        np.testing.assert_allclose(encoder.embed_texts(TEXTS), texts, atol=1e-5)
    assert np.abs(images[0] - images[1]).max() > 1e-3 and np.abs(texts[0] - texts[1]).max() > 1e-3
    exact = load_encoder(EncoderSettings(path=str(tmp_path)))
    rough = load_encoder(EncoderSettings(path=str(tmp_path), dtype="bfloat16"))
    assert rough.identity != exact.identity
    assert (rough.embed_texts(TEXTS) * exact.embed_texts(TEXTS)).sum(axis=1).min() > 0.9
    assert (rough.embed_images(paths) * exact.embed_images(paths)).sum(axis=1).min() > 0.9


@pytest.mark.parametrize("change", ["a weight too few", "a weight too many", "no weights"])
def test_a_folder_with_other_weights_is_refused(change: str, tmp_path: Path) -> None:
    save_openclip(tmp_path)
    file = tmp_path / "open_clip_model.safetensors"
    weights = load_file(file)
    if change == "a weight too few":
        del weights["visual.proj"]
    else:
        weights["visual.extra"] = torch.zeros(1)
    save_file(weights, file, {"format": "pt"})
    if change == "no weights":
        file.unlink()
    with pytest.raises(InputError, match=f"{tmp_path}.*: cannot be loaded by open_clip"):
        load_encoder(EncoderSettings(path=str(tmp_path)))


def test_the_package_is_asked_for_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_openclip_config(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "open_clip", None)
    with pytest.raises(InputError, match=r"pip install 'shotsmith\[openclip\]'"):
        load_encoder(EncoderSettings(path=str(tmp_path)))


def test_the_widths_are_known_without_the_package(tmp_path: Path) -> None:
    config = save_openclip_config(tmp_path)
    assert embedding_widths(EncoderSettings(path=str(tmp_path)), unknown=0) == (12, 12)
    del config["model_cfg"]["embed_dim"]
    (tmp_path / OPENCLIP_CONFIG).write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"field model_cfg\.embed_dim: is not a whole number"):
        embedding_widths(EncoderSettings(path=str(tmp_path)), unknown=0)


def test_a_folder_in_both_formats_is_a_clip_of_transformers(tmp_path: Path) -> None:
    save_openclip_config(tmp_path)
    assert family_of(tmp_path).name == "openclip"
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    assert family_of(tmp_path).name == "clip"
