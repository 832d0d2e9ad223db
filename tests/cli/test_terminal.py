"""Progress on a terminal and in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from shotsmith.cli.tables import results_table
from shotsmith.cli.terminal import EPOCH_COLUMNS, Lines, Screen, epoch_table, rate
from shotsmith.reports.numbers import counted, duration, figure, figures

ROW = {"seed": 0, "phase": "supervised", "epoch": 12, "loss": -0.00042, "kl": 0.03565, "val/reward": 0.51234}


def rendered(table: object, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_epochs_fit_the_width_whole(width: int) -> None:
    text = rendered(epoch_table([ROW], width), width)
    assert "…" not in text and len(text.splitlines()) == 2
    assert "Val Reward" in text and "0.512" in text and "supervised" in text


@pytest.mark.parametrize("width", [60, 80])
def test_epochs_of_several_seeds_say_whose_they_are_however_narrow(width: int) -> None:
    text = rendered(epoch_table([ROW, ROW | {"seed": 1}], width), width)
    assert "Seed" in text and "…" not in text and len(text.splitlines()) == 3


def test_a_wide_terminal_has_every_column_of_the_predecessor() -> None:
    text = rendered(epoch_table([ROW], 130), 130)
    assert all(heading in text for heading, _, _ in EPOCH_COLUMNS) and "-0.000420" in text


@pytest.mark.parametrize("width", [60, 90])
def test_results_fit_the_width_whole(width: int) -> None:
    test = [
        {"selector": name, "shots": shots, "metric": "vqa_accuracy", "accuracy": 50.0 + n, "low": 45, "high": 55}
        for name in ("grpo_reversed", "image_similar")
        for n, shots in enumerate((1, 2, 3, 4, "mean"))
    ]
    text = rendered(results_table(test, width), width)
    assert len(text.splitlines()) == 4 and "…" not in text
    assert "54.0 (45-55)" in text and all(f"5{n}.0" in text for n in range(5))
    assert ("50.0 (45-55)" in text) == (width == 90)


def test_lines_come_every_ten_seconds_with_rate_and_remaining_time() -> None:
    now, said = 0.0, []
    with Lines(said.append, clock=lambda: now).task("beam search", 100, "prompts") as advance:
        for _ in range(25):
            now += 1
            advance(4)
    assert said == [
        "beam search: 40/100 prompts, 4.0 prompts/s, 15 s left",
        "beam search: 80/100 prompts, 4.0 prompts/s, 5 s left",
        "beam search: 100/100 prompts in 25 s, 4.0 prompts/s",
    ]


def test_a_task_of_a_moment_says_nothing() -> None:
    said: list[str] = []
    with Lines(said.append, clock=lambda: 0.0).task("brief", 2) as advance:
        advance(2)
    assert said == []


def test_a_logged_epoch_has_its_figures_and_no_empty_ones() -> None:
    said: list[str] = []
    Lines(said.append).epoch(ROW)
    assert said == ["seed 0, supervised, epoch 12: train_loss -0.000420, kl 0.0357, val_reward 0.512"]


@pytest.mark.parametrize("width", [60, 100])
def test_the_screen_draws_bars_and_the_last_epochs_within_its_size(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, height=20)
    screen = Screen(console)
    with screen.task("answering prompts", 10, "prompts") as advance:
        advance(5)
        for epoch in range(40):
            screen.epoch({**ROW, "epoch": epoch})
        console.print(screen.picture())
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert "answering prompts" in lines[-1] and "5/10" in lines[-1]
    assert " 39 " in lines[-2] and len(lines) <= 20 and max(len(line) for line in lines) <= width


def test_a_finished_task_leaves_the_screen() -> None:
    console = Console(file=io.StringIO(), width=80)
    with Screen(console) as screen:
        with screen.task("answering prompts", 1) as advance:
            advance(1)
        with console.capture() as captured:
            console.print(screen.picture())
    assert "answering" not in captured.get()


def test_numbers_read_well() -> None:
    assert [figure(value) for value in (None, 3, 0.0062, 17.3, 1e7)] == ["-", "3", "0.00620", "17.30", "1.0e+07"]
    assert figures([5.15152, 5.2, None, 0.04]) == ["5.152", "5.200", "-", "0.040"], "a column has the same decimals"
    assert figures([0.0, 0.00042]) == ["0.000000", "0.000420"] and figure(0.0) == "0"
    assert [counted(n, "query", "queries") for n in (1, 2, 1200)] == ["1 query", "2 queries", "1,200 queries"]
    assert [rate(speed, "it") for speed in (12.34, 0.25, 0.0)] == ["12.3 it/s", "4.0 s/it", "0.0 it/s"]
    assert [duration(seconds) for seconds in (3.2, 125, 3720)] == ["3 s", "2 min 5 s", "1 h 2 min"]
    assert max(len(figure(-(10.0**power))) for power in range(-5, 9)) <= 9
