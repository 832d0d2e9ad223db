"""`shotsmith import`: what it prints, as tables and as JSON, what it writes, and where it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from compat.formats import ANNOTATIONS, BEAM, MERGED, QUESTIONS, Size, write_formats
from typer.testing import CliRunner, Result

from shotsmith.cli import app
from shotsmith.compat.files.folder import read_imported

COUNTED = {"rollouts": 40, "rollouts_to_learn_from": 38, "rollouts_left_out": {"failed": 1, "fallback": 1}}


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["import", *map(str, arguments)], env={"COLUMNS": "80"})


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    files = write_formats(tmp_path / "files", Size(queries=10, rows=4))
    rl = json.loads(files["rl_data.json"].read_text())
    first, second, *_ = next(entry for key, entry in rl.items() if key != "_meta")["pointer_candidates"]
    first["eval_failed"], second["vqa_eval_mode"] = True, "fallback"
    files["rl_data.json"].write_text(json.dumps(rl))
    return files


def test_it_reads_writes_and_counts(files: dict[str, Path], tmp_path: Path) -> None:
    names = ("rl_data.json", BEAM, "query_embeddings.pt", "candidates.json", "metrics.json", "train.log")
    given = ("--questions", files[QUESTIONS], "--annotations", files[ANNOTATIONS])
    result = call(*(files[name] for name in names), *given, "--into", tmp_path / "into", "--audit")
    assert result.exit_code == 0, result.output
    assert "rollouts left out: failed 1" in result.stdout and "rollouts left out: fallback 1" in result.stdout
    assert "no_signal_top_3" in result.stdout and "shotsmith run RECIPE --set rollouts=" in result.stdout
    assert max(map(len, result.stdout.replace(str(tmp_path), "").splitlines())) <= 80
    imported = read_imported(tmp_path / "into")
    assert (len(imported.examples), len(imported.rollouts), len(imported.epochs)) == (120, 40, 5)


def test_json_holds_counts_manifest_and_audit(files: dict[str, Path], tmp_path: Path) -> None:
    shown = json.loads(call(files["rl_data.json"], "--into", tmp_path / "into", "--audit", "--json").stdout)
    assert {key: shown["counts"][key] for key in COUNTED} == COUNTED
    assert shown["manifest"]["sources"][0]["file"] == str(files["rl_data.json"])
    faults = {fault["finding"]: fault for fault in shown["audit"]}
    assert faults["failed"]["count"] == 1 and faults["failed"]["examples"][0].endswith("candidate 0")
    assert {"file", "count", "examples", "means"} <= faults["fallback"].keys()


def test_an_audit_alone_writes_nothing(files: dict[str, Path], tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    result = call(files[MERGED], "--audit")
    assert (result.exit_code, sorted(tmp_path.rglob("*"))) == (0, before)
    assert "Nothing found" in result.stdout
    assert json.loads(call("--questions", files[MERGED], "--audit", "--json").stdout)["audit"] == []


def test_images_are_looked_for_where_a_folder_is_named(files: dict[str, Path], tmp_path: Path) -> None:
    result = call("--questions", files[MERGED], "--images", tmp_path, "--into", tmp_path / "into")
    assert result.exit_code == 2 and "COCO_train2014_" in result.stderr


@pytest.mark.parametrize("damaged", ["rl_data.json", "query_embeddings.pt", "train.log", "metrics.json", QUESTIONS])
def test_one_unreadable_file_is_listed_and_the_others_are_imported(
    files: dict[str, Path], tmp_path: Path, damaged: str
) -> None:
    names = ("rl_data.json", BEAM, "query_embeddings.pt", "candidates.json", "metrics.json", "train.log", QUESTIONS)
    whole = files[damaged].read_text(encoding="latin-1")
    files[damaged].write_text(whole.replace("question_id", "number") if damaged == QUESTIONS else whole[:40])
    given = [files[name] for name in (*names, ANNOTATIONS)]
    result = call(*given, "--into", tmp_path / "into", "--audit")
    assert result.exit_code == 0, result.output
    assert f"Not read: {files[damaged]}" in result.stderr
    told = json.loads((tmp_path / "into" / "manifest.json").read_text())
    assert [each["file"] for each in told["unreadable"]] == [str(files[damaged])]
    imported = read_imported(tmp_path / "into")
    assert bool(imported.rollouts) is (damaged != "rl_data.json")
    assert bool(imported.examples) is (damaged != QUESTIONS)
    assert imported.beams
    shown = json.loads(call(*given, "--audit", "--json").stdout)
    assert len(shown["unreadable"]) == 1


def test_where_no_file_can_be_read_nothing_is_written(files: dict[str, Path], tmp_path: Path) -> None:
    for name in ("rl_data.json", "metrics.json"):
        files[name].write_text("{")
    result = call(files["rl_data.json"], files["metrics.json"], "--into", tmp_path / "into")
    assert result.exit_code == 2 and not (tmp_path / "into").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--into FOLDER"),
        (("--audit",), "nothing to import"),
        (("nowhere.json", "--audit"), "nowhere.json: no such file"),
        (("--annotations", "a.json", "--audit"), "without --questions"),
        (("rl_data.json", "--as", "beam", "--audit"), "row 3, field id_list: is missing"),
        (("rl_data.json", "--as", "parquet", "--audit"), "there is no format 'parquet'"),
    ],
)
def test_a_wrong_use_is_refused(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(files["rl_data.json"].parent)
    result = call(*arguments)
    assert result.exit_code == 2
    said = said.replace("row 3", f"row {min(int(key) for key in json.loads(Path('candidates.json').read_text()))}")
    assert said in " ".join(result.stderr.split())
