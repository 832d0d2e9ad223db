"""What is said of a run that lost to what is free, that is undecided, or that has one answer to everything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from shotsmith.cli import app
from shotsmith.completions.store import Store
from shotsmith.diagnosis.diagnose import diagnose
from shotsmith.diagnosis.evidence import evidence_of_run
from shotsmith.evaluation.results import Result, write_results
from shotsmith.evaluation.summary import summarise
from shotsmith.files import write_json
from shotsmith.recipe import parse_recipe
from shotsmith.records import Completion
from shotsmith.reports.content import content
from shotsmith.reports.data import ReportData
from shotsmith.reports.language import LANGUAGES
from shotsmith.reports.markdown import markdown
from shotsmith.runs import Run, show

RIGHT = {"random": 0.3, "mixed": 0.6, "oracle": 0.9}
"""Share of right answers of what is not trained."""


def run_of(folder: Path, trained: float | None, answer: Callable[[int], str] = lambda query: f"a {query % 9}") -> Run:
    """A run whose policy is right so often; where that is None, all are right for the same half of the queries."""
    run = Run.create(folder, parse_recipe({"name": folder.name, "data": {"world": {}}}))
    for epoch in (0, 1, 2):
        figures = {"val_reward": 0.5 + epoch / 10, "frac_reward_zero_std": 0.9, "adv_std": 0.1}
        run.record_epoch({"seed": 0, "phase": "grpo", "epoch": epoch, **figures})
    results = []
    for salt, (name, share) in enumerate({**RIGHT, "grpo": trained or 0.0}.items()):
        for shots in (1, 2):
            for query in range(120):
                right = np.random.default_rng((query, shots, salt)).random() < share if trained else query % 2
                seed = 0 if name == "grpo" else None
                value = float(right)
                results.append(
                    Result(query, name, seed, shots, 0, (), answer(query), value, value, "kind", None, value)
                )
    write_results(run.results, results)
    write_json(run.summary, summarise(results, run.recipe.evaluation))
    return run


def call(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.stderr
    return done.stdout


def said_of(run: Run) -> dict[str, str]:
    """What every command says of the run."""
    return {
        "show": call("show", run.folder),
        "diagnose": call("diagnose", run.folder),
        "diagnose zh": call("diagnose", run.folder, "--lang", "zh"),
        "report": _report(run, "en"),
        "report zh": _report(run, "zh"),
    }


def _report(run: Run, language: str) -> str:
    """The report without its gallery, which needs the images."""
    findings = tuple(diagnose(evidence_of_run(run)))
    return markdown(content(ReportData(show(run), findings=findings), LANGUAGES[language]))


@pytest.mark.parametrize(
    ("share", "verdict", "finding", "chinese"),
    [
        (0.2, "Training did not pay.", "Training did not pay", "训练没有收益"),
        (0.62, "No clear difference.", "Training is not told from what is free", "没有明显差别"),
    ],
)
def test_a_run_that_gained_nothing_is_nowhere_told_to_be_in_order(
    tmp_path: Path, share: float, verdict: str, finding: str, chinese: str
) -> None:
    run = run_of(tmp_path / "mine", share)
    said = said_of(run)
    last = said["show"].rstrip().splitlines()[-1]
    assert last.startswith("grpo ") and "does not beat the best free selector (mixed, " in last
    assert verdict in last and "Use mixed with " in last
    assert finding in said["diagnose"] and finding in said["report"] and verdict.rstrip(".") in said["report"]
    assert chinese in said["diagnose zh"] and chinese in said["report zh"]
    for text in said.values():
        for claim in (
            "nothing to remark on",
            "Nothing found",
            "of the headroom",
            "points between the best free selector",
            "已实现",
            "没有发现",
        ):
            assert claim not in text
    other = run_of(tmp_path / "other", 0.9)
    compared = call("compare", other.folder, run.folder)
    assert f"mine: {last}" in compared and "other: " not in compared.split("Detectable")[0]
    assert "the first is lower: mine: grpo - other: grpo" in compared


def test_a_run_that_gained_is_not_told_to_have_lost(tmp_path: Path) -> None:
    said = said_of(run_of(tmp_path / "mine", 0.85))
    assert " beats the best free selector (mixed, " in said["show"].splitlines()[-1]
    assert "Training did not pay" not in said["diagnose"] and "GRPO reaches" in said["report"]


def test_a_run_with_one_answer_to_everything_is_told_to_read_its_prompt_and_nothing_else(tmp_path: Path) -> None:
    run = run_of(tmp_path / "mine", None, lambda query: "Yes." if query % 3 else "yes")
    said = said_of(run)
    assert said["show"].rstrip().splitlines()[-1].startswith("Every answer to the test queries is 'yes'")
    assert "Every answer is the same" in said["diagnose"] and "shotsmith prompt" in said["diagnose"]
    assert "Every answer to the test queries is 'yes'" in said["report"] and "所有回答都是“yes”" in said["report zh"]
    for text in said.values():
        for claim in (
            "ample more sequences",
            "num_generations=",
            "train for longer",
            "Use Mixed",
            "cannot pay",
        ):
            assert claim not in text
    other = run_of(tmp_path / "other", 0.9)
    assert "mine: Every answer to the test queries is 'yes'" in call("compare", other.folder, run.folder)


def test_one_answer_to_everything_is_seen_while_training(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "mine", parse_recipe({"name": "mine", "data": {"world": {}}}))
    for epoch in (1, 2, 3):
        run.record_epoch({"seed": 0, "phase": "grpo", "epoch": epoch, "frac_reward_zero_std": 0.95, "val_reward": 0.5})
    assert "Sample more sequences" in call("diagnose", run.folder)
    with Store.open(run.completions) as store:
        store.put_many([(f"{n:064x}", Completion("yes")) for n in range(300)], "rollouts/0")
    said = call("diagnose", run.folder)
    assert "All 300 answers of this run so far are 'yes'" in said and "ample more sequences" not in said
