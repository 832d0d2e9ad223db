"""The command line: exit codes, streams, and what each verb hands on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner, Result

import shotsmith
from shotsmith import cli
from shotsmith.cli import app
from shotsmith.errors import DataError, TrainingError
from shotsmith.files import write_json, write_text
from shotsmith.progress import Progress
from shotsmith.recipe import Recipe, WorldSettings
from shotsmith.runs import Run

VERBS = (
    "run",
    "embed",
    "pools",
    "collect",
    "train",
    "rank",
    "evaluate",
    "report",
    "show",
    "prompt",
    "headroom",
    "world make",
)
STAGES = ("data", "embed", "pools", "beam", "train", "rank", "evaluate", "report")
TEST = [
    {"selector": s, "shots": k, "metric": "vqa_accuracy", "accuracy": a, "low": a - 3, "high": a + 3, "n": 8}
    for s, a in (("random", 40.25), ("grpo", 61.5))
    for k in (1, 2, "mean")
]
CONTRASTS = [{"a": "grpo", "b": "random", "shots": "mean", "difference": 21.25, "low": 9, "high": 30, "p": 0.001}]


class Experiment(ModuleType):
    """Stands in for the work itself: notes what it was asked for and leaves the results behind."""

    def __init__(self) -> None:
        super().__init__("shotsmith.experiment")
        self.asked: list[object] = []
        self.fails: BaseException | None = None

    def run(self, recipe: Recipe, run: Run, progress: Progress, until: str | None = None) -> None:
        self.asked.append((recipe, run.folder, until))
        with progress.task("answering", 2, "prompts") as advance:
            advance(2)
        progress.epoch({"seed": 0, "phase": "grpo", "epoch": 1, "val_reward": 0.5})
        if self.fails:
            raise self.fails
        for stage in STAGES[: STAGES.index(until or "report") + 1]:
            self.stage(run, stage, progress)

    def stage(self, run: Run, name: str, progress: Progress, recipe: Recipe | None = None) -> None:
        self.asked.append(name)
        run.record(name, 1.0, 0, 0)
        if name == "train":
            for epoch in (1, 2):
                run.record_epoch({"seed": 0, "phase": "grpo", "epoch": epoch, "val_reward": epoch / 4, "kl": 0.01})
        elif name == "rank":
            write_json(run.ranking, {"val_reward": run.epochs()[::-1], "val_loss": []})
        elif name == "evaluate":
            write_json(run.summary, {"test": TEST, "contrasts": CONTRASTS})
        elif name == "report":
            write_text(run.report_html, "<p>")
            write_text(run.report_markdown, "#")


@pytest.fixture
def experiment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Experiment]:
    stand_in = Experiment()
    monkeypatch.setitem(sys.modules, "shotsmith.experiment", stand_in)
    monkeypatch.setattr(shotsmith, "experiment", stand_in, raising=False)
    yield stand_in


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.yaml"
    path.write_text("name: small\ndata:\n  world: {}\n")
    return path


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "100"})


def test_run_does_everything_and_prints_the_result_and_where_the_report_is(
    experiment: Experiment, recipe: Path
) -> None:
    result = call("run", recipe)
    assert result.exit_code == 0
    assert experiment.asked[0][1:] == (Path("runs/small"), None)
    for part in ("grpo", "61.5 (58-64)", "40.2 (37-43)", "mean", "runs/small/report.html"):
        assert part in result.stdout
    assert "epoch 1" in result.stderr and "epoch 1" not in result.stdout


@pytest.mark.parametrize("arguments", [("run", "small.yaml"), ("show", "runs/small"), ("evaluate", "runs/small")])
def test_the_last_line_compares_with_the_best_free_selector(
    experiment: Experiment, recipe: Path, arguments: tuple[str, str]
) -> None:
    call("run", recipe)
    *_, last = call(*arguments).stdout.splitlines()
    assert last.startswith("grpo 61.5 % beats the best free selector (random, 40.2 %) by 21.2 points [")
    CONTRASTS[0].update(low=-9)
    try:
        call("evaluate", "runs/small")
        *_, last = call(*arguments).stdout.splitlines()
        assert last.startswith("grpo 61.5 % does not beat the best free selector (random, 40.2 %): +21.2 points [")
        assert last.endswith("No clear difference. Use random with 1 shot, without training: 40.2 %.")
    finally:
        CONTRASTS[0].update(low=9)


def test_overrides_out_and_until_reach_the_experiment(experiment: Experiment, recipe: Path) -> None:
    result = call("run", recipe, "--set", "grpo.beta=0.5", "--set", "seeds=[3]", "--out", "here", "--until", "pools")
    assert result.exit_code == 0
    given, folder, until = experiment.asked[0]
    assert (given.grpo.beta, given.seeds, folder, until) == (0.5, (3,), Path("here"), "pools")
    assert "not evaluated yet" in result.stdout


@pytest.mark.parametrize(
    ("verb", "stage"), [("embed", "embed"), ("pools", "pools"), ("collect", "beam"), ("train", "train")]
)
def test_stage_verbs_run_up_to_their_stage(experiment: Experiment, recipe: Path, verb: str, stage: str) -> None:
    assert call(verb, recipe, "--quiet").exit_code == 0
    assert experiment.asked[0][2] == stage


@pytest.mark.parametrize("verb", ["rank", "evaluate"])
def test_late_verbs_redo_one_stage_under_the_lock(experiment: Experiment, recipe: Path, verb: str) -> None:
    call("run", recipe)
    experiment.asked.clear()
    result = call(verb, "runs/small")
    assert (result.exit_code, experiment.asked) == (0, [verb])
    assert {"rank": "0.500", "evaluate": "+21.2"}[verb] in result.stdout
    with Run.open(Path("runs/small")).lock():
        held = call(verb, "runs/small")
    assert held.exit_code == 1 and "in use by another process" in held.stderr


def test_skip_bad_is_a_setting_of_the_recipe(experiment: Experiment, recipe: Path) -> None:
    assert CliRunner().invoke(app, ["run", str(recipe), "--skip-bad", "--quiet"]).exit_code == 0
    ((given, *_),) = [asked for asked in experiment.asked if isinstance(asked, tuple)]
    assert given.data.skip_bad


def test_json_is_pure_on_stdout(experiment: Experiment, recipe: Path) -> None:
    shown = json.loads(call("run", recipe, "--json").stdout)
    assert shown == json.loads(call("show", "runs/small", "--json").stdout)
    assert (shown["status"], shown["test"], shown["contrasts"]) == ("done", TEST, CONTRASTS)
    evaluated = json.loads(call("evaluate", "runs/small", "--json").stdout)
    assert (evaluated["test"], evaluated["contrasts"]) == (TEST, CONTRASTS)
    assert json.loads(call("rank", "runs/small", "--json").stdout) == {
        "val_reward": [{"seed": 0, "phase": "grpo", "epoch": e, "val_reward": e / 4, "kl": 0.01} for e in (2, 1)],
        "val_loss": [],
    }
    assert json.loads(call("report", "runs/small", "--json").stdout)["html"] == "runs/small/report.html"


def test_quiet_is_silent(experiment: Experiment, recipe: Path) -> None:
    result = call("run", recipe, "--quiet")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_show_prints_results_first_and_every_epoch_on_request(experiment: Experiment, recipe: Path) -> None:
    call("run", recipe)
    shown = call("show", "runs/small").stdout
    parts = (
        "runs/small: done",
        "61.5",
        "+21.2",
        "the best by val reward is epoch 2 of grpo",
        "evaluate",
        "grpo 61.5 %",
    )
    places = [shown.index(part) for part in parts]
    assert places == sorted(places) and "Val Reward" not in shown
    whole = call("show", "runs/small", "--epochs").stdout
    assert "Val Reward" in whole and "0.500" in whole and "Best epoch by val reward" in whole
    assert whole.splitlines()[-1] == shown.splitlines()[-1]


def test_input_errors_are_one_line_and_exit_2(experiment: Experiment, recipe: Path) -> None:
    experiment.fails = DataError("has no answers", file="annotations.json", row=7, field="answers")
    result = call("run", recipe, "--quiet")
    assert result.exit_code == 2
    assert result.stderr == "error: annotations.json, row 7, field answers: has no answers\n"


def test_other_failures_are_one_line_and_exit_1(experiment: Experiment, recipe: Path) -> None:
    experiment.fails = TrainingError("the loss was not finite 10 times in a row")
    result = call("run", recipe, "--quiet")
    assert (result.exit_code, result.stderr) == (1, "error: the loss was not finite 10 times in a row\n")


def test_ctrl_c_says_how_to_go_on(experiment: Experiment, recipe: Path) -> None:
    experiment.fails = KeyboardInterrupt()
    result = call("run", recipe, "--quiet")
    assert (result.exit_code, result.stderr) == (130, "stopped; run the same command again to continue\n")
    experiment.fails = None
    assert call("run", recipe).exit_code == 0


def test_a_defect_is_not_dressed_up_as_a_user_error(experiment: Experiment, recipe: Path) -> None:
    experiment.fails = ZeroDivisionError("a defect")
    result = call("run", recipe, "--quiet")
    assert result.exit_code == 1 and isinstance(result.exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "absent.yaml"), "absent.yaml: no such recipe"),
        (("run", "small.yaml", "--set", "grpo.bta=1"), "did you mean 'beta'?"),
        (("run", "small.yaml", "--until", "lunch"), "no stage is called 'lunch'"),
        (("run", "small.yaml", "--nonsense"), "--nonsense"),
        (("run", "small.yaml", "--set", "grpo.lr=1"), "unknown key 'grpo.lr' (did you mean 'learning_rate'?)"),
        (("run", "small.yaml", "--from", "absent"), "absent: --from: there is no such run; looked for in "),
        (("run", "."), ".: is a folder that holds no run to go on with"),
        (("show", "absent"), "absent: is not a run folder"),
        (("world", "make", "w", "--train", "0"), "--train"),
        (("dance",), "dance"),
    ],
)
def test_bad_usage_exits_2(experiment: Experiment, recipe: Path, arguments: tuple[str, ...], said: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2 and said in result.stderr and result.stdout == ""
    assert experiment.asked == []
    assert not Path("runs").exists()


def test_a_second_run_says_what_it_skips_and_when_there_is_nothing_to_do(experiment: Experiment, recipe: Path) -> None:
    assert "done" not in call("run", recipe, "--until", "pools").stderr
    assert "Skipped, as they are done in runs/small: data, embed, pools\n" in call("run", recipe).stderr
    assert call("run", "runs/small").stderr.startswith("Nothing to do: data, ")
    assert call("run", recipe, "--quiet").stderr == ""


def test_the_version_is_told(experiment: Experiment) -> None:
    result = call("--version")
    assert result.exit_code == 0 and result.stdout.strip() == version("shotsmith")


def test_another_recipe_in_the_folder_is_refused_unless_fresh(experiment: Experiment, recipe: Path) -> None:
    call("run", recipe)
    refused = call("run", recipe, "--set", "grpo.beta=0.5")
    assert refused.exit_code == 2 and "grpo.beta: 0.0 there, 0.5 now" in refused.stderr
    assert call("run", recipe, "--set", "grpo.beta=0.5", "--fresh").exit_code == 0
    assert Run.open(Path("runs/small")).recipe.grpo.beta == 0.5


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[WorldSettings]:
    """The worlds that were asked for; none is drawn."""
    worlds: list[WorldSettings] = []
    stand_in = ModuleType("shotsmith.data.world")
    stand_in.make_world = lambda _folder, settings, _progress: worlds.append(settings)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shotsmith.data.world", stand_in)
    return worlds


def test_world_make_hands_its_settings_on(made: list[WorldSettings], tmp_path: Path) -> None:
    result = call(
        *("world", "make", tmp_path, "--seed", "7", "--bank", "9", "--val", "3", "--no-changing-keepers"),
        *("--artefacts", "few", "--direct-answers", "--careless-sources", "2", "--near-duplicates", "0.4", "--json"),
    )
    given = {"seed": 7, "bank": 9, "val": 3, "changing_keepers": False, "artefacts": "few"}
    given |= {"direct_answers": True, "careless_sources": 2, "near_duplicates": 0.4}
    assert made == [WorldSettings.model_validate(given)]
    assert json.loads(result.stdout) == {"folder": str(tmp_path), **made[0].model_dump()}
    assert given.items() <= json.loads(result.stdout).items()


def test_world_make_draws_the_first_world_and_worlds_without_a_bank(made: list[WorldSettings], tmp_path: Path) -> None:
    call("world", "make", tmp_path, "--preset", "first", "--test", "5")
    call("world", "make", tmp_path, "--bank", "0")
    assert made == [WorldSettings.model_validate({"preset": "first", "test": 5}), WorldSettings(bank=None)]
    assert call("world", "make", tmp_path, "--preset", "second").exit_code == 2


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(verb: str) -> None:
    result = call(*verb.split(), "--help")
    assert result.exit_code == 0 and f"Example: shotsmith {verb} " in result.stdout


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, shotsmith.cli, contextlib\n"
        "with contextlib.suppress(SystemExit): shotsmith.cli.app(['--help'])\n"
        "print(sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr
    heavy = ("torch", "transformers", "numpy", "scipy", "pyarrow", "plotly", "jinja2", "PIL")
    assert "'typer'" in loaded and not [name for name in heavy if f"'{name}'" in loaded]


def test_no_colour_where_there_is_no_terminal(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shotsmith", "show", str(tmp_path / "absent")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and result.stderr.startswith("error: ") and "\x1b" not in result.stderr


@pytest.mark.parametrize(
    ("given", "spins"), [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)]
)
def test_threads_wait_awake_for_a_moment_unless_the_user_says_how(monkeypatch, given, spins):
    seen = {}
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", {key: value for key, value in os.environ.items() if "OMP_" not in key} | given)
        patch.setattr(cli, "app", lambda: seen.update(os.environ))
        cli.main()
    assert seen.get("GOMP_SPINCOUNT") == spins
    assert seen.get("OMP_WAIT_POLICY") == given.get("OMP_WAIT_POLICY")


@pytest.mark.parametrize(("given", "kept"), [({}, "64"), ({"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "7"}, "7")])
def test_memory_for_shapes_that_do_not_recur_is_bounded_unless_the_user_says_how(monkeypatch, given, kept):
    seen = {}
    with monkeypatch.context() as patch:
        patch.setattr(os, "environ", {k: v for k, v in os.environ.items() if "ONEDNN_" not in k} | given)
        patch.setattr(cli, "app", lambda: seen.update(os.environ))
        cli.main()
    assert seen.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY") == kept
