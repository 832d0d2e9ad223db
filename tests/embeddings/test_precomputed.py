from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from safetensors.numpy import save_file

from shotsmith.embeddings.cached import embed_examples
from shotsmith.embeddings.load import embedding_widths, load_encoder
from shotsmith.embeddings.precomputed import PrecomputedEncoder, read_embeddings
from shotsmith.errors import DataError, InputError
from shotsmith.recipe import EncoderSettings
from shotsmith.records import Example

IDS = np.array([7, 3, 9], dtype=np.int64)
VECTORS = np.array([[3.0, 4.0], [0.0, 2.0], [-5.0, 0.0]], dtype=np.float32)
UNIT = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)


def write_npy(file: Path, ids: Any, vectors: Any) -> None:
    np.save(file, vectors)
    file.with_name("ids.txt").write_text("\n".join(map(str, ids)) + "\n")


def write_npz(file: Path, ids: Any, vectors: Any) -> None:
    np.savez(file, ids=ids, embeddings=vectors)


def write_safetensors(file: Path, ids: Any, vectors: Any) -> None:
    save_file({"ids": np.asarray(ids), "embeddings": np.asarray(vectors)}, file)


def write_parquet(file: Path, ids: Any, vectors: Any) -> None:
    pq.write_table(pa.table({"id": list(ids), "embedding": [list(map(float, row)) for row in vectors]}), file)


WRITERS: dict[str, Callable[[Path, Any, Any], None]] = {
    ".npy": write_npy,
    ".npz": write_npz,
    ".safetensors": write_safetensors,
    ".parquet": write_parquet,
}


def write(folder: Path, suffix: str, ids: Any = IDS, vectors: Any = VECTORS) -> tuple[Path, Path | None]:
    """The file, and that of the ids where there is one."""
    file = folder / f"texts{suffix}"
    WRITERS[suffix](file, ids, vectors)
    return file, folder / "ids.txt" if suffix == ".npy" else None


def settings(texts: Path, ids: Path | None = None, images: Path | None = None) -> EncoderSettings:
    return EncoderSettings.model_validate({"precomputed": {"texts": texts, "ids": ids, "images": images}})


def examples(*ids: int, image: Path | None = None) -> list[Example]:
    return [Example(number, () if image is None else (image,), number, f"what is {number}?", ("x",)) for number in ids]


@pytest.mark.parametrize("suffix", WRITERS)
def test_rows_are_found_by_id_and_have_unit_length(suffix: str, tmp_path: Path) -> None:
    encoder = load_encoder(settings(*write(tmp_path, suffix)))
    assert isinstance(encoder, PrecomputedEncoder)
    embedded = encoder.embeddings(examples(9, 7, 9))
    np.testing.assert_allclose(embedded.questions, UNIT[[2, 0, 2]], atol=1e-7)
    assert embedded.questions.dtype == np.float32 and embedded.images.shape == (3, 0)


@pytest.mark.parametrize("suffix", WRITERS)
def test_an_example_without_a_row_is_named(suffix: str, tmp_path: Path) -> None:
    encoder = load_encoder(settings(*write(tmp_path, suffix)))
    with pytest.raises(DataError, match=f"texts{suffix}: has no embedding of the example with id 8"):
        encoder.embeddings(examples(7, 8))


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize(
    ("ids", "vectors", "problem"),
    [
        ([7, 3, 7], VECTORS, "row 2, field ids: 7 stands in row 0 already"),
        (IDS, [[1, 2], [np.nan, 0], [1, 1]], "row 1, field embeddings: is not finite"),
        (IDS, [[1, 2], [1, 1], [0, -np.inf]], "row 2, field embeddings: is not finite"),
        (IDS, [[1, 2], [1, 1], [0, 0]], "row 2, field embeddings: is all zeros"),
    ],
)
def test_faulty_rows_are_told_by_number(
    suffix: str, ids: list[int], vectors: list[list[float]], problem: str, tmp_path: Path
) -> None:
    file, told = write(tmp_path, suffix, np.array(ids), np.array(vectors, dtype=np.float32))
    with pytest.raises(DataError, match=problem):
        read_embeddings(file, told)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
@pytest.mark.parametrize(
    ("ids", "vectors", "problem"),
    [
        (IDS[:2], VECTORS, "field ids: 2 ids of 3 embeddings"),
        (IDS, VECTORS[:, 0], "field embeddings: is no matrix of floating-point numbers"),
        (IDS, VECTORS[:, :0], "field embeddings: is no matrix"),
        (IDS, VECTORS.astype(np.int64), "field embeddings: is no matrix of floating-point numbers.*int64"),
        (IDS.astype(np.float32), VECTORS, "field ids: (are no list of whole numbers|is no whole number)"),
    ],
)
def test_arrays_of_another_shape_or_kind_are_refused(
    suffix: str, ids: Any, vectors: Any, problem: str, tmp_path: Path
) -> None:
    file, told = write(tmp_path, suffix, ids, np.ascontiguousarray(vectors))
    with pytest.raises(DataError, match=problem):
        read_embeddings(file, told)


