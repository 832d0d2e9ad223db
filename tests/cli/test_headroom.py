"""`shotsmith headroom`: the table, the sentence, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shotsmith import experiment
from shotsmith.cli import app
from shotsmith.completions.store import Store
from shotsmith.evaluation.free import BestFree
from shotsmith.experiment import headroom as measuring
from shotsmith.experiment.headroom import Headroom, Verdict
from shotsmith.records import Completion, Failure


def found(verdict: Verdict, difference: float = 40.0) -> Headroom:
    rows = [
        {"selector": name, "shots": shots, "metric": "vqa_accuracy", "accuracy": value, "low": value, "high": value}
        for name, value in (("zero_shot", 10.0), ("mixed", 43.8), ("oracle", 83.8))
        for shots in (1, "mean")
    ]
    best = BestFree("mixed", "vqa_accuracy", 43.8, 20, 1, 43.8)
    gaps: list[Mapping[str, object]] = [
        {"shots": shots, "difference": difference, "low": difference - 8, "high": difference + 8, "n": 20}
        for shots in (1, "mean")
    ]
    return Headroom(20, (1,), tuple(rows), best, tuple(gaps), verdict, "yes" if verdict == "same_answer" else None, 900)


class _Parts:
    """Nothing is made of a recipe."""

    def explaining(self) -> AbstractContextManager[None]:
        return nullcontext()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[object]:
    """How many queries were asked for, and up to which stage the experiment went before."""
    noted: list[object] = []
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text("name: small\ndata:\n  world: {}\n")
    monkeypatch.setattr(experiment, "run", lambda _recipe, _run, _progress, until: noted.append(until))
    monkeypatch.setattr("shotsmith.experiment.parts.Parts", lambda *_parts: nullcontext(_Parts()))

    def measure(_parts: object, queries: int) -> Headroom:
        noted.append(queries)
        return found("worth")

    monkeypatch.setattr(measuring, "headroom", measure)
    return noted


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["headroom", *arguments], env={"COLUMNS": "100"})


def test_the_table_and_the_verdict_are_printed(asked: list[object]) -> None:
    result = call("small.yaml", "--queries", "20")
    assert result.exit_code == 0 and asked == ["pools", 20]
    *table, last = result.stdout.splitlines()
    assert last.startswith("Worth training: the oracle is 40.0 points [32.0, 48.0] above the best free selector, mixed")
    assert all(any(name in line for line in table) for name in ("zero_shot", "mixed", "oracle"))


def test_json_holds_the_figures_and_the_sentence(asked: list[object]) -> None:
    told = json.loads(call("small.yaml", "--json").stdout)
    assert (told["verdict"], told["best_free"]["selector"], told["gap"]["difference"]) == ("worth", "mixed", 40.0)
    assert told["sentence"].startswith("Worth training") and len(told["val"]) == 6


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (
            "not_worth",
            "Not worth it: the oracle is only 2.0 points [-6.0, 10.0] above the best free selector. Use mixed",
        ),
        ("unclear", "Unclear: the oracle is 2.0 points"),
        ("same_answer", "Every answer to 20 queries is 'yes', whatever was shown"),
        ("nothing_right", "Not one of the answers to 20 queries was right"),
    ],
)
def test_each_verdict_has_its_sentence(
    asked: list[object], monkeypatch: pytest.MonkeyPatch, verdict: Verdict, said: str
) -> None:
    monkeypatch.setattr(measuring, "headroom", lambda _parts, _queries: found(verdict, 2.0))
    assert call("small.yaml").stdout.splitlines()[-1].startswith(said)


def test_a_single_query_is_refused(asked: list[object]) -> None:
    assert call("small.yaml", "--queries", "1").exit_code == 2 and asked == []


def test_failed_prompts_are_told(asked: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(_parts: object, _queries: int) -> Headroom:
        with Store.open(Path("runs/small/completions.sqlite")) as store:
            store.put_many([(f"{n:064x}", Failure("no room", permanent=True)) for n in range(7)], "headroom")
            store.put_many([(f"{n:064x}", Completion("red")) for n in range(900, 903)], "headroom")
        return found("worth")

    monkeypatch.setattr(measuring, "headroom", measure)
    told = json.loads(call("small.yaml", "--json").stdout)["failed_prompts"]
    assert (told["failed"], told["asked"], told["reason"]) == (7, 10, "no room")
    assert "7 of 10 prompts failed: no room" in call("small.yaml").stdout
