from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_clip import write_tiny_clip

from shotsmith.builtin import CLIP_PATH
from shotsmith.embeddings.folder import FrozenEncoder
from shotsmith.embeddings.load import load_encoder
from shotsmith.errors import DataError, InputError
from shotsmith.files import digest, file_digest
from shotsmith.recipe import EncoderSettings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> FrozenEncoder:
    return load_encoder(EncoderSettings(path=str(folder), batch_size=2))


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = []
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 256, (12, 10, 3), dtype=np.uint8)
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def test_image_embeddings_have_unit_length_and_do_not_depend_on_the_batch(
    encoder: FrozenEncoder, folder: Path, pictures: list[Path]
) -> None:
    one_by_one = load_encoder(EncoderSettings(path=str(folder), batch_size=1)).embed_images(pictures)
    batched = encoder.embed_images(pictures)
    assert batched.shape == (5, 12) and batched.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(batched, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(batched, one_by_one, atol=1e-6)
    assert np.abs(batched[0] - batched[1]).max() > 1e-3


def test_text_embeddings_do_not_depend_on_padding_and_long_texts_are_cut(encoder: FrozenEncoder) -> None:
    texts = ["what is this ?", "where is this from ?", "what colour is " + "the " * 40]
    together = encoder.embed_texts(texts)
    np.testing.assert_allclose(together, np.concatenate([encoder.embed_texts([text]) for text in texts]), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_nothing_to_embed_gives_no_rows(encoder: FrozenEncoder) -> None:
    assert encoder.embed_images([]).shape == (0, 12)
    assert encoder.embed_texts([]).shape == (0, 12)


def test_progress_counts_every_item(encoder: FrozenEncoder, pictures: list[Path]) -> None:
    amounts: list[int] = []
    encoder.embed_images(pictures, amounts.append)
    assert amounts == [2, 2, 1]


def test_identity_follows_the_files(tmp_path: Path, folder: Path, encoder: FrozenEncoder) -> None:
    assert load_encoder(EncoderSettings(path=str(folder))).identity == encoder.identity
    assert load_encoder(EncoderSettings(path=str(write_tiny_clip(tmp_path, seed=1)))).identity != encoder.identity


def test_a_missing_image_is_named(encoder: FrozenEncoder, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.png"):
        encoder.embed_images([tmp_path / "absent.png"])


def test_a_damaged_configuration_or_preprocessor_is_an_input_error(tmp_path: Path) -> None:
    for file in ("config.json", "preprocessor_config.json", "tokenizer.json", "model.safetensors"):
        folder = write_tiny_clip(tmp_path / file)
        (folder / file).write_bytes((folder / file).read_bytes()[:-9])
        with pytest.raises(InputError, match=str(folder)):
            load_encoder(EncoderSettings(path=str(folder)))


def test_the_identity_of_a_clip_is_the_digest_that_earlier_versions_knew(folder: Path) -> None:
    """Runs of earlier versions go on only where it is."""
    for path, where in {"builtin": CLIP_PATH, str(folder): folder}.items():
        named = sorted(file for file in where.iterdir() if file.suffix in {".json", ".txt", ".safetensors", ".bin"})
        parts = [part for file in named for part in (file.name, file_digest(file))]
        assert load_encoder(EncoderSettings(path=path)).identity == "clip:" + digest(*parts)


def test_an_unknown_hub_id_is_an_input_error() -> None:
    with pytest.raises(InputError, match="no-such-owner/no-such-clip"):
        load_encoder(EncoderSettings(path="no-such-owner/no-such-clip"))
