"""`shotsmith predecessor`: what Lever-Plus's scripts train_v3.sh and inference.sh did, by their own arguments."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shotsmith.cli.options import Fresh, Json, Overrides, Quiet, print_json
from shotsmith.errors import InputError

if TYPE_CHECKING:
    from shotsmith.compat.scripts.arguments import Job
    from shotsmith.compat.scripts.values import Setting
    from shotsmith.recipe import Recipe
    from shotsmith.runs import Run

app = typer.Typer(
    name="predecessor",
    help="Lever-Plus's scripts by their own arguments and environment variables (see docs/migrating.md). "
    "Example: bash scripts/train_v3.sh vqa okvqa_local 0 query_img_text_icd_img_text rand_sampler qwen2.5_vl_3B",
)

Task = Annotated[str, typer.Argument(help="vqa (inference also takes caption)")]
DataSet = Annotated[str, typer.Argument(help="okvqa_local or vqav2_local; of captions coco2014")]
Device = Annotated[str, typer.Argument(help="Number of the GPU, cuda:N or cpu; without a GPU the CPU is used.")]
Prompt = Annotated[str, typer.Argument(help="query_img_text_icd_img_text")]
Sampler = Annotated[str, typer.Argument(help="rand_sampler, text_sim_sampler, img_sim_sampler or mix_sampler")]
Model = Annotated[str, typer.Argument(help="qwen2.5_vl_3B, flamingo_3B, a folder or a hub id")]
Base = Annotated[
    Path, typer.Option("--recipe", help="What holds where no argument and no variable says something else.")
]

_BASE = Path("recipes/predecessor/scheme5.yaml")


@app.command()
def train(
    task: Task = "vqa",
    data_set: DataSet = "okvqa_local",
    device: Device = "0",
    prompt: Prompt = "query_img_text_icd_img_text",
    sampler: Sampler = "rand_sampler",
    model: Model = "qwen2.5_vl_3B",
    recipe: Base = _BASE,
    overrides: Overrides = None,
    fresh: Fresh = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train as train_v3.sh did: every epoch becomes a rce_epochN.pt or grpo_epochN.pt under RESULT_DIR.

    Example: GRPO_EPOCHS=2 SHOTSMITH_BUILTIN=1 shotsmith predecessor train
    """
    from shotsmith.compat.scripts import arguments, environment

    job = arguments.understand(task, data_set, device, prompt, sampler, model, tasks=("vqa",))
    settings = environment.settings_of(os.environ)
    name = job.folder(dict(settings)["policy.preset"]) + arguments.reward_suffix(os.environ)
    source = _imported(job) or _data(job)
    made = _recipe(job, recipe, [("name", json.dumps(name)), *source, *settings], overrides)
    _use(job)

    from shotsmith import experiment
    from shotsmith.cli.terminal import listening
    from shotsmith.compat.checkpoints.exporting import Exporter, Exporting
    from shotsmith.runs import Run, show

    place, files = _run_folder(made.name, job), _results(job) / "model_cpk" / made.name
    if fresh and (place / "recipe.yaml").exists():
        Exporter(Run.open(place), files).withdraw()
    run = Run.create(place, made, fresh=fresh)
    exporter = Exporter(run, files)
    with run.lock(), listening(quiet) as progress:
        exporter.begin()
        experiment.run(made, run, Exporting(progress, exporter), until="rank")
    if as_json:
        print_json(show(run) | {"checkpoints": str(files)})
    elif not quiet:
        _tell_training(run, files, job)


