"""Training on imported rollouts: no VLM, no encoder, no world; whole, resumable to the bit, and open about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from compat.formats import BEAM, Size
from small_import import write_import
from small_matching import without_times
from typer.testing import CliRunner

from shotsmith import experiment
from shotsmith.checkpoints.native import load_policy
from shotsmith.cli import app
from shotsmith.compat.checkpoints.convert import Form, convert
from shotsmith.compat.files.folder import read_imported
from shotsmith.compat.training_data import TrainingData
from shotsmith.errors import InputError
from shotsmith.progress import Silent
from shotsmith.recipe import Recipe, load_recipe
from shotsmith.runs import Run, show

RECIPES = Path(__file__).parents[2] / "recipes" / "predecessor"
SMALL = ("supervised.epochs=2", "rce.epochs=2", "grpo.epochs=2", "policy.hidden_size=8", "seeds=[0]")
SIZE = Size(train=90, queries=10, rows=6)


def recipe_of(folder: Path, *overrides: str, scheme: str = "scheme6") -> Recipe:
    return load_recipe(RECIPES / f"{scheme}.yaml", [*SMALL, f"rollouts={folder}", *overrides])


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("import") / "imported"
    write_import(folder, size=SIZE)
    return folder


@pytest.fixture(autouse=True)
def nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever would load a VLM or an encoder, or make data, fails."""

    def refuse(*_: object) -> None:
        raise AssertionError("training on imported rollouts needs neither data, encoder nor VLM")

    for name in ("load_vlm", "load_encoder", "load_splits", "make_world"):
        monkeypatch.setattr(f"shotsmith.experiment.parts.{name}", refuse)


def finished(folder: Path, recipe: Recipe) -> Run:
    run = Run.create(folder, recipe)
    experiment.run(recipe, run, Silent())
    return run


def test_two_epochs_of_every_phase_from_the_files_alone(imported: Path, tmp_path: Path) -> None:
    run = finished(tmp_path / "run", recipe_of(imported))
    shown = show(run)
    assert shown["status"] == "done"
    rows = [(row["phase"], row["epoch"]) for row in shown["epochs"]]
    assert rows == [(phase, epoch) for phase in ("supervised", "rce", "grpo") for epoch in (1, 2)]
    assert all(row["val_loss"] > 0 and row["val_reward"] is None for row in shown["epochs"])
    assert sum(stage["vlm_calls"] + stage["cache_hits"] for stage in shown["stages"]) == 0
    left_out = {name: why for stage in shown["stages"] for name, why in stage.get("left_out", {}).items()}
    assert left_out == dict.fromkeys(("embed", "pools", "beam"), "imported") | dict.fromkeys(
        ("val_reward", "evaluate"), "no_vlm"
    )
    policy, manifest = load_policy(run.epoch(0, "grpo", 2))
    assert (manifest.vlm, manifest.encoder) == ("unknown (imported)",) * 2
    assert (policy.embedding_width, manifest.shots) == (SIZE.width, (2,))
    counts = json.loads((run.folder / "imported.json").read_text())["counts"]
    assert (counts["train rollouts"], counts["val rollouts"], counts["beams"]) == (48, 12, 40)
    assert not run.completions.exists()


def test_report_and_show_say_what_was_left_out(imported: Path, tmp_path: Path) -> None:
    run = finished(tmp_path / "run", recipe_of(imported, "supervised.epochs=0", "grpo.epochs=1", "rce.epochs=1"))
    said = "Evaluation: left out, as the rollouts are imported and there is no VLM."
    report = run.report_markdown.read_text()
    assert said in report and "Not all planned epochs" not in report and "vlm.path" not in report
    assert "shotsmith evaluate" not in report
    shown = CliRunner().invoke(app, ["show", str(run.folder)], env={"COLUMNS": "120"}).stdout
    assert said in shown and "not evaluated yet" not in shown
    assert CliRunner().invoke(app, ["report", str(run.folder), "--lang", "zh"]).exit_code == 0
    assert CliRunner().invoke(app, ["diagnose", str(run.folder)]).exit_code == 0


