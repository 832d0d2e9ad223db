"""`shotsmith predecessor`: what the predecessor's scripts train_v3.sh and inference.sh did, by their own arguments."""

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
    from shotsmith.predecessor.arguments import Job
    from shotsmith.predecessor.environment import Setting
    from shotsmith.recipe import Recipe
    from shotsmith.runs import Run

app = typer.Typer(
    name="predecessor",
    help="The predecessor's scripts by their own arguments and environment variables (see docs/migrating.md). "
    "Example: bash scripts/train_v3.sh vqa okvqa_local 0 query_img_text_icd_img_text rand_sampler qwen2.5_vl_3B",
)

Task = Annotated[str, typer.Argument(help="vqa")]
DataSet = Annotated[str, typer.Argument(help="okvqa_local")]
Device = Annotated[str, typer.Argument(help="Number of the GPU; without one the CPU is used.")]
Prompt = Annotated[str, typer.Argument(help="query_img_text_icd_img_text")]
Sampler = Annotated[str, typer.Argument(help="rand_sampler, text_sim_sampler, img_sim_sampler or mix_sampler")]
Model = Annotated[str, typer.Argument(help="qwen2.5_vl_3B")]
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
    from shotsmith.predecessor import arguments, environment

    job = arguments.understand(task, data_set, device, prompt, sampler, model)
    settings = environment.settings_of(os.environ)
    name = job.folder("v3") + arguments.reward_suffix(os.environ)
    source = _imported(job) or arguments.data_settings(os.environ, job.model, environment.is_builtin(os.environ))
    made = _recipe(job, recipe, [("name", json.dumps(name)), *source, *settings], overrides)
    _use(job)

    from shotsmith import experiment
    from shotsmith.cli.terminal import listening
    from shotsmith.experiment.exporting import Exporter, Exporting
    from shotsmith.runs import Run, show

    place, files = _run_folder(made.name), arguments.results(os.environ) / "model_cpk" / made.name
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


@app.command()
def inference(
    task: Task = "vqa",
    data_set: DataSet = "okvqa_local",
    device: Device = "0",
    prompt: Prompt = "query_img_text_icd_img_text",
    sampler: Sampler = "rand_sampler",
    model: Model = "qwen2.5_vl_3B",
    version: Annotated[str, typer.Argument(help="v2 or v3")] = "v3",
    queries: Annotated[str, typer.Argument(help="Number of test queries.")] = "800",
    recipe: Base = _BASE,
    overrides: Overrides = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Test the checkpoint in LEVER_LM_CHECKPOINT_PATH as inference.sh did, at 1 to 4 shots, with pools of 64.

    Example: LEVER_LM_CHECKPOINT_PATH=grpo_epoch2_v2format.ckpt SHOTSMITH_BUILTIN=1 shotsmith predecessor inference
    """
    from shotsmith.predecessor import arguments, environment

    job = arguments.understand(task, data_set, device, prompt, sampler, model)
    number = arguments.understand_test(version, queries)
    environment.check_names(os.environ)
    name = job.folder(version)
    checkpoint = _checkpoint(arguments.results(os.environ) / "model_cpk" / name)
    source = arguments.data_settings(os.environ, job.model, environment.is_builtin(os.environ))
    test = [("name", json.dumps(f"inference_{name}_{number}")), *source, ("data.test_queries", str(number))]
    made = _recipe(job, recipe, test, overrides)
    _use(job)

    from shotsmith import experiment
    from shotsmith.checkpoints.predecessor import read_policy
    from shotsmith.cli.terminal import listening
    from shotsmith.experiment.few_shot import append_metrics, few_shot_accuracies
    from shotsmith.experiment.parts import Parts
    from shotsmith.runs import Run

    policy, manifest = read_policy(checkpoint)
    run = Run.create(_run_folder(made.name), made)
    with run.lock(), listening(quiet) as progress:
        _take_over(run, _run_folder(name))
        experiment.run(made, run, progress, until="pools")
        with Parts(made, run, progress) as parts:
            accuracies = few_shot_accuracies(parts, policy, manifest)
    file = arguments.results(os.environ) / "icl_inference" / name / "metrics.json"
    entry = append_metrics(file, accuracies, number)
    if as_json:
        figures = {f"shot_num={shots}": accuracy for shots, accuracy in accuracies.items()}
        print_json({"checkpoint": str(checkpoint), "file": str(file), "entry": entry, "accuracies": figures})
    elif not quiet:
        _tell_inference(accuracies, checkpoint, file)


def _recipe(job: Job, base: Path, settings: Iterable[Setting], overrides: list[str] | None) -> Recipe:
    from shotsmith.predecessor.arguments import results
    from shotsmith.recipe import load_recipe

    store = ("store", json.dumps(str(results(os.environ) / "completions.sqlite")))
    given = [("seeds", "[0]"), store, *job.settings, *settings]
    return load_recipe(base, [*(f"{name}={value}" for name, value in given), *(overrides or ())])


def _imported(job: Job) -> list[Setting]:
    """What to train on where the predecessor's RL data are at hand: no data set, encoder or VLM is needed then."""
    from shotsmith.predecessor.arguments import results
    from shotsmith.predecessor.recorded import import_once, recorded_files

    files = recorded_files(os.environ, job)
    if not files:
        return []
    folder = results(os.environ) / "imported" / files[0].stem
    import_once(files, folder)
    return [("rollouts.imported", json.dumps(str(folder)))]


def _run_folder(name: str) -> Path:
    from shotsmith.predecessor.arguments import results

    return results(os.environ) / "runs" / name


def _use(job: Job) -> None:
    """Show torch only the GPU asked for: encoder, VLM and policy all go where the first visible one is."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(job.device)
        return
    names = [name for name in visible.split(",") if name]
    if job.device >= len(names) > 0:
        raise InputError(f"there is no GPU {job.device}: CUDA_VISIBLE_DEVICES is '{visible}'")
    os.environ["CUDA_VISIBLE_DEVICES"] = names[job.device] if names else ""


def _checkpoint(folder: Path) -> Path:
    if given := os.environ.get("LEVER_LM_CHECKPOINT_PATH"):
        return Path(given)
    there = sorted(str(file) for pattern in ("*.pt", "*.ckpt") for file in folder.glob(pattern))
    listed = f"; there are {', '.join(there)}" if there else ""
    raise InputError(f"LEVER_LM_CHECKPOINT_PATH does not say which checkpoint to test{listed}")


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
        console.print(
            f"Test: LEVER_LM_CHECKPOINT_PATH={file.with_suffix('')}_v2format.ckpt bash scripts/inference.sh "
            f"vqa okvqa_local {job.device} query_img_text_icd_img_text {job.sampler} {job.model} v3 800"
        )


def _tell_inference(accuracies: dict[int, float], checkpoint: Path, file: Path) -> None:
    from shotsmith.cli.console import Console

    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"VQA accuracy of {checkpoint}")
    for shots, accuracy in accuracies.items():
        console.print(f"{shots} shot{'s' if shots > 1 else ''}: {100 * accuracy:.2f} %")
    console.print(f"Metrics: {file}")
