"""The page of runs in a browser: quiet, readable everywhere, and following what runs do."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from browser import Chromium, Page, needs_chromium
from running_server import running
from small_experiment import small_bank_recipe
from watched_worker import Made, epoch_row, working

from shotsmith.attempts import attempt
from shotsmith.recipe import dump_recipe
from shotsmith.runs import Run
from shotsmith.view.app import make_app
from shotsmith.view.opened import OpenedRuns

pytestmark = needs_chromium
STATE = "document.querySelector('.state')?.classList[1]"
CHART = "document.querySelectorAll('.curves figure:first-child .mark').length"
UNNAMED = """
document.querySelectorAll("svg.chart:not([aria-label]), img:not([alt]), [role=progressbar]:not([aria-label])").length
+ [...document.querySelectorAll("button, a, summary")].filter((one) => !(one.innerText || one.ariaLabel)).length
"""
WATCHING = """
window.seen = {};
setInterval(() => {
  for (const one of document.querySelectorAll(".stages .running b")) seen[one.innerText] = true;
  seen.tasks ||= document.querySelectorAll(".task").length;
}, 100);
"""
"""Keeps which stages were shown at work, and whether a task was."""


def app_of(*runs: Run) -> object:
    return make_app(OpenedRuns([run.folder for run in runs]))


def assert_quiet(page: Page, url: str) -> None:
    """Nothing went wrong, nothing was asked elsewhere, nothing is cut off, and everything has a name."""
    assert page.console == []
    assert page.foreign_requests(url) == []
    assert page.overflow() <= 0
    assert page.evaluate(UNNAMED) == 0


@pytest.mark.parametrize(
    ("width", "dark", "language"),
    [(1280, False, "en-US"), (390, False, "en-US"), (1280, True, "zh-CN"), (390, True, "zh-CN")],
)
def test_a_finished_run_is_shown_whole(
    chromium: Chromium, finished: Run, width: int, dark: bool, language: str
) -> None:
    with running(app_of(finished)) as url, chromium.page(url, width, 900, dark=dark, language=language) as page:
        page.wait_for("document.querySelector('.live-findings')?.children.length > 1")
        page.wait_for("document.querySelectorAll('.curves .chart').length === 6")
        assert page.evaluate(STATE) == "done"
        assert page.evaluate("document.querySelectorAll('.stages .done').length") == 8
        assert page.evaluate("document.querySelectorAll('.bars li').length") == 4
        verdict = page.text(".verdict")
        assert "88.0" in verdict and ("beats the best free selector" in verdict) == (language == "en-US")
        assert page.evaluate("document.documentElement.lang") == {"en-US": "en", "zh-CN": "zh-CN"}[language]
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, re.findall(r"\d+", colour))) < 60) == dark
        assert page.evaluate("!document.body.innerText.match(/\\b(live|shell)\\.\\w/)"), "a text is missing"
        assert_quiet(page, url)


def test_language_and_colours_can_be_changed_and_are_kept(chromium: Chromium, finished: Run) -> None:
    with running(app_of(finished)) as url, chromium.page(url) as page:
        page.wait_for("document.querySelectorAll('.bars li').length")
        page.evaluate("document.querySelector('.switches button').click()")
        page.wait_for("document.querySelector('.verdict')?.innerText.includes('点')")
        page.evaluate("document.querySelectorAll('.switches button')[1].click()")
        page.goto(url)
        page.wait_for("document.querySelector('.verdict')?.innerText.includes('点')")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert_quiet(page, url)


def test_a_run_is_followed_from_its_start_to_a_kill(chromium: Chromium, made: Made) -> None:
    run = made()
    with running(app_of(run)) as url, chromium.page(url) as page:
        page.wait_for(f"{STATE} === 'created'")
        assert f"shotsmith run {run.folder}" in page.text()
        with working(run) as worker:
            worker.tell("stage", "train")
            worker.tell("task", "grpo, seed 0", 4, "epoch")
            worker.tell("task", "seed-0/grpo/epoch-001", 40, "prompt")
            worker.tell("advance", 10)
            page.wait_for("document.querySelector('.live-now')?.innerText.includes('10 / 40 prompts')")
            assert page.evaluate(STATE) == "running"
            assert page.text(".stages .running b") == "Training"
            assert page.evaluate("document.querySelectorAll('.task .bar i')[1].style.width") == "25%"
            for epoch in range(3):
                worker.tell("epoch", epoch_row(epoch))
                page.wait_for(f"{CHART} === {epoch + 1}")
            assert page.text(".curves figcaption output") == "best so far 1.200, epoch 2"
            assert page.evaluate("document.querySelectorAll('.curves .ring').length") == 1
            worker.tell("epoch", epoch_row(3, adv_std=0.01))
            page.wait_for("document.querySelector('.finding.fault h3')?.innerText.includes('Hardly any group')")
            worker.process.send_signal(signal.SIGKILL)
            page.wait_for(f"{STATE} === 'killed'")
        assert page.evaluate("document.querySelector('.live-now').hidden")
        assert page.text(".stages .stopped b") == "Data", "the first stage that is not done"
        assert_quiet(page, url)


def test_a_run_is_stopped_after_it_was_asked_for_twice(chromium: Chromium, made: Made) -> None:
    run = made()
    with running(app_of(run)) as url, chromium.page(url) as page, working(run) as worker:
        worker.tell("stage", "train")
        page.click("button.stop")
        page.wait_for("!!document.querySelector('dialog[open]')")
        assert str(worker.pid) in page.text("dialog")
        page.press("Escape")
        page.wait_for("!document.querySelector('dialog')")
        worker.tell("stage", "train")  # it works on
        page.click("button.stop")
        page.click("dialog button.danger")
        page.wait_for(f"{STATE} === 'stopped'")
        assert worker.process.wait(20) != 0
        assert "The run was interrupted" in page.text(".live-head")
        assert_quiet(page, url)


def test_what_failed_is_said_and_does_nothing(chromium: Chromium, made: Made) -> None:
    hostile = "<img src=x onerror=\"document.title='broken into'\"><script>document.title='broken into'</script>"
    run = made("<b onmouseover=alert(1)>&amp; ‮x\u0007")
    with pytest.raises(ValueError), run.lock(), attempt(run.folder):
        run.record("data", 1.0, 0, 0)
        raise ValueError(f"{hostile} \x1b[31m \u202e " + "long " * 3000)
    with running(app_of(run)) as url, chromium.page(url, 390) as page:
        page.wait_for(f"{STATE} === 'failed'")
        assert hostile in page.text("blockquote")
        assert "\\x1b[31m \\u202e" in page.text("blockquote")
        assert len(page.text("blockquote")) < 2000
        page.click("blockquote button")
        page.wait_for("document.querySelector('blockquote').innerText.length > 14000")
        assert "<b onmouseover=alert(1)>&amp; \\u202ex\\x07" in page.text(".folder")
        assert page.evaluate("document.title") == "demo · Shotsmith"
        assert page.evaluate("document.querySelectorAll('main img, main script, main b[onmouseover]').length") == 0
        assert_quiet(page, url)


def test_the_page_says_that_the_server_is_away_and_finds_it_again(chromium: Chromium, made: Made) -> None:
    run = made()
    notice = "!document.querySelector('.notice').hidden && document.querySelector('.notice').innerText"
    with contextlib.ExitStack() as pages:  # the page outlives its server
        with running(app_of(run)) as url:
            page = pages.enter_context(chromium.page(url))
            page.wait_for(f"{STATE} === 'created'")
            assert not page.evaluate(notice)
        assert "does not answer" in page.wait_for(notice)
        assert page.evaluate(STATE) == "created", "what was known stays"
        run.record("data", 1.0, 0, 0)
        with running(app_of(run), int(url.rpartition(":")[2])):
            page.wait_for(f"!({notice})")
            page.wait_for("document.querySelectorAll('.stages .done').length === 1")


def test_runs_are_laid_over_each_other_and_chosen_with_the_keyboard(
    chromium: Chromium, finished: Run, made: Made
) -> None:
    run = made("other", seeds=[0, 1, 2])
    for seed in (0, 1, 2):
        for epoch in range(4):
            run.record_epoch(epoch_row(epoch, seed, val_reward=0.5 + seed + 0.1 * epoch))
    with running(app_of(finished, run)) as url, chromium.page(url) as page:
        lines = "document.querySelectorAll('.curves figure:first-child .line').length"
        page.wait_for(f"{lines} === 5")  # one, and three seeds with their mean
        page.evaluate("document.querySelector('input[name=run-other]').focus()")
        page.press(" ")
        page.wait_for(f"{lines} === 1")
        assert page.evaluate("document.activeElement.name") == "run-other", "the focus stays where it was"
        page.press(" ")
        page.wait_for(f"{lines} === 5")
        page.evaluate("document.querySelector('.runs a:last-child').click()")
        page.wait_for(
            "location.hash === '#/other/live' && document.querySelector('.folder')?.innerText.endsWith('/other')"
        )
        page.wait_for(f"{lines} === 5")
        assert_quiet(page, url)


def test_keys_open_panels_tell_the_keys_and_read_charts(chromium: Chromium, finished: Run) -> None:
    with running(app_of(finished)) as url, chromium.page(url) as page:
        page.wait_for("document.querySelectorAll('.curves .chart').length === 6")
        page.press("?")
        page.wait_for("!!document.querySelector('dialog[open] .keys')")
        page.press("Escape")
        page.wait_for("!document.querySelector('dialog')")
        page.press("1")
        page.wait_for("location.hash === '#/finished/live'")
        for _ in range(20):
            page.press("Tab")
            if page.evaluate("document.activeElement.className") == "tab":
                break
        else:
            raise AssertionError("no tab is reached with the keyboard")
        page.evaluate("document.querySelector('.chart').focus()")
        read = "document.querySelector('.curves figcaption output').textContent"
        page.press("ArrowRight")
        assert page.wait_for(read) == "finished · epoch 0 · 1.000"
        page.press("End")
        page.wait_for(f"{read} === 'finished · epoch 4 · 1.400'")
        page.evaluate("document.querySelector('.chart').blur()")
        page.wait_for(f"{read} === 'best so far 1.400, epoch 4'")
        assert_quiet(page, url)


@pytest.mark.slow
def test_a_real_run_is_watched_to_its_end(chromium: Chromium, tmp_path: Path) -> None:
    recipe = small_bank_recipe().model_dump(mode="json") | {"beam": None}
    recipe |= {"supervised": {"epochs": 0}, "rce": {"epochs": 0}}
    del recipe["beam"]
    (tmp_path / "recipe.yaml").write_text(dump_recipe(type(small_bank_recipe()).model_validate(recipe)))
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "shotsmith", "run", str(tmp_path / "recipe.yaml"), "--out", str(folder), "--quiet"]
    environment = os.environ | {"PYTHONPATH": "src", "OMP_NUM_THREADS": "1"}
    started = subprocess.run([*command, "--until", "data"], env=environment, check=True)
    assert started.returncode == 0
    run = Run.open(folder)
    with running(app_of(run)) as url, chromium.page(url) as page:
        page.wait_for(f"{STATE} === 'paused'")
        page.evaluate(WATCHING)
        process = subprocess.Popen(command, env=environment)
        try:
            page.wait_for(f"{STATE} === 'done'", seconds=240)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
        seen = page.evaluate("window.seen")
        assert {"Training", "Evaluation"} <= seen.keys() and seen["tasks"]
        page.wait_for("document.querySelectorAll('.stages .done').length === 8")
        page.wait_for(f"{CHART} === 4")
        page.wait_for("document.querySelectorAll('.bars li').length > 8")
        assert page.text(".verdict")
        assert_quiet(page, url)
    assert not run.progress_file.exists()