def test_faulty_lines_of_ids_are_told_by_number(tmp_path: Path) -> None:
    file, ids = write(tmp_path, ".npy", [7, "x", 9])
    with pytest.raises(DataError, match=r"ids\.txt, row 1, field ids: is no whole number: 'x'"):
        read_embeddings(file, ids)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"id": [1]}, "field embedding: there is no such column"),
        ({"embedding": [[1.0]]}, "field id: there is no such column"),
        ({"id": [1, 2], "embedding": [[1.0, 2.0], [1.0]]}, "row 1, field embedding: 1 numbers, and row 0 has 2"),
        ({"id": [1, 2], "embedding": [[1.0, 2.0], None]}, "row 1, field embedding: no numbers, and row 0 has 2"),
        ({"id": [1, 2], "embedding": [[1.0, 2.0], [1.0, None]]}, "row 1, field embeddings: is not finite"),
        ({"id": [1, None], "embedding": [[1.0], [1.0]]}, "field ids: are no list of whole numbers"),
        ({"id": [1], "embedding": [1.0]}, "field embedding: holds double, no lists of numbers"),
    ],
)
def test_faulty_parquet_is_told_by_row_and_column(table: dict[str, Any], problem: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(table), tmp_path / "texts.parquet")
    with pytest.raises(DataError, match=problem):
        read_embeddings(tmp_path / "texts.parquet")


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("how", ["damaged", "absent"])
def test_a_damaged_or_absent_file_is_named(suffix: str, how: str, tmp_path: Path) -> None:
    file, ids = write(tmp_path, suffix)
    if how == "damaged":
        file.write_bytes(b"nothing of the kind")
    else:
        file.unlink()
    with pytest.raises(InputError, match=f"texts{suffix}"):
        load_encoder(settings(file, ids))


def test_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "texts.npz", ids=IDS, embeddings=np.array([object()] * 3), allow_pickle=True)
    with pytest.raises(DataError, match="pickle"):
        read_embeddings(tmp_path / "texts.npz")
    write_npz(tmp_path / "several.npz", IDS, VECTORS)
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    (tmp_path / "ids.txt").write_text("1\n2\n3\n")
    with pytest.raises(DataError, match="several arrays"):
        read_embeddings(tmp_path / "several.npy", tmp_path / "ids.txt")


def test_images_have_a_file_of_their_own_and_examples_without_an_image_need_no_row(tmp_path: Path) -> None:
    texts, _ = write(tmp_path, ".npz")
    images = tmp_path / "images.parquet"
    write_parquet(images, [3], [[0, 0, 2]])
    encoder = load_encoder(settings(texts, images=images))
    some = [*examples(9), *examples(3, image=tmp_path / "a.png")]
    np.testing.assert_array_equal(encoder.embeddings(some).images, [[0, 0, 0], [0, 0, 1]])
    with pytest.raises(DataError, match=r"images\.parquet: has no embedding of the example with id 7"):
        encoder.embeddings(examples(7, image=tmp_path / "a.png"))
    assert embedding_widths(settings(texts, images=images), unknown=0) == (3, 2)


def test_embeddings_are_kept_until_a_file_or_an_id_changes(tmp_path: Path) -> None:
    file, _ = write(tmp_path, ".npz")
    kept = tmp_path / "train.safetensors"
    first = embed_examples(examples(7, 3), load_encoder(settings(file)), kept)
    np.testing.assert_allclose(first.questions, UNIT[:2], atol=1e-7)
    renamed = [Example(9, (), 9, one.question, one.answers) for one in examples(7)]
    np.testing.assert_allclose(
        embed_examples([*renamed, *examples(3)], load_encoder(settings(file)), kept).questions, UNIT[[2, 1]], atol=1e-7
    )
    write_npz(file, IDS, VECTORS[::-1])
    np.testing.assert_allclose(
        embed_examples(examples(7, 3), load_encoder(settings(file)), kept).questions, UNIT[[2, 1]], atol=1e-7
    )


def test_a_query_that_is_new_needs_its_embedding_given(tmp_path: Path) -> None:
    encoder = load_encoder(settings(*write(tmp_path, ".npz")))
    with pytest.raises(InputError, match=r"the text 'what\?' has no precomputed embedding.*give its embedding"):
        encoder.embed_texts(["what?"])
    with pytest.raises(InputError, match=r"the image a\.png has no precomputed embedding"):
        encoder.embed_images([Path("a.png")])


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"texts": "a.csv"}, r"a\.csv is none of \.npy"),
        ({"texts": "a.npy"}, "a .npy file holds no ids"),
        ({"texts": "a.npz", "ids": "ids.txt"}, "ids are for .npy files"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(section: dict[str, str], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        EncoderSettings.model_validate({"precomputed": section})
