from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from shotsmith.embeddings.cached import embed_examples
from shotsmith.embeddings.embedded import Embedded, Floats
from shotsmith.errors import InputError
from shotsmith.progress import Advance
from shotsmith.records import Example


class CountingEncoder:
    """Embeds by content; remembers what it was given."""

    def __init__(self, identity: str = "one") -> None:
        self.identity = identity
        self.images: list[Path] = []
        self.texts: list[str] = []

    def embed_images(self, paths: Sequence[Path], advance: Advance = lambda _: None) -> Floats:
        self.images += paths
        return np.array([[path.read_bytes()[0], 1] for path in paths], dtype=np.float32)

    def embed_texts(self, texts: Sequence[str], advance: Advance = lambda _: None) -> Floats:
        self.texts += texts
        return np.array([[len(text), 2, 3] for text in texts], dtype=np.float32)


@pytest.fixture
def examples(tmp_path: Path) -> list[Example]:
    for name in "ab":
        (tmp_path / name).write_bytes(name.encode())
    rows = [("a", "what?"), ("b", "what?"), ("a", "where to?")]
    return [Example(row, (tmp_path / name,), row, question, ("x",)) for row, (name, question) in enumerate(rows)]


def test_rows_follow_the_examples_and_repeated_content_is_embedded_once(
    tmp_path: Path, examples: list[Example]
) -> None:
    encoder = CountingEncoder()
    embedded = embed_examples(examples, encoder, tmp_path / "train.safetensors")
    np.testing.assert_array_equal(embedded.images[:, 0], [ord("a"), ord("b"), ord("a")])
    np.testing.assert_array_equal(embedded.questions[:, 0], [5, 5, 9])
    assert len(encoder.images) == 2 and len(encoder.texts) == 2


def test_a_second_call_asks_the_encoder_nothing(tmp_path: Path, examples: list[Example]) -> None:
    file = tmp_path / "train.safetensors"
    first = embed_examples(examples, CountingEncoder(), file)
    idle = CountingEncoder()
    second = embed_examples(examples, idle, file)
    assert not idle.images and not idle.texts
    np.testing.assert_array_equal(first.joined, second.joined)


@pytest.mark.parametrize("change", ["encoder", "image", "question", "order", "damage", "zeros"])
def test_any_change_recomputes(tmp_path: Path, examples: list[Example], change: str) -> None:
    file, encoder = tmp_path / "train.safetensors", CountingEncoder()
    before = embed_examples(examples, encoder, file)
    again = CountingEncoder("two" if change == "encoder" else "one")
    if change == "image":
        (tmp_path / "a").write_bytes(b"zz")
    elif change == "question":
        examples[1] = replace(examples[1], question="who is it?")
    elif change == "order":
        examples.reverse()
    elif change == "damage":
        file.write_bytes(file.read_bytes()[:50])
    elif change == "zeros":  # as a power loss may leave the end of a file
        file.write_bytes(file.read_bytes()[:-2] + bytes(2))
    after = embed_examples(examples, again, file)
    assert again.images
    assert (change in {"encoder", "damage", "zeros"}) == np.array_equal(before.joined, after.joined)


def test_answers_do_not_matter(tmp_path: Path, examples: list[Example]) -> None:
    file = tmp_path / "train.safetensors"
    embed_examples(examples, CountingEncoder(), file)
    idle = CountingEncoder()
    embed_examples([replace(example, answers=("other",)) for example in examples], idle, file)
    assert not idle.images


def test_a_missing_image_is_named_and_leaves_no_file(tmp_path: Path, examples: list[Example]) -> None:
    (tmp_path / "b").unlink()
    with pytest.raises(InputError, match=str(tmp_path / "b")):
        embed_examples(examples, CountingEncoder(), tmp_path / "train.safetensors")
    assert not (tmp_path / "train.safetensors").exists()


def test_examples_without_an_image_are_seen_by_their_text_alone(tmp_path: Path, examples: list[Example]) -> None:
    some = [replace(examples[0], images=()), *examples[1:]]
    mixed = embed_examples(some, CountingEncoder(), tmp_path / "mixed")
    np.testing.assert_array_equal(mixed.images, [[0, 0], [ord("b"), 1], [ord("a"), 1]])
    bare = [replace(example, images=()) for example in examples]
    for _again in range(2):
        alone = embed_examples(bare, PicturelessEncoder(), tmp_path / "bare", text_only=True)
        assert alone.images.shape == (3, 0) and not alone.has_images
        np.testing.assert_array_equal(alone.joined, alone.questions)
    assert embed_examples(bare, PicturelessEncoder(), tmp_path / "bare").images.shape == (3, 2), "no longer kept"


class PicturelessEncoder(CountingEncoder):
    def embed_images(self, paths: Sequence[Path], advance: Advance = lambda _: None) -> Floats:
        assert not paths
        return np.zeros((0, 2), dtype=np.float32)


class UnitEncoder(CountingEncoder):
    """Images by the angle that the first byte of the file gives, in degrees."""

    def embed_images(self, paths: Sequence[Path], advance: Advance = lambda _: None) -> Floats:
        angles = np.radians([path.read_bytes()[0] for path in paths])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_several_images_are_the_mean_of_their_unit_vectors_of_unit_length_in_any_order(tmp_path: Path) -> None:
    files = {angle: tmp_path / str(angle) for angle in (0, 60, 90, 180)}
    for angle, file in files.items():
        file.write_bytes(bytes([angle]))
    lists = [(60,), (0, 90), (90, 0), (0, 0, 90), (0, 180), ()]
    examples = [Example(n, tuple(files[angle] for angle in some), n, "what?", ("x",)) for n, some in enumerate(lists)]
    found = embed_examples(examples, UnitEncoder(), tmp_path / "several").images
    half, twice = np.sqrt(0.5), np.array([2, 1]) / np.sqrt(5)
    expected = [[0.5, np.sqrt(0.75)], [half, half], [half, half], twice, [0, 0], [0, 0]]
    np.testing.assert_allclose(found[[0, 1, 2, 3, 5]], np.array(expected)[[0, 1, 2, 3, 5]], atol=1e-6)
    assert np.isfinite(found[4]).all() and np.linalg.norm(found[4]) <= 1 + 1e-6, "opposite images"


def test_of_an_example_without_images_the_mean_is_its_text(tmp_path: Path) -> None:
    embedded = Embedded(np.zeros((1, 2), np.float32), np.array([[0.6, 0.8]], np.float32), averaged=True)
    np.testing.assert_allclose(embedded.joined, [[0.6, 0.8]])


def test_embeddings_are_made_anew_when_an_image_is_added_or_moved(tmp_path: Path, examples: list[Example]) -> None:
    a, b = (example.images for example in examples[:2])
    stamps = set()
    for images in (a, a + b, b + a, a + a):
        embed_examples([replace(examples[0], images=images)], CountingEncoder(), tmp_path / "one.safetensors")
        with safe_open(tmp_path / "one.safetensors", "numpy") as file:
            stamps.add(file.metadata()["stamp"])
    assert len(stamps) == 4
