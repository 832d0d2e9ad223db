"""Every number in the Markdown report is the data's, and text of others stays text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from shotsmith.reports.content import content
from shotsmith.reports.data import Gallery, ReportData
from shotsmith.reports.language import LANGUAGES
from shotsmith.reports.markdown import markdown, plain
from shotsmith.reports.write import write_report
from shotsmith.runs import Run, show

ENGLISH = LANGUAGES["en"]
SHOTS = {"1 shot": 1, "2 shots": 2, "3 shots": 3, "4 shots": 4, "Mean": "mean"}


def text_of(data: ReportData) -> str:
    return markdown(content(data, ENGLISH))


def number_of(section: str, data: ReportData) -> int:
    return content(data, ENGLISH).sections.index(section) + 1


def table_after(text: str, heading: str) -> list[dict[str, str]]:
    """The first table after a heading, as rows by column."""
    lines = text[text.index(f"# {heading}\n") :].splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("|"))
    cells = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        cells.append([cell.strip().strip("*") for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    assert all(len(row) == len(cells[0]) for row in cells)
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def numbers(cell: str) -> list[float]:
    return [float(number) for number in re.findall(r"[-+]?\d+(?:\.\d+)?", cell)]


def test_every_accuracy_is_the_datas(data: ReportData) -> None:
    text = text_of(data)
    for heading, metric in (
        ("2. Accuracy on test queries", "vqa_accuracy"),
        ("The same in another metric: VQA accuracy, always normalised", "vqa_accuracy_normalised"),
    ):
        rows = {row.pop("Selector"): row for row in table_after(text, heading)}
        measured = [row for row in data.shown["test"] if row["metric"] == metric]
        assert sum(len(row) for row in rows.values()) == len(measured)
        for row in measured:
            column = next(name for name, shots in SHOTS.items() if shots == row["shots"])
            accuracy, low, high = numbers(
                rows[ENGLISH.name(row["selector"])][column].replace("[", " ").replace(",", " ")
            )
            assert accuracy == pytest.approx(row["accuracy"], abs=0.051)
            assert (low, high) == pytest.approx((row["low"], row["high"]), abs=0.051)


def test_every_difference_is_the_datas(data: ReportData) -> None:
    text = text_of(data)
    rows = table_after(text, "Differences") + table_after(text, "Differences by number of shots")
    assert len(rows) == len(data.shown["contrasts"])
    for row in data.shown["contrasts"]:
        names = ENGLISH.name(row["a"]), ENGLISH.name(row["b"]), str(row["shots"])
        (shown,) = [r for r in rows if (r["A"], r["B"], r["Shots"]) == names]
        assert numbers(shown["A - B"]) == pytest.approx([row["difference"]], abs=0.051)
        assert numbers(shown["Interval"]) == pytest.approx([row["low"], row["high"]], abs=0.051)
        assert shown["p"] == ("< 0.001" if row["p"] < 0.001 else f"{row['p']:.3f}")


def test_the_ten_best_are_the_ten_best(data: ReportData) -> None:
    text = text_of(data)
    for heading, column, sign in (
        ("By reward on validation queries", "val_reward", -1),
        ("By validation loss", "val_loss", 1),
    ):
        best = sorted(data.shown["epochs"], key=lambda row: sign * row[column])[:10]
        shown = table_after(text, heading)
        assert [(row["Seed"], row["Epoch"]) for row in shown] == [(str(r["seed"]), str(r["epoch"])) for r in best]
        for row, epoch in zip(shown, best, strict=True):
            assert float(row[ENGLISH.name(column)]) == pytest.approx(epoch[column], abs=0.00051)
            assert (
                row["KL"] == "-" if epoch["kl"] is None else float(row["KL"]) == pytest.approx(epoch["kl"], abs=0.00051)
            )
    best = data.shown["best"]["val_reward"]
    full = {
        row["Metric"]: float(row["Value"])
        for row in table_after(text, f"{number_of('metrics', data)}. The best epoch in full")
    }
    for column in ("val_reward", "val_loss", "ppo_loss", "kl", "adv_std", "entropy", "beta"):
        assert full[ENGLISH.name(column)] == pytest.approx(best[column], rel=0.005)
    assert f"/seed-{best['seed']}/{best['phase']}/epoch-{best['epoch']:03d}`" in text


def test_cost_adds_up(data: ReportData) -> None:
    rows = table_after(text_of(data), f"{number_of('cost', data)}. Cost")
    calls = [int(row["VLM calls"].replace(",", "")) for row in rows]
    assert calls[:-1] == [stage["vlm_calls"] for stage in data.shown["stages"]] and calls[-1] == sum(calls[:-1])
    assert f"{calls[-1]:,} VLM calls" in text_of(data)


def test_the_gallery_and_pointing_say_what_the_data_says(data: ReportData) -> None:
    text = text_of(data)
    rows = table_after(text, f"{number_of('gallery', data)}. Gallery")
    assert len(rows) == 24 and {row["Change"] for row in rows} == {"Fixed", "Broken", "Unchanged"}
    assert "797 test queries at 4 shots" in text and "214 are fixed" in text
    first = data.gallery.rows[1] if data.gallery else None
    assert first and rows[1]["Mixed: answer (accuracy)"] == "tarn (30 %)"
    shown = "<br>".join(f"{n}. {d.question} {d.answer}" for n, d in enumerate(first.after.demonstrations, 1))
    assert rows[1]["What GRPO showed, in order"] == shown
    counts = data.pointing[0].counts
    assert f"{100 * sum(counts[:8]) / sum(counts):.0f} % of the chosen demonstrations are among the 8 most" in text


def test_it_says_that_ppo_loss_near_zero_is_normal(data: ReportData) -> None:
    assert "Its sign carries no information" in text_of(data)


def test_hostile_text_stays_text(data: ReportData) -> None:
    assert data.gallery
    hostile = "<script>alert('x')</script> | `a` **b**\n# c"
    row = replace(data.gallery.rows[0], question=hostile, answer="[x](y)")
    text = text_of(replace(data, gallery=Gallery((row,), 4, {"fixed": 1, "broken": 0, "unchanged": 0})))
    (shown,) = table_after(text, f"{number_of('gallery', data)}. Gallery")
    assert "<script" not in text.replace("\\<script", "") and "\n# c" not in text
    assert shown["Query"] == plain(hostile) and shown["Human answers"] == "\\[x\\](y)"


def test_a_new_run_reads_naturally(run: Run) -> None:
    text = write_report(run.folder, ReportData(show(run), findings=()))["md"].read_text()
    for sentence in (
        "Nothing has been trained yet.",
        "No epoch has been trained yet.",
        "The test queries have not been answered yet.",
        "There is no epoch to show a trend.",
        "Nothing to judge yet.",
        "There are no answers to show yet.",
        "It is known only after the evaluation.",
        "No stage has finished yet.",
        "Finish the training",
    ):
        assert sentence in text
    for oddity in ("None", "nan", "{", "inf", "\n\n\n"):
        assert oddity not in text
    assert not re.search(r"^#+ .*\n+(?:<a id.*\n+)?#+ \d", text, flags=re.MULTILINE), "a section has nothing in it"
    assert len(re.findall(r"^## \d+\. ", text, flags=re.MULTILINE)) == 11


def test_a_trained_run_that_is_not_evaluated_says_how_to_go_on(data: ReportData) -> None:
    shown = {**data.shown, "test": [], "contrasts": []}
    text = text_of(ReportData(shown))
    assert "The policy is trained; the test queries have not been answered yet." in text
    assert f"shotsmith evaluate {data.shown['run']}\n" in text
    assert table_after(text, "By validation loss")


def test_the_report_says_how_often_answers_are_copied_where_the_run_knows(data: ReportData) -> None:
    assert data.shown_most is not None
    row = {"selector": data.shown_most.selector, "shots": "mean", "copied": 62.0, "wrong": 11.0, "wrong_copied": 14.0}
    row |= {"last": 58.0, "others": 42.0, "last_shot": 16.2, "low": 11.3, "high": 21.1}
    text = text_of(replace(data, shown={**data.shown, "copying": [row]}))
    assert "- Of its wrong answers (11 %), 14 % repeat a demonstration.\n" in text
    assert "more often than one at another position: 58 % against 42 %, +16.2 points [+11.3, +21.1]" in text
    assert "repeat" not in text_of(replace(data, shown={**data.shown, "copying": []}))
