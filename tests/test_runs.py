"""The run folder: what it remembers across kills, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shotsmith.environment import environment
from shotsmith.errors import InputError, ShotsmithError
from shotsmith.files import append_row, read_rows
from shotsmith.recipe import Recipe, dump_recipe, load_recipe, parse_recipe
from shotsmith.runs import Run, show
from shotsmith.runs.stages import STAGES


def recipe(**changes: object) -> Recipe:
    return parse_recipe({"data": {"world": {}}, **changes})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", recipe())


def row(seed: int = 0, phase: str = "grpo", epoch: int = 1, **figures: object) -> dict[str, object]:
    return {"seed": seed, "phase": phase, "epoch": epoch, **figures}


def test_create_writes_the_resolved_recipe_and_the_environment(run: Run) -> None:
    assert load_recipe(run.recipe_file) == run.recipe
    written = json.loads(run.environment_file.read_text())
    assert written == environment() | {"recipe_ends": run.recipe_file.read_text().splitlines()[-1]}
    assert written["cpus"] == os.cpu_count() and written["versions"]["numpy"]


@pytest.mark.parametrize("lines", range(1, 40, 6))
def test_a_recipe_that_lost_its_last_lines_is_never_taken_for_another_recipe(run: Run, lines: int) -> None:
    whole = run.recipe_file.read_text().splitlines(keepends=True)
    run.recipe_file.write_text("".join(whole[:-lines]))
    with pytest.raises(InputError, match=r"recipe\.yaml: has lost its end"):
        Run.open(run.folder)
    with pytest.raises(InputError, match=r"recipe\.yaml: has lost its end"):
        Run.create(run.folder, run.recipe)


def test_a_run_from_before_recipes_had_a_last_line_is_opened(run: Run) -> None:
    run.recipe_file.write_text(dump_recipe(run.recipe))
    made = json.loads(run.environment_file.read_text())
    run.environment_file.write_text(json.dumps({key: made[key] for key in made if key != "recipe_ends"}))
    assert Run.open(run.folder).recipe == run.recipe


def test_create_again_with_the_same_recipe_keeps_everything(run: Run) -> None:
    run.environment_file.write_text('{"kept": true}')
    run.record("data", 1.5, 2, 3)
    again = Run.create(run.folder, recipe())
    assert json.loads(again.environment_file.read_text()) == {"kept": True}
    assert again.is_done("data") and again == run == Run.open(run.folder)


def test_another_recipe_is_refused_naming_each_setting_and_the_ways_on(run: Run) -> None:
    with pytest.raises(InputError) as caught:
        Run.create(run.folder, recipe(grpo={"beta": 0.5}, seeds=[0, 1]))
    message = str(caught.value)
    for part in (str(run.folder), "grpo.beta: 0.0 there, 0.5 now", "seeds: [0] there, [0, 1] now", "--fresh", "name"):
        assert part in message
    assert "grpo.epsilon" not in message
    assert load_recipe(run.recipe_file) == recipe()


def test_another_source_of_data_is_named_as_a_difference(run: Run) -> None:
    files = {f"{split}_{kind}": "x" for split in ("train", "test") for kind in ("questions", "annotations", "images")}
    with pytest.raises(InputError, match=r"data\.okvqa\.test_images: not set there"):
        Run.create(run.folder, parse_recipe({"data": {"okvqa": files}}))


def test_fresh_deletes_what_was_there(run: Run) -> None:
    run.record("data", 1, 0, 0)
    run.epoch(0, "grpo", 1).mkdir(parents=True)
    anew = Run.create(run.folder, recipe(seeds=[7]), fresh=True)
    assert anew.stages() == [] and not anew.phase(0, "grpo").exists()
    assert Run.open(run.folder).recipe.seeds == (7,)


def test_fresh_never_deletes_a_folder_that_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("ten years of work")
    with pytest.raises(InputError, match=r"thesis\.tex"):
        Run.create(tmp_path, recipe(), fresh=True)
    assert (tmp_path / "thesis.tex").exists() and not (tmp_path / "recipe.yaml").exists()


def test_fresh_spares_what_a_link_points_to(run: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("kept")
    run.world.symlink_to(tmp_path / "elsewhere")
    Run.create(run.folder, recipe(), fresh=True)
    assert (tmp_path / "elsewhere" / "file").read_text() == "kept" and not run.world.is_symlink()


def test_create_finishes_what_a_kill_left_of_an_earlier_create(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text("{}")
    (tmp_path / ".recipe.yaml.x81h").write_text("na")
    assert Run.create(tmp_path, recipe()).recipe_file.exists()


def test_opening_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a run folder \(there is no such folder\)"):
        Run.open(tmp_path / "absent")
    with pytest.raises(InputError, match=r"not a run folder \(it has no recipe\.yaml\)"):
        Run.open(tmp_path)


def test_stages_keep_their_order_and_the_last_record(run: Run) -> None:
    assert not run.is_done("data")
    run.record("data", 1.23456, 0, 0)
    run.record("beam", 2, 10, 5)
    run.record("data", 3, 1, 1)
    assert [(stage["name"], stage["seconds"]) for stage in run.stages()] == [("data", 3), ("beam", 2)]
    assert run.stages()[1] == {"name": "beam", "seconds": 2, "vlm_calls": 10, "cache_hits": 5}


def test_a_stage_reads_only_what_earlier_stages_write() -> None:
    written: set[str] = set()
    for stage in STAGES:
        assert set(stage.reads) <= written | {"*"}, stage.name
        assert not written & set(stage.writes), stage.name
        written |= set(stage.writes)


def test_a_torn_last_line_is_as_if_never_begun(run: Run) -> None:
    run.record("data", 1, 0, 0)
    with run.stages_file.open("a") as stream:
        stream.write('{"name": "embed", "sec')
    assert run.is_done("data") and not run.is_done("embed")
    run.record("pools", 2, 0, 0)
    assert [stage["name"] for stage in run.stages()] == ["data", "pools"]
    assert run.stages_file.read_bytes().count(b"\n") == 2


def test_a_damaged_line_inside_is_an_error_naming_it(tmp_path: Path) -> None:
    path = tmp_path / "stages.jsonl"
    path.write_text('{"name": "data"}\n{"na\n{"name": "beam"}\n')
    with pytest.raises(InputError, match=r"stages\.jsonl, row 2"):
        read_rows(path)
    path.write_text('{"name": "data"}\n{"seconds": 1}\n')
    with pytest.raises(InputError, match=r"row 2, field name"):
        read_rows(path, ("name",))
    path.write_text("[1]\n")
    with pytest.raises(InputError, match="not a JSON object"):
        read_rows(path)


def test_figures_that_are_no_numbers_are_refused_and_leave_the_file_whole(tmp_path: Path) -> None:
    append_row(tmp_path / "rows", {"a": 1.0})
    with pytest.raises(ValueError):
        append_row(tmp_path / "rows", {"a": float("nan")})
    assert read_rows(tmp_path / "rows") == [{"a": 1.0}]


def test_a_replayed_epoch_counts_once_with_its_last_row(run: Run) -> None:
    run.record_epoch(row(epoch=1, kl=0.1))
    run.record_epoch(row(epoch=2, kl=0.2))
    run.record_epoch(row(epoch=2, kl=0.3))
    run.record_epoch(row(seed=1, epoch=2, kl=0.4))
    assert [line["kl"] for line in run.epochs()] == [0.1, 0.3, 0.4]


HOLDER = """
import sys
from pathlib import Path
from shotsmith.runs import Run
with Run.open(Path(sys.argv[1])).lock():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_who_runs_the_run(run: Run) -> None:
    assert run.status() == "created"
    command = [sys.executable, "-c", HOLDER, str(run.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "locked\n"
        with pytest.raises(ShotsmithError, match=f"pid {holder.pid} "), run.lock():
            pass
        with pytest.raises(ShotsmithError, match=f"pid {holder.pid} "):
            Run.create(run.folder, run.recipe, fresh=True)
        assert run.status() == "running"
        holder.kill()
    assert run.status() == "stopped"
    with run.lock():
        assert run.status() == "running"
    run.record("report", 1, 0, 0)
    assert run.status() == "done"


def test_show_has_exactly_the_stable_form(run: Run) -> None:
    run.record("data", 1, 0, 0)
    run.record_epoch(row(epoch=1, kl=0.1, loss=3.0, **{"val/loss": 5.0, "val/reward": 0.7}, adv_std=0.9))
    run.record_epoch(row(epoch=2, val_loss=5.5, val_reward=0.8, grad_norm=1.0))
    run.record_epoch(row(epoch=3, val_loss=5.5, val_reward=0.8))
    run.summary.parent.mkdir()
    test = [{"selector": "grpo", "shots": 1, "metric": "vqa_accuracy", "accuracy": 50, "low": 45, "high": 55, "n": 8}]
    contrasts = [{"a": "grpo", "b": "random", "shots": "mean", "difference": 9, "low": 4, "high": 14, "p": 0.01}]
    run.summary.write_text(json.dumps({"test": test, "contrasts": contrasts}))

    shown = show(run)
    figures = ["stages", "epochs", "best", "test", "contrasts", "evaluations", "best_free", "validation", "recall"]
    figures += ["copying"]
    assert list(shown) == ["run", "status", "stopped", "recipe", *figures, "sole_answer", "nothing_right", "barred"]
    assert (shown["best_free"], shown["validation"], shown["recall"], shown["barred"]) == (None, [], [], {})
    assert shown["recipe"] == run.recipe.model_dump(mode="json")
    assert (shown["test"], shown["contrasts"]) == (test, contrasts)
    first, second, _ = shown["epochs"]
    columns = "seed phase epoch train_loss val_loss ppo_loss kl adv_std adv_max beta reward"
    assert list(first)[:14] == [*columns.split(), "frac_reward_zero_std", "entropy", "val_reward"]
    assert (first["train_loss"], first["val_loss"], first["val_reward"], first["adv_std"]) == (3.0, 5.0, 0.7, 0.9)
    assert second["train_loss"] is None and second["grad_norm"] == 1.0
    assert shown["best"] == {"val_reward": second, "val_loss": first}
    json.dumps(shown, allow_nan=False)


def test_columns_of_a_group_never_take_the_figure_of_the_whole_batch(run: Run) -> None:
    run.record_epoch(row(epoch=1, advantage_std=0.9, advantage_max=3.0))
    (shown,) = show(run)["epochs"]
    assert (shown["adv_std"], shown["adv_max"]) == (None, None)
    assert (shown["advantage_std"], shown["advantage_max"]) == (0.9, 3.0)


def test_show_of_a_new_run_is_empty_and_whole(run: Run) -> None:
    shown = show(run)
    assert shown["status"] == "created"
    assert shown["best"] == {"val_reward": None, "val_loss": None}
    assert shown["stages"] == shown["epochs"] == shown["test"] == shown["contrasts"] == []
