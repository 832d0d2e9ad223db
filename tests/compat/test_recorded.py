"""RL data in the predecessor's folders are found and imported; what is missing beside them is said."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from compat.formats import BEAM, Size, write_formats

from shotsmith.compat.files.folder import MANIFEST, read_imported
from shotsmith.compat.scripts.arguments import PROMPT, import_once, recorded_files, understand
from shotsmith.errors import InputError

JOB = understand("vqa", "okvqa_local", "0", PROMPT, "rand_sampler", "qwen2.5_vl_3B")
RL_DATA = "rl_data_RandSampler_Qwen2_5-VL-3B-Instruct.json"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A RESULT_DIR as its scripts leave it."""
    files = write_formats(tmp_path / "drawn", Size(train=70, queries=5, rows=4))
    okvqa = tmp_path / "results" / "okvqa"
    for folder, name, target in (
        ("generated_data", "rl_data.json", RL_DATA),
        ("generated_data", BEAM, BEAM),
        ("cache", "query_embeddings.pt", "query_embeddings.pt"),
        ("cache", "candidate_embeddings.pt", "candidate_embeddings.pt"),
    ):
        (okvqa / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy(files[name], okvqa / folder / target)
    return okvqa


def found(place: Path, **more: str) -> list[Path]:
    return recorded_files({"RESULT_DIR": str(place.parent), **more}, JOB)


def test_everything_that_belongs_together_is_found(place: Path):
    names = {file.name for file in found(place)}
    assert names == {RL_DATA, BEAM, "query_embeddings.pt", "candidate_embeddings.pt"}


def test_other_samplers_and_models_are_not_mixed_in(place: Path):
    other = understand("vqa", "okvqa_local", "0", PROMPT, "mix_sampler", "qwen2.5_vl_3B")
    assert recorded_files({"RESULT_DIR": str(place.parent)}, other) == []
    shutil.copy(
        place / "generated_data" / BEAM,
        place / "generated_data" / BEAM.replace("Qwen2.5-VL-3B-Instruct", "flamingo_3B"),
    )
    assert len(found(place)) == 4


def test_a_file_named_by_the_variable_goes_first(place: Path, tmp_path: Path):
    mine = tmp_path / "mine.json"
    shutil.copy(place / "generated_data" / RL_DATA, mine)
    assert found(place, RL_DATA_PATH=str(mine))[0] == mine
    with pytest.raises(InputError, match="RL_DATA_PATH"):
        found(place, RL_DATA_PATH=str(tmp_path / "none.json"))


def test_without_rl_data_nothing_is_found(place: Path):
    (place / "generated_data" / RL_DATA).unlink()
    assert found(place) == []


def test_without_embeddings_rl_data_cannot_be_trained_on(place: Path):
    shutil.rmtree(place / "cache")
    with pytest.raises(InputError, match=r"no .*query_embeddings\.pt beside them"):
        found(place)


def test_several_files_of_beam_data_are_not_guessed_at(place: Path):
    beams = place / "generated_data"
    shutil.copy(beams / BEAM, beams / BEAM.replace("2.5", "2_5"))
    with pytest.raises(InputError, match="several files of beam data"):
        found(place)


def test_the_same_files_are_imported_once(place: Path, tmp_path: Path):
    folder = tmp_path / "imported"
    import_once(found(place), folder)
    before = (folder / MANIFEST).stat().st_mtime_ns
    import_once(found(place), folder)
    assert (folder / MANIFEST).stat().st_mtime_ns == before
    assert len(read_imported(folder).queries) == 5
    shutil.copy(place / "cache" / "query_embeddings.pt", place / "generated_data" / "x.pt")
    import_once(found(place)[:2], folder)
    assert (folder / MANIFEST).stat().st_mtime_ns != before