@app.command(context_settings={"ignore_unknown_options": True})  # -1 is a number of queries
def inference(
    task: Task = "vqa",
    data_set: DataSet = "okvqa_local",
    device: Device = "0",
    prompt: Prompt = "query_img_text_icd_img_text",
    sampler: Sampler = "rand_sampler",
    model: Model = "qwen2.5_vl_3B",
    version: Annotated[str, typer.Argument(help="v0 to v4")] = "v3",
    queries: Annotated[str, typer.Argument(help="Number of test queries, -1 for all.")] = "800",
    recipe: Base = _BASE,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Test a checkpoint as inference.sh did, at 1 to 4 shots, with pools of 64.

    The checkpoint is the one in LEVER_LM_CHECKPOINT_PATH, or the newest one of the version. metrics.json holds the
    predecessor's metric (always normalised), vqa_accuracy.json beside it the official one.

    Example: LEVER_LM_CHECKPOINT_PATH=grpo_epoch2_v2format.ckpt SHOTSMITH_BUILTIN=1 shotsmith predecessor inference
    """
    from shotsmith.compat.scripts import arguments, environment

    job = arguments.understand(task, data_set, device, prompt, sampler, model)
    number = arguments.understand_test(version, queries)
    environment.check_names(os.environ)
    environment.check_version(os.environ, version)
    name = job.folder(version)
    checkpoint = _checkpoint(job, version)
    test = [("name", json.dumps(f"inference_{name}_{'all' if number == arguments.ALL else number}")), *_data(job)]
    made = _recipe(job, recipe, [*test, ("data.test_queries", str(max(number, 2)))], overrides)
    if number == arguments.ALL:
        counted = ("data.test_queries", str(_all_test_queries(made)))
        made = _recipe(job, recipe, [*test, counted], overrides)
    _use(job)

    from shotsmith import experiment
    from shotsmith.cli.terminal import listening
    from shotsmith.compat.checkpoints.convert import read_policy
    from shotsmith.compat.scripts.few_shot import (
        PREDECESSOR_METRIC,
        append_metrics,
        as_predecessor_measured,
        few_shot_accuracies,
    )
    from shotsmith.experiment.parts import Parts
    from shotsmith.runs import Run

    policy, manifest = read_policy(checkpoint)
    run = Run.create(_run_folder(made.name, job), made)
    with run.lock(), listening(quiet) as progress:
        _take_over(run, _run_folder(name, job))
        experiment.run(made, run, progress, until="pools")
        with Parts(made, run, progress) as parts:
            ours = few_shot_accuracies(parts, policy, manifest)
            theirs = as_predecessor_measured(parts)
    folder = _results(job) / "icl_inference" / name
    metric = made.data.metric
    files = [folder / "metrics.json"]
    entry = append_metrics(files[0], theirs, number)
    if metric in PREDECESSOR_METRIC:
        files.append(folder / f"{metric}.json")
        append_metrics(files[1], ours, number)
    if as_json:
        told = [{f"shot_num={shots}": value for shots, value in by.items()} for by in (theirs, ours)]
        said = {"checkpoint": str(checkpoint), "file": str(files[0]), "entry": entry, "accuracies": told[0]}
        print_json(said | {metric: told[1]})
    elif not quiet:
        _tell_inference(theirs, ours, metric, checkpoint, files)


def _recipe(job: Job, base: Path, settings: Iterable[Setting], overrides: list[str] | None) -> Recipe:
    from shotsmith.recipe import load_recipe

    store = ("store", json.dumps(str(_results(job) / "completions.sqlite")))
    given = [("seeds", "[0]"), store, *job.settings, *settings]
    return load_recipe(base, [*(f"{name}={value}" for name, value in given), *(overrides or ())])


def _results(job: Job) -> Path:
    from shotsmith.compat.scripts.arguments import results

    return results(os.environ, job.data_name)


def _data(job: Job) -> list[Setting]:
    """Data set, encoder and VLM."""
    from shotsmith.compat.scripts import arguments, environment

    builtin = environment.is_builtin(os.environ)
    return arguments.data_settings(os.environ, job.model, builtin, job.task, job.data_set)


def _all_test_queries(recipe: Recipe) -> int:
    from shotsmith.data.load import load_splits

    if recipe.data.world is not None:
        return recipe.data.world.test
    return len(load_splits(recipe.data, Path(), check=False).test)


def _imported(job: Job) -> list[Setting]:
    """What to train on where Lever-Plus's RL data are at hand: no data set, encoder or VLM is needed then."""
    from shotsmith.compat.scripts.arguments import import_once, recorded_files

    files = recorded_files(os.environ, job)
    if not files:
        return []
    folder = _results(job) / "imported" / files[0].stem
    import_once(files, folder)
    return [("rollouts.imported", json.dumps(str(folder)))]


def _run_folder(name: str, job: Job) -> Path:
    return _results(job) / "runs" / name


def _use(job: Job) -> None:
    """Show torch only the GPU asked for: encoder, VLM and policy all go where the first visible one is."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if job.device is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return
    if visible is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(job.device)
        return
    names = [name for name in visible.split(",") if name]
    if job.device >= len(names) > 0:
        raise InputError(f"there is no GPU {job.device}: CUDA_VISIBLE_DEVICES is '{visible}'")
    os.environ["CUDA_VISIBLE_DEVICES"] = names[job.device] if names else ""


def _checkpoint(job: Job, version: str) -> Path:
    """The one in LEVER_LM_CHECKPOINT_PATH, else the newest of its version: of equally old ones the last by name."""
    if given := os.environ.get("LEVER_LM_CHECKPOINT_PATH", "").strip():
        return Path(given)
    trained = _results(job) / "model_cpk"
    folders = (job.folder(version), job.folder(f"{version}-*"))
    there = [file for each in folders for end in ("pt", "ckpt") for file in trained.glob(f"{each}/*.{end}")]
    if not there:
        problem = "holds no checkpoint (.pt or .ckpt) to test, and LEVER_LM_CHECKPOINT_PATH names none"
        raise InputError(problem, file=trained / folders[0])
    newest = max(there, key=lambda file: (file.stat().st_mtime_ns, len(file.stem), file.stem))
    typer.echo(f"LEVER_LM_CHECKPOINT_PATH is not set; the newest checkpoint is tested: {newest}", err=True)
    return newest


def _take_over(run: Run, trained: Path) -> None:
    """What the training has prepared with the same settings need not be made again."""
    from shotsmith.experiment.adopt import adopt
    from shotsmith.runs import Run

    if (trained / "recipe.yaml").exists():
        adopt(run, Run.open(trained))


def _tell_training(run: Run, files: Path, job: Job) -> None:
    from shotsmith.cli.console import Console
    from shotsmith.cli.tables import print_best
    from shotsmith.runs import show

    console = Console(soft_wrap=True, highlight=False, markup=False)
    best = show(run)["best"]["val_loss"]
    if best:
        print_best([best], "Best epoch by val loss", Console())
    console.print(f"Checkpoints: {files}")
    console.print(f"More: shotsmith show {run.folder}")
    if best and (file := files / f"{best['phase']}_epoch{best['epoch']}.pt").exists():
        console.print(f"Convert: python scripts/convert_v3_to_v2_format.py --v3_ckpt {file}")
        device = "cpu" if job.device is None else job.device
        arguments = f"vqa {job.data_set} {device} query_img_text_icd_img_text {job.sampler} {job.model} v3 800"
        checkpoint = f"{file.with_suffix('')}_v2format.ckpt"
        console.print(f"Test: LEVER_LM_CHECKPOINT_PATH={checkpoint} bash scripts/inference.sh {arguments}")


def _tell_inference(
    theirs: dict[int, float], ours: dict[int, float], metric: str, checkpoint: Path, files: Iterable[Path]
) -> None:
    from shotsmith.cli.console import Console

    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"{checkpoint}: as Lever-Plus measured, and {metric} (percent)")
    for shots, accuracy in theirs.items():
        console.print(f"{shots} shot{'s' if shots > 1 else ''}: {100 * accuracy:.2f}, {100 * ours[shots]:.2f}")
    console.print(f"Metrics: {', '.join(map(str, files))}")
