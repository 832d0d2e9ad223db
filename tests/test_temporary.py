"""Writing destroys nothing of the user's, leaves nothing behind, and says in one line what the disk refuses."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from shotsmith.cli import app
from shotsmith.errors import InputError, WriteError
from shotsmith.files import append_row, replacing, replacing_folder, write_text
from shotsmith.recipe import parse_recipe
from shotsmith.runs import Run
from shotsmith.temporary import clear_all_leftovers

NAMES = ["policy", "*", "[a-z]*", "?olicy", "policy.", ".policy"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_name_and_hidden_folders_beside_it_stay(tmp_path: Path, name: str) -> None:
    beside = [tmp_path / other for other in (".policy.backup", f".{name}.mine", ".ssh", f".{name}.draft")]
    for folder in beside:
        folder.mkdir()
        (folder / "kept").write_text("x")
    for _ in range(2):
        with replacing_folder(tmp_path / name) as temporary:
            (temporary / "a").write_text("new")
    with replacing(tmp_path / f"{name}.txt") as file:
        file.write_text("new")
    assert all((folder / "kept").exists() for folder in beside)
    assert {path.name for path in tmp_path.iterdir()} == {*(folder.name for folder in beside), name, f"{name}.txt"}


def test_a_folder_that_holds_something_else_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis\.tex.* would be lost"), replacing_folder(folder) as temporary:
        (temporary / "a").write_text("new")
    assert [path.name for path in folder.iterdir()] == ["thesis.tex"]
    assert list(tmp_path.iterdir()) == [folder]


KILLED = """
import os, signal, sys
from pathlib import Path
from shotsmith.files import replacing, replacing_folder
with {kind}(Path(sys.argv[1])) as temporary:
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kind", ["replacing", "replacing_folder"])
def test_what_a_killed_writer_left_is_cleared_by_the_next_and_a_living_ones_is_not(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", KILLED.format(kind=kind), str(target)], check=False)
        assert done.returncode == -signal.SIGKILL
        assert len(list(tmp_path.iterdir())) == 1, "the second writer cleared what the first left"
    write = replacing if kind == "replacing" else replacing_folder
    with write(target) as living, write(target) as second:
        assert living.exists() and second.exists()
        clear_all_leftovers(tmp_path)
        assert living.exists()
    assert list(tmp_path.iterdir()) == [target]


def test_a_run_that_goes_on_clears_its_folder(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", parse_recipe({"name": "run", "data": {"world": {}}}))
    place = run.folder / "seed-0" / "grpo"
    place.mkdir(parents=True)
    subprocess.run([sys.executable, "-c", KILLED.format(kind="replacing"), str(place / "state")], check=False)
    assert len(list(place.iterdir())) == 1
    with run.lock():
        assert not list(place.iterdir())


def test_a_kill_between_the_two_renames_loses_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "epoch"
    with replacing_folder(folder) as temporary:
        (temporary / "a").write_text("first")
    rename, calls = Path.replace, []

    def failing(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(KeyboardInterrupt), replacing_folder(folder) as temporary:
        (temporary / "a").write_text("second")
    monkeypatch.undo()
    assert not folder.exists()
    with pytest.raises(RuntimeError), replacing_folder(folder):
        raise RuntimeError
    assert (folder / "a").read_text() == "first"


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700), (0o002, 0o664, 0o775)]
)
def test_files_and_folders_follow_the_umask(tmp_path: Path, umask: int, file: int, folder: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a", "x")
        with replacing_folder(tmp_path / "b") as temporary:
            (temporary / "c").write_text("x")
        assert (tmp_path / "a").stat().st_mode & 0o777 == file
        assert (tmp_path / "b").stat().st_mode & 0o777 == folder
    finally:
        os.umask(before)


def full(*_args: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT])
def test_what_the_disk_refuses_is_one_error_that_names_the_file_and_the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "a.json"
    write_text(path, "old")

    def failing(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", failing)
    for write in (lambda: write_text(path, "new"), lambda: append_row(path, {"a": 1})):
        with pytest.raises(WriteError) as caught:
            write()
        assert str(caught.value) == f"{path}: cannot be written: {os.strerror(code)}"
    assert path.read_text().startswith("old") or path.read_text() == '{"a": 1}\n'
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_beyond_what_may_be_written_is_one_error_from_every_library(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(WriteError, match="too large"):
            write_text(tmp_path / "a", "x" * 100_000)
        with pytest.raises(WriteError, match="too large"), replacing(tmp_path / "b") as temporary:
            save_file({"a": np.zeros(100_000)}, temporary)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_too_long_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="name too long"):
        write_text(tmp_path / ("a" * 256), "x")
    write_text(tmp_path / ("a" * 255), "x")


def test_the_command_line_says_it_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", full)
    done = CliRunner().invoke(
        app, ["world", "make", str(tmp_path / "w"), "--train", "2", "--bank", "2", "--val", "1", "--test", "1", "-q"]
    )
    assert done.exit_code == 1
    assert "No space left on device" in done.stderr and "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_folder_of_somebody_else_is_no_run_to_start_anew(tmp_path: Path) -> None:
    """A recipe of the user's own beside the data: nothing there may be deleted."""
    recipe = parse_recipe({"name": "run", "data": {"world": {}}})
    (tmp_path / "recipe.yaml").write_text("name: mine\ndata: {world: {}}\n")
    (tmp_path / "train.jsonl").write_text("data")
    with pytest.raises(InputError, match="no run"):
        Run.create(tmp_path, recipe, fresh=True)
    assert (tmp_path / "train.jsonl").exists()
