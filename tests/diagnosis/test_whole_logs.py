"""Training logs as a program leaves them, and tables as people write them: only rows of the GRPO table are read."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from shotsmith.compat.log import evidence_of_log
from shotsmith.errors import InputError

COLUMNS = ("Epoch", "Train Loss", "Val Loss", "PPO Loss", "KL", "Adv Std", "Adv Max", "Beta")
EPOCHS = 12


def figures(seed: int = 0) -> list[list[float]]:
    rng = random.Random(seed)
    return [
        [rng.uniform(-1e-3, 1e-3), 5.1 + epoch / 100, rng.uniform(-1e-3, 1e-3), 0.036, 0.0062, 0.009, 0.001]
        for epoch in range(EPOCHS)
    ]


def row(epoch: int, values: list[float]) -> str:
    return f"{epoch:<8}" + "".join(f"{value:<14.5f}" for value in values)


HEADING = f"{COLUMNS[0]:<8}" + "".join(f"{name:<14}" for name in COLUMNS[1:])
RCE = [
    "Phase 1: RCE warm-up",
    "=" * 80,
    "Epoch   Train Loss    Val Loss",
    "-" * 80,
    *(f"{epoch:<8}{9 - epoch:<14.5f}{7 - epoch / 10:<14.5f}" for epoch in range(1, 6)),
    "=" * 80,
    "RCE finished in 12.5 min",
]
DEBUG = [
    "[DEBUG] query 123: 16 candidates, rewards 0.0 .. 2.0",
    "[DEBUG] 3 groups of 640 without contrast",
    "loaded 640 queries | 160 for validation | 2 shots",
    "  3%|2         | 18/640 [00:02<01:20,  7.7it/s]",
    "USE_RANK_ADVANTAGE=false GRPO_LR=5e-5 GRPO_EPOCHS=12 KL_BETA=0.1 RCE_LR=1e-4 RCE_EPOCHS=5",
]


def whole_log(between: int = 0) -> str:
    """What its program prints: debug lines, the RCE table, the table, a line of = and a closing line right after it."""
    lines = [*DEBUG, *RCE, "Phase 2: GRPO", "=" * 110, HEADING, "-" * 110]
    for epoch, values in enumerate(figures(), start=1):
        lines += [*DEBUG[:between], row(epoch, values)]
    return "\n".join([*lines, "=" * 110, "Training finished! best epoch 2 of 12", "12 checkpoints saved", "640 0.5"])


def read(folder: Path, text: str, name: str = "train.log") -> dict[int, float]:
    """Epoch -> val loss."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    evidence = evidence_of_log(path)
    assert all(epoch["phase"] == "grpo" for epoch in evidence.epochs)
    return {epoch["epoch"]: epoch["val_loss"] for epoch in evidence.epochs}


EXPECTED = {epoch: round(values[1], 5) for epoch, values in enumerate(figures(), start=1)}


@pytest.mark.parametrize("between", [0, 2, 4])
def test_an_untrimmed_log_gives_the_epochs_of_grpo_alone(tmp_path: Path, between: int) -> None:
    assert read(tmp_path, whole_log(between)) == EXPECTED
    settings = evidence_of_log(tmp_path / "train.log").settings
    assert (settings["grpo.learning_rate"], settings["rce.learning_rate"]) == (5e-5, 1e-4)


def test_every_figure_of_an_untrimmed_log_is_the_one_printed(tmp_path: Path) -> None:
    read(tmp_path, whole_log())
    names = [name.lower().replace(" ", "_") for name in COLUMNS]
    found = [[epoch[name] for name in names] for epoch in evidence_of_log(tmp_path / "train.log").epochs]
    assert found == [[epoch, *(round(value, 5) for value in values)] for epoch, values in enumerate(figures(), start=1)]


@pytest.mark.parametrize(
    "stamp", ["[2025-12-23 10:00:01][INFO] - ", "2025-12-23 10:00:01,123 INFO: ", "\x1b[32mINFO\x1b[0m ", "\r"]
)
def test_what_a_logging_library_puts_before_each_line_is_passed_over(tmp_path: Path, stamp: str) -> None:
    assert read(tmp_path, "\n".join(stamp + line for line in whole_log(2).splitlines())) == EXPECTED


def test_a_rule_between_rows_does_not_end_the_table(tmp_path: Path) -> None:
    lines = [HEADING, *(part for n, values in enumerate(figures(), 1) for part in (row(n, values), "-" * 40))]
    assert read(tmp_path, "\n".join([*lines, "closing line"])) == EXPECTED


