"""A run that stopped says why and how to go on, and one that failed at once leaves nothing behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shotsmith import experiment
from shotsmith.attempts import absent_folders, attempt, last_attempt
from shotsmith.cli import app
from shotsmith.errors import InputError, VLMError
from shotsmith.recipe import parse_recipe
from shotsmith.runs import Run
from shotsmith.runs.stages import STAGE_NAMES

WORLD = "{train: 8, val: 4, test: 4, bank: 8}"
RECIPE = f"name: small\ndata: {{world: {WORLD}, train_queries: 4, val_queries: 2, test_queries: 2}}\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(RECIPE)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


def fails_with(error: BaseException | None, monkeypatch: pytest.MonkeyPatch, done: tuple[str, ...] = ()) -> None:
    """The stages that are done before the work ends."""

    def run(_recipe: object, run: Run, _progress: object, _until: object = None) -> None:
        for stage in done:
            run.record(stage, 1.0, 0, 0)
        if error is not None:
            raise error

    monkeypatch.setattr(experiment, "run", run)


@pytest.mark.parametrize(
    "error", [InputError("no such file"), VLMError("is down"), KeyboardInterrupt(), OSError("full")], ids=repr
)
def test_a_run_that_fails_before_anything_is_done_leaves_no_folder(
    error: BaseException, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_with(error, monkeypatch)
    for command in ("run", "embed", "headroom"):
        assert call(command, "small.yaml").exit_code != 0
        assert [entry.name for entry in place.iterdir()] == ["small.yaml"]


def test_a_folder_that_was_there_before_stays_and_so_does_one_with_work_in_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_with(VLMError("is down"), monkeypatch)
    (place / "mine").mkdir()
    assert call("run", "small.yaml", "--out", "mine").exit_code == 1 and (place / "mine").is_dir()
    fails_with(VLMError("is down"), monkeypatch, done=("data",))
    assert call("run", "small.yaml").exit_code == 1
    assert Run.open(Path("runs/small")).is_done("data")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--from", "runs/absent"),
        ("--from", "empty"),
        ("--set", "grpo.bata=1"),
        ("--until", "nowhere"),
        ("--set", "data={okvqa: {train_questions: a, train_images: b, test_questions: c, test_images: d}}"),
    ],
)
def test_faults_of_the_command_make_no_folder(place: Path, arguments: tuple[str, ...]) -> None:
    (place / "empty").mkdir()
    done = call("run", "small.yaml", "--quiet", *arguments)
    assert done.exit_code == 2 and not (place / "runs").exists() and len(done.stderr.splitlines()) == 1
    if arguments[0] == "--from":
        assert "--from" in done.stderr and arguments[1] in done.stderr


@pytest.mark.parametrize(
    ("error", "how", "said"),
    [
        (VLMError("http://me:hunter2@host is down"), "failed", "it failed: http://***@host is down"),
        (KeyboardInterrupt(), "interrupted", "it was interrupted"),
        (None, "finished", "it had done what was asked for (--until)"),
    ],
    ids=["failed", "interrupted", "finished"],
)
def test_show_says_why_a_run_stopped_and_how_to_go_on(
    error: BaseException | None, how: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails_with(error, monkeypatch, done=("data", "embed", "pools"))
    assert (call("pools", "small.yaml").exit_code == 0) == (error is None)
    shown = call("show", "runs/small").stdout
    assert f"Stopped after the stage pools: {said}" in shown
    assert "To go on: shotsmith run runs/small" in shown and "hunter2" not in shown
    told = json.loads(call("show", "runs/small", "--json").stdout)["stopped"]
    assert (told["after"], told["how"]) == ("pools", how)


def test_a_run_that_was_killed_says_so(place: Path) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom shotsmith.attempts import attempt\n"
        "from shotsmith.recipe import parse_recipe\nfrom shotsmith.runs import Run\n"
        "run = Run.create(Path(sys.argv[1]), parse_recipe({'data': {'world': {}}}))\n"
        "with run.lock(), attempt(run.folder):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    command = [sys.executable, "-c", code, str(place / "killed")]
    root = Path(__file__).parent.parent
    assert subprocess.run(command, cwd=root, check=False).returncode == -signal.SIGKILL
    shown = call("show", "killed").stdout
    assert "Stopped before the end of the first stage: it was killed" in shown
    assert "To go on: shotsmith run killed" in shown


def test_a_run_not_begun_and_one_without_a_note_are_shown_too(place: Path) -> None:
    run = Run.create(place / "new", parse_recipe({"data": {"world": {}}}))
    assert "To begin: shotsmith run new" in call("show", "new").stdout
    with run.lock():
        pass
    assert "it left no note of the reason" in call("show", "new").stdout and last_attempt(run.folder) is None


def test_a_done_run_says_nothing_of_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    fails_with(None, monkeypatch, done=STAGE_NAMES)
    assert call("run", "small.yaml", "--quiet").exit_code == 0
    shown = call("show", "runs/small").stdout
    assert "To go on" not in shown and "To begin" not in shown and "topped" not in shown


def test_a_second_run_says_that_there_is_nothing_to_do_and_a_resumed_one_what_it_skips(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fails_with(None, monkeypatch, done=("data", "embed"))
    assert call("embed", "small.yaml", "--quiet").exit_code == 0
    assert "Nothing to do: data, embed are done in runs/small" in call("embed", "small.yaml").stderr
    assert "Skipped, as they are done in runs/small: data, embed" in call("pools", "small.yaml").stderr


def test_a_runs_folder_in_place_of_a_recipe_goes_on_and_another_folder_is_explained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fails_with(None, monkeypatch, done=("data", "embed"))
    assert call("embed", "small.yaml", "--quiet").exit_code == 0
    assert "Nothing to do: data, embed are done in runs/small" in call("embed", "runs/small").stderr
    for command in ("run", "plan", "headroom"):
        other = call(command, ".")
        assert other.exit_code == 2 and "is a folder that holds no run to go on with" in other.stderr
        assert "give a recipe, such as small.yaml" in other.stderr


@pytest.mark.parametrize("version", ["0.0.1", "9.9.9"])
def test_a_run_of_another_version_is_one_clear_line(place: Path, version: str) -> None:
    run = Run.create(place / "run", parse_recipe({"data": {"world": {}}}))
    made = json.loads(run.environment_file.read_text())
    run.environment_file.write_text(json.dumps(made | {"versions": made["versions"] | {"shotsmith": version}}))
    assert call("show", "run").exit_code == 0
    run.recipe_file.write_text(run.recipe_file.read_text() + "from_the_future: 1\n")
    for arguments in (("show", "run"), ("run", "small.yaml", "--out", "run"), ("diagnose", "run")):
        done = call(*arguments)
        assert done.exit_code == 2 and len(done.stderr.splitlines()) == 1
        assert f"was written by shotsmith {version}, and this version cannot go on with it" in done.stderr
        assert "from_the_future" in done.stderr
    run.environment_file.write_text(json.dumps(made))
    assert "was written by" not in call("show", "run").stderr


def test_an_end_is_noted_whatever_ends_the_work(place: Path) -> None:
    folder = place / "deep" / "run"
    made = absent_folders(folder)
    assert made == (folder, place / "deep")
    folder.mkdir(parents=True)
    (folder / "work").write_text("")
    with pytest.raises(ZeroDivisionError), attempt(folder, made):
        _ = 1 / 0
    ended = last_attempt(folder)
    assert ended is not None and (ended.how, ended.error) == ("failed", "division by zero")
