"""`make bench`: figures are kept with how they were measured, nothing is measured twice, and a failure is no figure."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SCRIPT = """
import json, pathlib, sys
ran = pathlib.Path(__file__).with_suffix(".ran")
ran.write_text(ran.read_text() + "x" if ran.exists() else "x")
print("a line before")
print(json.dumps({"figures": {"speed": 2.5}, "equal": "--unequal" not in sys.argv}))
sys.exit("--fail" in sys.argv)
"""


@pytest.fixture
def suite(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The suite over scripts of the test's own folder."""
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    module = importlib.import_module("suite")
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "commit", lambda: "abc")
    for name in ("good", "unequal", "failing"):
        (tmp_path / f"{name}.py").write_text(SCRIPT)
    return module


def run(suite: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["suite.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        suite.main()
    return int(ended.value.code or 0)


def test_every_benchmark_of_the_suite_is_a_script_that_prints_json() -> None:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        listed = importlib.import_module("suite").BENCHMARKS
    finally:
        sys.path.remove(str(BENCHMARKS))
    assert len({one.script for one in listed}) == len(listed)
    for one in listed:
        text = (BENCHMARKS / f"{one.script}.py").read_text(encoding="utf-8")
        for option in (*one.full, *(one.quick or ())):
            assert not option.startswith("--") or f'"{option}"' in text or "parser(" in text, (one.script, option)


def test_figures_are_kept_with_command_commit_and_machine(suite, monkeypatch, tmp_path):
    monkeypatch.setattr(suite, "BENCHMARKS", (suite.Benchmark("good", ("--large",), ("--small",)),))
    assert run(suite, monkeypatch) == 0
    kept = json.loads((tmp_path / "results" / "good.json").read_text())
    assert kept["figures"] == {"speed": 2.5} and kept["equal"] and kept["commit"] == "abc"
    assert kept["command"] == ["python", "benchmarks/good.py", "--large"]
    assert kept["machine"]["cpus"] >= 1 and kept["machine"]["memory_gb"] > 0


def test_what_has_figures_of_this_commit_is_not_run_again(suite, monkeypatch, tmp_path):
    monkeypatch.setattr(suite, "BENCHMARKS", (suite.Benchmark("good"),))
    for arguments, times in (((), 1), ((), 1), (("--fresh",), 2)):
        assert run(suite, monkeypatch, *arguments) == 0
        assert len((tmp_path / "good.ran").read_text()) == times
    monkeypatch.setattr(suite, "commit", lambda: "def")
    run(suite, monkeypatch)
    assert len((tmp_path / "good.ran").read_text()) == 3


def test_a_failure_leaves_no_figures_and_the_others_are_run(suite, monkeypatch, tmp_path):
    listed = (
        suite.Benchmark("failing", ("--fail",)),
        suite.Benchmark("unequal", ("--unequal",)),
        suite.Benchmark("good"),
    )
    monkeypatch.setattr(suite, "BENCHMARKS", listed)
    assert run(suite, monkeypatch) == 1
    assert sorted(path.stem for path in (tmp_path / "results").iterdir()) == ["good", "unequal"]
    run(suite, monkeypatch)
    assert len((tmp_path / "unequal.ran").read_text()) == 2, "what was not equal is measured again"


def test_quick_figures_are_kept_apart(suite, monkeypatch, tmp_path):
    listed = (suite.Benchmark("good", quick=("--small",)), suite.Benchmark("unequal"))
    monkeypatch.setattr(suite, "BENCHMARKS", listed)
    assert run(suite, monkeypatch, "--quick") == 0
    assert [path.name for path in (tmp_path / "results-quick").iterdir()] == ["good.json"]
    assert not (tmp_path / "results").exists()