@pytest.mark.parametrize(
    ("names", "overrides", "left_out"),
    [
        (("rl_data_old.json", "query_embeddings.pt"), (), {"supervised": "no_beams"}),
        ((BEAM, "query_embeddings.pt"), (), {"rce": "no_rollouts", "grpo": "no_rollouts"}),
        (
            ("rl_data.json", "ViT-B-32-ImgFeatures.pth", "ViT-B-32-TextFeatures.pth"),
            ("grpo.sampling.source=on_policy",),
            {"supervised": "no_beams", "grpo": "on_policy"},
        ),
    ],
)
def test_phases_without_what_they_need_are_left_out_with_a_word(
    names: tuple[str, ...], overrides: tuple[str, ...], left_out: dict[str, str], tmp_path: Path
) -> None:
    write_import(tmp_path / "imported", names, SIZE)
    shown = show(finished(tmp_path / "run", recipe_of(tmp_path / "imported", *overrides)))
    (train,) = (stage for stage in shown["stages"] if stage["name"] == "train")
    assert train["left_out"] == left_out | {"val_reward": "no_vlm"}
    assert {row["phase"] for row in shown["epochs"]} == {"supervised", "rce", "grpo"} - set(left_out)


@pytest.mark.parametrize("scheme", sorted(path.stem for path in RECIPES.glob("scheme*.yaml")))
def test_every_scheme_trains_on_an_import(scheme: str, imported: Path, tmp_path: Path) -> None:
    epochs = ("supervised.epochs=1", "rce.epochs=1", f"grpo.epochs={0 if scheme == 'scheme10' else 1}")
    run = Run.create(tmp_path / "run", recipe := recipe_of(imported, *epochs, scheme=scheme))
    experiment.run(recipe, run, Silent(), until="train")
    assert len(run.epochs()) == (2 if scheme == "scheme10" else 3)


def test_the_shipped_recipe_takes_the_folder_of_its_name(imported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(imported.parent)
    recipe = load_recipe(RECIPES / "imported.yaml", SMALL)
    assert recipe.rollouts.imported == Path("imported")
    experiment.run(recipe, run := Run.create(imported.parent / "run", recipe), Silent(), until="data")
    assert run.is_done("data")


def test_a_killed_run_goes_on_to_the_same_bits(imported: Path, tmp_path: Path) -> None:
    recipe = recipe_of(imported)
    whole = finished(tmp_path / "whole", recipe)
    cut = Run.create(tmp_path / "cut", recipe)
    heard = []

    class Killer(Silent):
        def epoch(self, metrics: object) -> None:
            heard.append(metrics)
            if len(heard) in (1, 3):
                raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            experiment.run(recipe, cut, Killer())
    experiment.run(recipe, cut, Silent())
    assert without_times(cut.epochs()) == without_times(whole.epochs())
    for phase in ("supervised", "rce", "grpo"):
        one, other = (load_policy(run.epoch(0, phase, 2))[0].state_dict() for run in (whole, cut))  # type: ignore[arg-type]
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_an_import_that_changed_under_a_run_is_refused(tmp_path: Path) -> None:
    write_import(tmp_path / "imported", size=SIZE)
    recipe = recipe_of(tmp_path / "imported")
    experiment.run(recipe, run := Run.create(tmp_path / "run", recipe), Silent(), until="data")
    write_import(tmp_path / "imported", size=SIZE, seed=1)
    with pytest.raises(InputError, match="has changed since this run began"):
        experiment.run(recipe, run, Silent())


def test_what_is_no_import_is_refused_at_once(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"nowhere: is not an import .*shotsmith import"):
        experiment.run(recipe, Run.create(tmp_path / "run", recipe), Silent())


@pytest.mark.parametrize("form", ["v3", "v2format"])
def test_what_was_trained_goes_back_to_the_predecessor_and_comes_again(
    form: Form, imported: Path, tmp_path: Path
) -> None:
    run = finished(tmp_path / "run", recipe_of(imported, "policy.preset=v3"))
    trained = run.epoch(0, "grpo", 2)
    convert(trained, there := tmp_path / f"grpo_epoch2.{form}", form)
    convert(there, tmp_path / "again", "native")
    data = TrainingData(read_imported(imported), run.recipe.reward)
    inputs = data.inputs(data.val, torch.device("cpu")).batch(range(len(data.val.queries)))
    sequences = data.groups(data.val, "val").sequences
    policies = (load_policy(folder)[0] for folder in (trained, tmp_path / "again"))
    one, other = (policy.step_distributions(inputs, sequences) for policy in policies)
    assert torch.isfinite(one).any() and torch.allclose(one, other, atol=1e-6)


def test_a_plan_of_it_asks_nothing() -> None:
    result = CliRunner().invoke(app, ["plan", str(RECIPES / "imported.yaml"), "--json"])
    assert result.exit_code == 0, result.output
    calls = {part["part"]: part["calls"]["most"] for part in json.loads(result.stdout)["parts"]}
    assert calls == {}
