"""Formats are seen from content; files together give one set of records, kept whole in a folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from compat.formats import ANNOTATIONS, BEAM, EVERY_FORMAT, MERGED, QUESTIONS, write_formats

from shotsmith.compat.files.assemble import assemble, read_examples, read_files
from shotsmith.compat.files.folder import MANIFEST, counts, read_imported, write_imported
from shotsmith.compat.files.recognise import read_file
from shotsmith.compat.files.records import Imported
from shotsmith.errors import DataError, InputError

FORMATS = {
    QUESTIONS: "questions",
    ANNOTATIONS: "annotations",
    MERGED: "merged",
    "anchors.json": "anchors",
    "candidates.json": "candidates",
    BEAM: "beam",
    "lever_lm.json": "beam",
    "rl_data.json": "rl",
    "rl_data_old.json": "rl",
    "metrics.json": "metrics",
    "train.log": "log",
    **{name: "embeddings" for name in EVERY_FORMAT if name.endswith((".pt", ".pth"))},
}
TOGETHER = ("rl_data.json", BEAM, "candidates.json", "query_embeddings.pt", "candidate_embeddings.pt", "metrics.json")
TOGETHER = (*TOGETHER, "train.log", QUESTIONS, ANNOTATIONS)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_formats(tmp_path_factory.mktemp("formats"))


def import_of(files: dict[str, Path], *names: str) -> Imported:
    sources = read_files(files[name] for name in names)
    return assemble(sources, read_examples(sources))


@pytest.mark.parametrize("name", EVERY_FORMAT)
def test_the_format_is_seen_from_the_content_alone(name: str, files: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "file"
    other.write_bytes(files[name].read_bytes())
    assert read_file(other).format == FORMATS[name]
    assert read_file(other, FORMATS[name]).format == FORMATS[name]


@pytest.mark.parametrize("content", ["{}", '{"a": 1}', "[1.5]", '{"1": {"other": 1}}', "", "prose\n"])
def test_what_is_of_no_format_is_refused_by_name(content: str, tmp_path: Path) -> None:
    file = tmp_path / "stranger.json"
    file.write_text(content)
    with pytest.raises(InputError, match=r"stranger\.json"):
        read_file(file)
    with pytest.raises(InputError, match="there is no format 'beams'; there are: beam, rl"):
        read_file(file, "beams")


def test_a_query_that_stands_twice_in_a_file_is_not_lost(tmp_path: Path) -> None:
    file = tmp_path / "candidates.json"
    file.write_text('{"1": [2, 3], "1": [4, 5]}')
    with pytest.raises(InputError, match="the key '1' stands twice"):
        read_file(file)
    file.write_text('{"1": [2, 3], "01": [4, 5]}')
    with pytest.raises(DataError, match="is query 1, as '1' is"):
        read_file(file)


def test_idx_counts_the_questions_sorted_by_id(files: dict[str, Path]) -> None:
    examples = import_of(files, QUESTIONS, ANNOTATIONS).examples
    assert len(examples) == 120
    assert [example.id for example in examples] == sorted(example.id for example in examples)
    assert examples == import_of(files, MERGED).examples
    with pytest.raises(InputError, match="has no file of annotations beside it"):
        import_of(files, QUESTIONS)


def test_old_and_new_rl_data_say_the_same(files: dict[str, Path]) -> None:
    new, old = import_of(files, "rl_data.json"), import_of(files, "rl_data_old.json")
    assert new.rollouts == old.rollouts
    assert all(query.pool is None for query in old.queries)
    cached = import_of(files, "rl_data_old.json", "candidates.json")
    assert [query.pool for query in cached.queries] == [query.pool for query in new.queries]


def test_a_query_stands_in_one_file_only(files: dict[str, Path]) -> None:
    with pytest.raises(DataError, match="more than one file"):
        import_of(files, "rl_data.json", "rl_data_old.json")
    with pytest.raises(DataError, match="already"):
        import_of(files, BEAM, "lever_lm.json")
    with pytest.raises(InputError, match="second file of query embeddings"):
        import_of(files, "query_embeddings.pt", "query_embeddings.pt")


def test_what_points_outside_the_train_split_is_marked(files: dict[str, Path]) -> None:
    imported = import_of(files, "rl_data.json")
    short = replace(imported, embeddings={"candidate": np.ones((60, 4), dtype=np.float32)})
    assert short.rows == 60
    sources = read_files([files["rl_data.json"]])
    examples = import_of(files, QUESTIONS, ANNOTATIONS).examples[:60]
    marked = assemble(sources, examples).rollouts
    assert all((each.left_out == "out_of_range") == (max(each.query, *each.sequence) >= 60) for each in marked)
    assert any(each.left_out for each in marked)


def test_the_folder_holds_everything_and_says_where_it_is_from(files: dict[str, Path], tmp_path: Path) -> None:
    imported = import_of(files, *TOGETHER)
    manifest = write_imported(tmp_path / "into", imported, [(files[name], "any") for name in TOGETHER])
    there = read_imported(tmp_path / "into")
    assert replace(there, embeddings={}) == replace(imported, embeddings={})
    assert there.embeddings.keys() == imported.embeddings.keys()
    assert all(np.array_equal(there.embeddings[role], array) for role, array in imported.embeddings.items())
    assert json.loads((tmp_path / "into" / MANIFEST).read_text()) == manifest
    assert all(len(source["sha256"]) == 64 for source in manifest["sources"])
    assert set(manifest["unknown"].values()) == {"unknown"} and "decoding" in manifest["unknown"]
    assert manifest["counts"] == counts(imported) and manifest["counts"]["rollouts"] == 240


def test_an_import_replaces_an_earlier_one_and_nothing_else(files: dict[str, Path], tmp_path: Path) -> None:
    imported = import_of(files, "metrics.json")
    write_imported(tmp_path / "into", import_of(files, "rl_data.json"), [])
    write_imported(tmp_path / "into", imported, [])
    assert read_imported(tmp_path / "into").rollouts == ()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="not empty"):
        write_imported(tmp_path / "mine", imported, [])
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", ["rollouts.parquet", "queries.parquet", "embeddings.safetensors", "epochs.json"])
def test_a_damaged_folder_is_refused(name: str, files: dict[str, Path], tmp_path: Path) -> None:
    write_imported(tmp_path / "into", import_of(files, *TOGETHER), [])
    (tmp_path / "into" / name).write_bytes(b"damage")
    with pytest.raises(InputError):
        read_imported(tmp_path / "into")
    with pytest.raises(InputError, match="not an import"):
        read_imported(tmp_path)
