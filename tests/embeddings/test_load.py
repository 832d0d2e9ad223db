from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from small_clip import write_tiny_clip
from small_encoders import save_bert, save_dinov2, save_in_hub_cache

from shotsmith.embeddings.cached import embed_examples
from shotsmith.embeddings.embedded import Embedded
from shotsmith.embeddings.folder import FrozenEncoder, Tower
from shotsmith.embeddings.load import BY_FILE, BY_MODEL_TYPE, embedding_widths, load_encoder
from shotsmith.errors import InputError
from shotsmith.recipe import EncoderSettings
from shotsmith.records import Example

TEXTS = ["what is this ?", "where"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A CLIP, a DINOv2, a sentence encoder, and a picture."""
    here = tmp_path_factory.mktemp("folders")
    for name, save in {"clip": write_tiny_clip, "vision": save_dinov2, "sentence": save_bert}.items():
        save(here / name)
    pixels = np.random.default_rng(0).integers(0, 256, (13, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(here / "picture.png")
    return {path.stem: str(path) for path in here.iterdir()}


def test_images_and_texts_may_have_an_encoder_each(folders: dict[str, str]) -> None:
    clip = load_encoder(EncoderSettings(path=folders["clip"]))
    both = load_encoder(EncoderSettings(image=folders["vision"], text=folders["sentence"]))
    texts_only = load_encoder(EncoderSettings(path=folders["clip"], text=folders["sentence"]))
    images_only = load_encoder(EncoderSettings(path=folders["clip"], image=folders["vision"]))
    picture = [Path(folders["picture"])]
    np.testing.assert_array_equal(images_only.embed_texts(TEXTS), clip.embed_texts(TEXTS))
    np.testing.assert_array_equal(texts_only.embed_images(picture), clip.embed_images(picture))
    np.testing.assert_array_equal(both.embed_texts(TEXTS), texts_only.embed_texts(TEXTS))
    np.testing.assert_array_equal(both.embed_images(picture), images_only.embed_images(picture))
    assert not np.array_equal(both.embed_texts(TEXTS)[:, :12], clip.embed_texts(TEXTS))
    assert len({encoder.identity for encoder in (clip, both, texts_only, images_only)}) == 4


def test_the_identity_of_a_pair_follows_either_side_and_which_is_which(folders: dict[str, str], tmp_path: Path) -> None:
    other = str(write_tiny_clip(tmp_path / "other", seed=1))
    pairs = [(folders["clip"], other), (other, folders["clip"]), (folders["clip"], folders["sentence"])]
    identities = {load_encoder(EncoderSettings(image=image, text=text)).identity for image, text in pairs[:2]}
    identities.add(load_encoder(EncoderSettings(image=pairs[2][0], text=pairs[2][1])).identity)
    assert len(identities) == 3
    alone = load_encoder(EncoderSettings(path=other)).identity
    assert load_encoder(EncoderSettings(image=other, text=other)).identity == alone


def test_a_side_that_no_model_embeds_is_named(folders: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"vision' embeds no texts: name a model that does by encoder\.text"):
        load_encoder(EncoderSettings(path=folders["vision"]))
    with pytest.raises(InputError, match=r"sentence' embeds no images: name a model that does by encoder\.image"):
        load_encoder(EncoderSettings(path=folders["sentence"]))


@pytest.mark.parametrize("config", [None, {}, {"model_type": "altclip"}, {"model_type": "align"}, {"model_type": []}])
def test_a_folder_of_another_family_is_refused_and_the_supported_ones_are_named(
    config: dict[str, object] | None, tmp_path: Path
) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=str(tmp_path)) as caught:
        load_encoder(EncoderSettings(path=str(tmp_path)))
    assert all(name in str(caught.value) for name in (*BY_MODEL_TYPE, *BY_FILE, "encoder.precomputed"))
    assert str((config or {}).get("model_type", "no model_type")) in str(caught.value)


def test_a_revision_of_the_hub_is_taken_for_the_model_it_belongs_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    revisions = {"main": write_tiny_clip, "old": lambda folder: write_tiny_clip(folder, seed=1)}
    save_in_hub_cache(tmp_path / "hub", "owner/clip", revisions)
    new, old = (load_encoder(EncoderSettings(path="owner/clip", revision=name)) for name in ("main", "old"))
    assert load_encoder(EncoderSettings(path="owner/clip")).identity == new.identity
    assert old.identity == load_encoder(EncoderSettings(path=str(write_tiny_clip(tmp_path / "same", 1)))).identity
    mixed = load_encoder(EncoderSettings(path="owner/clip", text="owner/clip", text_revision="old"))
    picture = tmp_path / "picture.png"
    Image.new("RGB", (9, 9), (200, 30, 90)).save(picture)
    np.testing.assert_array_equal(mixed.embed_texts(TEXTS), old.embed_texts(TEXTS))
    np.testing.assert_array_equal(mixed.embed_images([picture]), new.embed_images([picture]))
    assert not np.array_equal(mixed.embed_texts(TEXTS), new.embed_texts(TEXTS))
    with pytest.raises(InputError, match=r"field encoder\.text: 'owner/clip' at revision 'none' is neither"):
        load_encoder(EncoderSettings(text="owner/clip", text_revision="none"))


def test_folders_have_no_revisions(folders: dict[str, str]) -> None:
    for path in ("builtin", folders["clip"]):
        with pytest.raises(InputError, match="is a folder and has no revision 'v1'"):
            load_encoder(EncoderSettings(path=path, revision="v1"))


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"image_revision": "old"}, "image_revision is the revision of image"),
        ({"text_revision": "old"}, "text_revision is the revision of text"),
        ({"precomputed": {"texts": "a.npz"}, "text": "x/y"}, "precomputed takes the place of"),
        ({"precomputed": {"texts": "a.npz"}, "path": "x/y"}, "precomputed takes the place of"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(section: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        EncoderSettings.model_validate(section)


def test_a_device_that_does_not_exist_is_an_input_error() -> None:
    with pytest.raises(InputError, match=r"field encoder\.device: device 'cuda:99' cannot be used"):
        load_encoder(EncoderSettings(device="cuda:99"))


def test_a_mean_of_two_widths_is_refused() -> None:
    images, questions = np.zeros((2, 3), dtype=np.float32), np.zeros((2, 4), dtype=np.float32)
    with pytest.raises(InputError, match=r"field encoder\.joined: .*images have 3 numbers, questions 4"):
        Embedded(images, questions, averaged=True)
    assert Embedded(images, questions).joined.shape == (2, 7)


def test_texts_alone_need_no_encoder_of_images(folders: dict[str, str], tmp_path: Path) -> None:
    encoder = load_encoder(EncoderSettings(text=folders["sentence"]))
    bare = [Example(1, (), 1, "where", ("x",))]
    embedded = embed_examples(bare, encoder, tmp_path / "bare", text_only=True)
    np.testing.assert_array_equal(embedded.joined, encoder.embed_texts(["where"]))


def test_the_width_is_a_guess_only_for_what_the_hub_has(folders: dict[str, str]) -> None:
    far = EncoderSettings(path="no/where", text=folders["sentence"])
    assert embedding_widths(far, unknown=99) == (99, 16)


def test_an_embedding_that_is_not_finite_is_an_error_that_names_what_it_is_of(folders: dict[str, str]) -> None:
    sound = load_encoder(EncoderSettings(path=folders["clip"]))
    assert isinstance(sound, FrozenEncoder)
    broken: Tower[str] = Tower(
        2, lambda batch: torch.tensor([[1.0, torch.nan if text == "where" else 0.0] for text in batch])
    )
    with pytest.raises(InputError, match="the embedding of 'where' is not finite"):
        replace(sound, texts=broken).embed_texts(["what", "where"])
