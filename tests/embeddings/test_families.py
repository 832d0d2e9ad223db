"""What every family of encoders owes, checked on a small model of each."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from small_encoders import BOTH, IMAGES, TEXTS

from shotsmith.embeddings.folder import FrozenEncoder
from shotsmith.embeddings.load import BY_MODEL_TYPE, embedding_widths, load_encoder
from shotsmith.errors import InputError
from shotsmith.recipe import EncoderSettings

FAMILIES = {**BOTH, **IMAGES, **TEXTS}
SIZES = [(30, 8), (7, 41), (9, 9), (1, 1), (64, 3)]
TEXT = ["what is this ?", "where", "the colour of a shape " * 9, "", "what colour is the shape ?"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {name: tmp_path_factory.mktemp(name) for name in FAMILIES}
    for name, folder in found.items():
        FAMILIES[name](folder)
    return found


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, paths = tmp_path_factory.mktemp("pictures"), []
    for number, (width, height) in enumerate(SIZES):
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        paths.append(folder / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def settings(name: str, folder: Path, batch_size: int = 3) -> EncoderSettings:
    """The model for what it can embed."""
    side = "path" if name in BOTH else "image" if name in IMAGES else "text"
    return EncoderSettings.model_validate({side: str(folder), "batch_size": batch_size})


def embed(encoder: FrozenEncoder, name: str, pictures: list[Path]) -> list[np.ndarray]:
    """What the family can embed."""
    rows = [encoder.embed_images(pictures)] if name not in TEXTS else []
    return rows + ([encoder.embed_texts(TEXT)] if name not in IMAGES else [])


def test_every_family_in_the_table_has_a_small_model() -> None:
    assert {**BOTH, **IMAGES}.keys() == BY_MODEL_TYPE.keys()


@pytest.mark.parametrize("name", FAMILIES)
def test_rows_have_unit_length_differ_and_do_not_depend_on_the_batch(
    name: str, folders: dict[str, Path], pictures: list[Path]
) -> None:
    batched = embed(load_encoder(settings(name, folders[name])), name, pictures)
    single = embed(load_encoder(settings(name, folders[name], batch_size=1)), name, pictures)
    for rows, alone in zip(batched, single, strict=True):
        assert rows.shape[0] == 5 and rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(rows, alone, atol=1e-5)
        assert min(np.abs(rows[one] - rows[two]).max() for one in range(5) for two in range(one)) > 1e-3


@pytest.mark.parametrize("name", [*BOTH, *TEXTS])
def test_long_texts_are_cut_at_the_length_of_the_model(name: str, folders: dict[str, Path]) -> None:
    encoder = load_encoder(settings(name, folders[name]))
    short, cut, other = (["the colour of a shape the colour"], ["the colour of a shape the colour of a"], ["the a"])
    np.testing.assert_allclose(encoder.embed_texts(short), encoder.embed_texts(cut), atol=1e-6)
    assert np.abs(encoder.embed_texts(short) - encoder.embed_texts(other)).max() > 1e-3


@pytest.mark.parametrize("name", FAMILIES)
def test_the_widths_are_known_without_loading_the_model(
    name: str, folders: dict[str, Path], pictures: list[Path]
) -> None:
    chosen = settings(name, folders[name])
    encoder = load_encoder(chosen)
    found = encoder.embed_images(pictures[:1]).shape[1], encoder.embed_texts(TEXT[:1]).shape[1]
    assert embedding_widths(chosen, unknown=0) == found
    assert (encoder.embed_images([]).shape, encoder.embed_texts([]).shape) == ((0, found[0]), (0, found[1]))


@pytest.mark.parametrize("change", ["lacks weights", "has unexpected weights"])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_folder_with_other_weights_is_refused(
    name: str, change: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "changed"
    shutil.copytree(folders[name], folder)
    weights = load_file(folder / "model.safetensors")
    if change == "lacks weights":
        del weights[max(weights, key=lambda key: (weights[key].ndim > 1, key))]
    else:
        weights["extra.weight"] = next(iter(weights.values())).clone()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=f"changed.*: {change}"):
        load_encoder(settings(name, folder))


@pytest.mark.parametrize("name", FAMILIES)
def test_the_identity_follows_the_files_and_not_where_they_lie(
    name: str, folders: dict[str, Path], tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folders[name], copy)
    before = load_encoder(settings(name, folders[name])).identity
    assert load_encoder(settings(name, copy)).identity == before
    for file in sorted(copy.rglob("*.json")):
        text = file.read_text()
        file.write_text(text + "\n")
        assert load_encoder(settings(name, copy)).identity != before, file
        file.write_text(text)


@pytest.mark.parametrize("name", FAMILIES)
def test_another_arithmetic_is_another_identity(name: str, folders: dict[str, Path], pictures: list[Path]) -> None:
    exact = load_encoder(settings(name, folders[name]))
    rough = load_encoder(settings(name, folders[name]).model_copy(update={"dtype": "bfloat16"}))
    assert rough.identity != exact.identity
    for rows, close in zip(embed(exact, name, pictures), embed(rough, name, pictures), strict=True):
        assert close.dtype == np.float32 and not np.array_equal(rows, close)
        assert (rows * close).sum(axis=1).min() > 0.9


@pytest.mark.parametrize("name", FAMILIES)
def test_loading_a_sound_folder_logs_no_warning(
    name: str, folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    transformers = logging.getLogger("transformers")
    level = transformers.level
    transformers.addHandler(caplog.handler)
    try:
        load_encoder(settings(name, folders[name]))
    finally:
        transformers.removeHandler(caplog.handler)
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert transformers.level == level
