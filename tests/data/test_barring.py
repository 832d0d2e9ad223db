from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shotsmith.data import barring
from shotsmith.data.barring import BarringIndex, barred_rows
from shotsmith.records import Example


def stored(file: Path, number: int, content: bytes, image_id: int | None = None) -> Example:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    return Example(number, (file,), number if image_id is None else image_id, "what?", ("red",))


def text(number: int, question: str, image_id: int | None = None) -> Example:
    return Example(number, (), number if image_id is None else image_id, question, ("red",))


def rows_of(queries: list[Example], bank: list[Example]) -> list[list[int]]:
    return [rows.tolist() for rows in barred_rows(queries, bank)]


def test_a_query_is_barred_from_itself_its_image_and_equal_files_and_each_counts_once(tmp_path: Path) -> None:
    query = stored(tmp_path / "query.png", 1, b"same", image_id=10)
    bank = [
        stored(tmp_path / "else.png", 2, b"else"),
        stored(tmp_path / "twin.png", 3, b"same"),
        replace(query, id=4),
        query,
        stored(tmp_path / "other" / "twin.jpg", 5, b"same"),
        stored(tmp_path / "longer.png", 6, b"same and more"),
    ]
    found = BarringIndex(bank).barred([query, bank[0]])
    assert [rows.tolist() for rows in found.rows] == [[1, 2, 3, 4], [0]]
    expected = {"queries": 2, "affected": 2, "itself": 2, "image": 1, "content": 2, "similarity": 0}
    assert found.counts == expected
    stranger = stored(tmp_path / "stranger.png", 9, b"more")
    assert BarringIndex(bank).barred([stranger]).counts["affected"] == 0


def test_one_file_under_two_image_ids_is_found_without_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(barring, "file_digest", None)
    query = stored(tmp_path / "a.png", 1, b"content", image_id=10)
    assert rows_of([query], [replace(query, id=2, image_id=20)]) == [[0]]


def test_only_files_that_share_a_size_with_another_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    digest = barring.file_digest
    monkeypatch.setattr(barring, "file_digest", lambda file: read.append(file.name) or digest(file))
    bank = [stored(tmp_path / f"{size}.png", size, b"x" * size) for size in range(1, 9)]
    queries = [*bank[:4], stored(tmp_path / "five.png", 50, b"y" * 5)]
    assert rows_of(queries, bank) == [[0], [1], [2], [3], []]
    assert sorted(read) == ["5.png", "five.png"]


def test_without_images_equal_texts_are_barred_however_they_are_spaced() -> None:
    bank = [text(1, "good film"), text(2, "good  film "), text(3, "bad film"), text(4, "asked otherwise", image_id=70)]
    found = BarringIndex(bank).barred([text(9, "good film"), text(8, "words", image_id=70), text(3, "else")])
    assert [rows.tolist() for rows in found.rows] == [[0, 1], [3], [2]]
    assert (found.counts["content"], found.counts["itself"]) == (3, 1)


def test_a_text_and_an_image_are_never_equal(tmp_path: Path) -> None:
    image = stored(tmp_path / "a.png", 1, b"x")
    assert rows_of([image], [text(2, "what?")]) == [[]]
    assert rows_of([text(2, "what?")], [image]) == [[]]


def test_a_missing_file_equals_no_other_but_is_still_barred_by_id(tmp_path: Path) -> None:
    gone = Example(1, (tmp_path / "gone.png",), 1, "what?", ("red",))
    there = stored(tmp_path / "there.png", 2, b"x")
    assert rows_of(
        [gone, there], [there, gone, replace(gone, id=3, image_id=3, images=(tmp_path / "gone too.png",))]
    ) == [
        [1],
        [0],
    ]


def unit(*rows: tuple[float, float]) -> np.ndarray:
    matrix = np.array(rows, dtype=np.float32)
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def test_entries_above_the_threshold_are_barred_and_counted_beside_the_others() -> None:
    bank = [text(number, f"text {number}") for number in range(4)]
    found = BarringIndex(bank).barred([bank[0], text(9, "other")])
    embedded = unit((1, 0), (1, 0.1), (0, 1), (-1, 0))
    similar = found.with_similar(unit((1, 0), (0.1, 1)), embedded, 0.9)
    assert [rows.tolist() for rows in similar.rows] == [[0, 1], [2]]
    assert similar.counts == {
        "queries": 2, "affected": 2, "itself": 1, "image": 0, "content": 0, "similarity": 2
    }  # fmt: skip
    assert [rows.dtype for rows in similar.rows] == [np.int64] * 2


def test_similarity_is_compared_in_blocks_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    bank, queries = (unit(*generator.standard_normal((count, 2)).tolist()) for count in (40, 23))
    found = BarringIndex([text(n, f"text {n}") for n in range(40)]).barred([text(n, f"q {n}") for n in range(100, 123)])
    whole = found.with_similar(queries, bank, 0.8)
    monkeypatch.setattr(barring, "_BLOCK", 5)
    parts = found.with_similar(queries, bank, 0.8)
    assert parts.reasons == whole.reasons
    assert all((a == b).all() for a, b in zip(parts.rows, whole.rows, strict=True))


def test_thousands_of_files_of_one_size_are_compared_in_linear_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is read at most once, however many share its size."""
    calls = 0
    digest = barring.file_digest

    def counted(file: Path) -> str:
        nonlocal calls
        calls += 1
        return digest(file)

    monkeypatch.setattr(barring, "file_digest", counted)
    examples = [stored(tmp_path / f"{number}.png", number, os.urandom(8)) for number in range(300)]
    assert all(len(rows) == 1 for rows in barred_rows(examples[:100], examples))
    assert calls == 400


def shows(number: int, *files: Path) -> Example:
    return Example(number, files, 1000 + number, "what?", ("red",))


def test_of_several_images_each_bars_what_shows_it_by_path_or_by_content(tmp_path: Path):
    one, two, three, copy = (tmp_path / name for name in ("one.png", "two.png", "three.png", "copy.png"))
    for file, content in ((one, b"one"), (two, b"two"), (three, b"333"), (copy, b"two")):
        file.write_bytes(content)
    bank = [shows(0, one), shows(1, three, two), shows(2, copy), shows(3, three), text(4, "what?")]
    queries = [shows(9, one, two), shows(8, three), shows(7, copy, copy)]
    assert rows_of(queries, bank) == [[0, 1, 2], [1, 3], [1, 2]]
