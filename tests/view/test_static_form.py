"""The page as a folder: it opens from disk, says what the server says, is bounded, and replaces itself alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Chromium, browser, needs_chromium
from small_explored import Told, explored_run
from typer.testing import CliRunner

from shotsmith.cli import app
from shotsmith.errors import InputError
from shotsmith.runs import Run
from shotsmith.view.query_list import answered, listing
from shotsmith.view.query_opened import opened
from shotsmith.view.run_data import run_data
from shotsmith.view.static_form import file_of, write_explorer

MARKUP = "</script><img src=x onerror=\"document.title='taken'\"> \u2028 \x00 \u202e 这是什么"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    told = Told(
        question=lambda number: f"{MARKUP} {number}",
        completion=lambda query, selector, shots: f"{MARKUP} {(query + len(selector) * shots) % 3}",
    )
    return explored_run(tmp_path_factory.mktemp("explored"), told)


@pytest.fixture(scope="module")
def folder(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static") / "explorer"
    write_explorer(run, folder)
    return folder


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


def kept(folder: Path, path: str) -> Any:
    """The value that a script of the folder brings."""
    text = (folder / "data" / file_of(path)).read_text(encoding="ascii")
    told = json.loads("[" + text.removeprefix("shotsmith.loaded(").removesuffix(");\n") + "]")
    assert told[0] == path
    return told[1]


def test_the_scripts_hold_what_the_server_answers(run: Run, folder: Path) -> None:
    data = run_data(run)
    listed = kept(folder, "runs/run/queries")
    assert listed.pop("kept") == [1] * 9 and listed == listing(data)
    for shots in (1, 2):
        assert kept(folder, f"runs/run/queries/shots/{shots}") == answered(data, shots)
    for query in data.queries:
        assert kept(folder, f"runs/run/queries/{query.id}") == json.loads(json.dumps(opened(data, query.id)))
        assert (folder / "pictures" / f"test-{query.id}-0.webp").exists()
    written = sorted(file.stem for file in (folder / "pictures").iterdir())
    assert sorted(kept(folder, "runs/run/pictures")) == written
    assert kept(folder, "runs") == [{"name": "run", "title": "explored", "folder": "explored", "status": "created"}]


@needs_chromium
def test_it_opens_from_disk_without_a_server(run: Run, folder: Path, chromium: Chromium) -> None:
    query = run_data(run).queries[0]
    with chromium.page(f"{(folder / 'index.html').as_uri()}#/run/queries") as page:
        page.wait_for("!!document.querySelector('.queries [data-row]')")
        page.press("j")
        page.press("Enter")
        page.wait_for("!!document.querySelector('.opened .selector')")
        page.wait_for("[...document.querySelectorAll('.opened img')].every((one) => one.complete && one.naturalWidth)")
        assert f"#{query.id}" in page.text(".opened .chips") and "</script><img" in page.text(".query h2")
        assert page.evaluate("document.querySelectorAll('.opened section.selector .strip li').length") > 0
        assert page.evaluate("document.querySelectorAll('.opened .buttons, .opened .score').length") == 0
        page.press("1")
        page.wait_for("!!document.querySelector('.panel.live')")
        page.evaluate("location.hash = '#/run/queries?change=fixed'")
        page.wait_for("!!document.querySelector('.queries [aria-pressed=true].fixed')")
        assert page.evaluate("document.title") == "explored · Shotsmith"
        assert page.console == [] and page.foreign_requests("file://") == []
        paths = ["runs/run/queries", "runs/%E4%B8%AD _x/live?lang=en", "runs/A.b-c/queries/-3"]
        found = page.evaluate(f"{json.dumps(paths)}.map((path) => shotsmith.fileOf(path) + '.js')")
        assert found == [file_of(path) for path in paths]


@needs_chromium
def test_what_does_not_fit_is_listed_and_said_not_to_be_there(run: Run, tmp_path: Path, chromium: Chromium) -> None:
    made = write_explorer(run, tmp_path / "explorer", most_bytes=16_000)
    listed = kept(tmp_path / "explorer", "runs/run/queries")
    assert 0 < made.queries < 9 and made.left_out == 9 - made.queries == listed["kept"].count(0)
    assert made.bytes == sum(file.stat().st_size for file in (tmp_path / "explorer").rglob("*") if file.is_file())
    queries = [
        file for file in (tmp_path / "explorer" / "data").iterdir() if file.name.startswith("runs_2frun_2fqueries")
    ]
    assert len(queries) == made.queries + 3
    left, there = (listed["id"][listed["kept"].index(one)] for one in (0, 1))
    with chromium.page(f"{made.index.as_uri()}#/run/queries?id={left}") as page:
        page.wait_for("document.querySelector('.opened article')?.innerText.includes('listed only')")
        page.evaluate(f"location.hash = '#/run/queries?id={there}'")
        page.wait_for("!!document.querySelector('.opened details.selector')")
        page.evaluate("document.querySelectorAll('.opened details').forEach((one) => { one.open = true; })")
        page.wait_for("document.querySelector('.opened .others').innerText.includes('picture not saved')")
        assert page.console == []


def test_fixed_broken_and_unchanged_queries_are_kept_in_turn(tmp_path: Path) -> None:
    run = explored_run(tmp_path, Told(queries=30))
    made = write_explorer(run, tmp_path / "explorer", most_bytes=25_000)
    listed = kept(tmp_path / "explorer", "runs/run/queries")
    columns = answered(run_data(run), listed["default"]["shots"])
    values = [*columns["values"], None]
    counts = {"fixed": 0, "broken": 0, "unchanged": 0}
    sides = (columns["selectors"][name]["value"] for name in ("mixed", "grpo"))
    for there, before, after in zip(listed["kept"], *sides, strict=True):
        one, other = values[before], values[after]
        if there and one is not None and other is not None:
            counts["fixed" if other > one else "broken" if other < one else "unchanged"] += 1
    assert 3 <= sum(counts.values()) == made.queries < 30
    assert counts["fixed"] - counts["broken"] in (0, 1), "none is unchanged in this run"


def test_an_earlier_page_is_replaced_and_nothing_else(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "data" / "old.js").write_text("")
    write_explorer(run, folder)
    assert not (folder / "data" / "old.js").exists()
    other = tmp_path / "mine"
    other.mkdir()
    (other / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt"):
        write_explorer(run, other)
    assert (other / "notes.txt").read_text() == "mine"


def test_the_run_is_left_as_it_is(run: Run, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    write_explorer(run, tmp_path / "explorer")
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


def test_the_command_writes_it_beside_the_report_and_says_how_large(run: Run, tmp_path: Path) -> None:
    arguments = ["report", str(run.folder), "--explorer", "--out", str(tmp_path), "--format", "md"]
    said = CliRunner().invoke(app, arguments)
    assert said.exit_code == 0, said.output
    assert (tmp_path / "explorer" / "index.html").exists()
    assert "index.html" in said.stdout and "MB, 9 queries)" in said.stdout
    told = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert told["explorer"]["queries"] == 9 and told["explorer"]["left_out"] == 0
    assert told["md"] == str(tmp_path / "report.md")


def test_a_run_without_an_evaluation_and_a_log_have_none(tmp_path: Path) -> None:
    run = explored_run(tmp_path)
    run.results.unlink()
    with pytest.raises(InputError, match="is not evaluated yet"):
        write_explorer(run, tmp_path / "explorer")
    log = tmp_path / "train.log"
    log.write_text("epoch 1 loss 2.0\n")
    said = CliRunner().invoke(app, ["report", str(log), "--explorer"])
    assert said.exit_code == 2