def test_a_remark_behind_a_row_is_passed_over(tmp_path: Path) -> None:
    lines = [HEADING, *(row(n, values) + ("  <- best" if n == 2 else "") for n, values in enumerate(figures(), 1))]
    assert read(tmp_path, "\n".join(lines)) == EXPECTED


@pytest.mark.parametrize("title", ["RCE", "### Phase 1: RCE", "RCE (5 epochs), tau 2.0 -> 0.5"])
def test_the_rce_table_never_stands_for_grpo(tmp_path: Path, title: str) -> None:
    """Not for epochs that both have, nor for those that GRPO does not have."""
    rce = f"{title}\nEpoch Train Loss Val Loss\n1 9.0 8.0\n2 9.0 8.0\n3 9.0 8.0"
    grpo = "GRPO\nEpoch Val Loss KL\n1 5.1 0.1\n2 5.2 0.1"
    for text in (f"{rce}\n\n{grpo}", f"{grpo}\n\n{rce}"):
        assert read(tmp_path, text) == {1: 5.1, 2: 5.2}


def test_a_column_may_say_the_phase(tmp_path: Path) -> None:
    text = "| Phase | Epoch | Val Loss | KL |\n|--|--|--|--|\n| RCE | 1 | 9.0 | - |\n| RCE | 2 | 8.0 | - |\n"
    assert read(tmp_path, text + "| GRPO | 1 | 5.1 | 0.1 |") == {1: 5.1}


def test_a_log_of_rce_alone_has_the_epochs_of_rce(tmp_path: Path) -> None:
    path = tmp_path / "rce.log"
    path.write_text("\n".join(RCE))
    epochs = evidence_of_log(path).epochs
    assert [(epoch["phase"], epoch["epoch"], epoch["val_loss"]) for epoch in epochs][1] == ("rce", 2, 6.8)
    assert len(epochs) == 5


@pytest.mark.parametrize(
    "cell",
    [
        "**7.25686** \N{LEFTWARDS ARROW} smallest",
        "7.25686 \N{LEFTWARDS ARROW} was 8.1",
        "*7.25686*",
        "__7.25686__",
        "`7.25686`",
        "***7.25686***",
        "7.25686 \N{WHITE MEDIUM STAR}",
        "\N{DOWNWARDS ARROW} 7.25686",
        "7.25686 \N{DOWNWARDS ARROW}0.01",
        "7.25686 (best)",
        "7.25686 <- best",
        "**7.25686**\N{WHITE HEAVY CHECK MARK}",
        "+7.25686",
    ],
)
def test_emphasis_arrows_and_remarks_in_cells_are_passed_over(tmp_path: Path, cell: str) -> None:
    table = f"| Epoch | Val Loss \N{DOWNWARDS ARROW} | **KL** |\n|---|---|---|\n| **2** | {cell} | 0.1 |\nNothing more."
    assert read(tmp_path, table, "report.md") == {2: 7.25686}


@pytest.mark.parametrize("epoch", ["2", "**2**", "Epoch 2", "2/50", "2 (best)", "**2** \N{WHITE MEDIUM STAR}", "2.0"])
def test_every_way_to_write_an_epoch_is_read(tmp_path: Path, epoch: str) -> None:
    assert read(tmp_path, f"| Epoch | Val Loss |\n|---|---|\n| {epoch} | 5.1 |") == {2: 5.1}


def test_rows_of_several_epochs_or_of_none_are_passed_over(tmp_path: Path) -> None:
    rows = ("| 1 | 5.1 |", "| 6-20 | 5.2 |", "| ... | ... |", "| mean | 5.3 |", "| 50 | 5.4 |")
    assert read(tmp_path, "\n".join(("| Epoch | Val Loss |", "|---|---|", *rows))) == {1: 5.1, 50: 5.4}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("3 5.1oops 0.1", "field val loss: is not a number"),
        ("3 5.1 0.1 7", "has 4 cells"),
        ("3 5.1", "has 2 cells"),
        ("2.5 5.1 0.1", "field epoch: is not a whole number"),
    ],
)
def test_a_damaged_row_is_still_an_error(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(tmp_path, f"Epoch Val Loss KL\n1 5.1 0.1\n[DEBUG] fine\n{line}\n===\nfinished")


@pytest.mark.parametrize("cell", ["5.1 5.2", "5.1oops", "about 5", "5.1/5.2", "5,1"])
def test_a_cell_that_is_no_single_number_is_still_an_error(tmp_path: Path, cell: str) -> None:
    with pytest.raises(InputError, match="row 3, field val loss: is not a number"):
        read(tmp_path, f"| Epoch | Val Loss |\n|---|---|\n| 1 | {cell} |")
