"""Does a selector help another VLM than the one it was trained with?

    python benchmarks/transfer.py [--out runs/transfer] [--steps 1000] [--set KEY=VALUE ...] [--json]

The second VLM is made first, in OUT/vlm: the built-in one, trained on from its weights with other facts, pictures and
episodes, over the last 30 % of a training of --steps steps. Of two statements that contradict each other, it learns to
believe the oldest, where the built-in VLM believes the newest: it needs its demonstrations in another order.
recipes/demo.yaml then trains a selector with each VLM at a small size, in OUT/builtin and OUT/second, and each selector
is judged by the other VLM (`shotsmith evaluate --vlm`).

Figures: the matrix of `shotsmith compare --transfer` (official VQA accuracy, mean over the numbers of shots, 95 %
intervals); for each VLM, the selector trained with the other minus the one trained with it, and minus the free selector
that is best with it; and how often each VLM believes the newest statement. `equal` says that the matrix holds what each
run's own evaluation found, and that a free selector has one accuracy with a VLM in whichever run it was asked.
Resumable.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bank_runs import METRIC, RECIPES, Figures, Job, finished, parser, tell
from rich.console import Console
from transformers import Qwen2_5_VLForConditionalGeneration

from shotsmith.builtin import VLM_PATH
from shotsmith.builtin.train_vlm import Trainer
from shotsmith.cli.compare import transfer_table
from shotsmith.evaluation.compare import compare
from shotsmith.evaluation.results import Result, read_results
from shotsmith.evaluation.transfer import FREE_ROW, Transfer
from shotsmith.experiment.transfer import compare_transfer, evaluate_with
from shotsmith.files import read_json, replacing_folder, write_json
from shotsmith.progress import Silent
from shotsmith.runs import Run

SEED = 100
LAST = 0.7
"""Where in a training the second VLM begins: without aids, while the learning rate falls."""
SMALL = (
    *("data.world.bank=2000", "data.world.train=800", "data.world.val=100", "data.world.test=200"),
    *("data.train_queries=800", "data.val_queries=60", "data.test_queries=200"),
    *("grpo.epochs=3", "grpo.steps_per_epoch=15"),
    *("evaluation.oracle_tries=0", "evaluation.fixed_tries=0", "evaluation.random_draws=1"),
)
PROBE = "newest_wins"
FREE = ("zero_shot", "image_similar", "text_similar", "mixed")
"""Selectors that choose the same in both runs."""


def main() -> None:
    """Make the second VLM, finish both runs, judge each selector by both VLMs, and print the matrix."""
    made = parser(__doc__, "runs/transfer")
    made.add_argument("--steps", type=int, default=1000, help="steps of the training whose last 30 %% are done")
    options = made.parse_args()
    probes = second_vlm(options.out / "vlm", options.steps)
    runs = trained(options)
    for run, other in zip(runs.values(), reversed(runs.values()), strict=True):
        if not list(run.folder.glob("evaluation/transfer/*/summary.json")):
            evaluate_with(run, other.recipe.vlm, Silent())
    found = compare_transfer(runs)
    Console(width=120).print(transfer_table(found))
    tell(dict(figures_of(found, runs)) | probes, is_equal(found, runs), options)


def second_vlm(folder: Path, steps: int) -> Figures:
    """Make the VLM unless it is there; how often both believe the newest statement, in percent."""
    probes = folder.with_name("probes.json")
    if not probes.exists():
        trainer = Trainer(SEED, steps, 96, newest=False)
        shipped = Qwen2_5_VLForConditionalGeneration.from_pretrained(VLM_PATH)
        trainer.model.load_state_dict(shipped.state_dict())
        before = trainer.probe(400)
        for step in range(round(LAST * steps), steps):
            trainer.step(step)
        after = trainer.probe(400)
        with replacing_folder(folder) as temporary:
            trainer.save(temporary)
        write_json(probes, {"builtin": before, "second": after})
    return {f"{vlm}/{name}": 100 * share for vlm, told in read_json(probes).items() for name, share in told.items()}


def trained(options: argparse.Namespace) -> dict[str, Run]:
    """The runs by the name of their VLM; the second takes over the data and embeddings of the first."""
    vlms = {"builtin": "builtin", "second": str((options.out / "vlm").resolve())}
    jobs = [
        Job(
            name,
            RECIPES / "demo.yaml",
            [f"vlm.path={path}"],
            defaults=SMALL,
            like=None if name == "builtin" else options.out / "builtin",
        )
        for name, path in vlms.items()
    ]
    return {job.name: run for one in jobs for job, run in finished([one], options)}


def figures_of(found: Transfer, runs: Mapping[str, Run]) -> Iterator[tuple[str, float]]:
    for cell in found.cells:
        row = "best_free" if cell.trained_on == FREE_ROW else f"trained_on_{cell.trained_on}"
        name = f"{row}/answered_by_{cell.answered_by}"
        yield from ((name, cell.accuracy), (f"{name}_low", cell.low), (f"{name}_high", cell.high))
    for own, other in zip(runs, reversed(tuple(runs)), strict=True):
        foreign = transferred(runs[other])
        lost = compare({"own": read_results(runs[own].results), "other": foreign[0]}).rows[-1]
        best = foreign[1]["best_free"]["selector"]
        gained = next(row for row in foreign[1]["contrasts"] if (row["b"], row["shots"]) == (best, "mean"))
        for name, row in (("other_minus_own", asdict(lost)), ("other_minus_best_free", gained)):
            label = f"answered_by_{own}/{name}"
            yield from ((label, row["difference"]), (f"{label}_low", row["low"]), (f"{label}_high", row["high"]))


def transferred(run: Run) -> tuple[list[Result], dict[str, Any]]:
    """What a run's selectors reach with the other VLM: results and tables."""
    (file,) = run.folder.glob("evaluation/transfer/*/summary.json")
    return read_results(file.with_name("results.parquet")), read_json(file)


def is_equal(found: Transfer, runs: Mapping[str, Run]) -> bool:
    """Whether the diagonal is that of each run, and free selectors have one accuracy with a VLM."""
    own = {name: means(read_json(run.summary)) for name, run in runs.items()}
    diagonal = [(found.cell(name, name), own[name]) for name in runs]
    if any(cell is None or abs(cell.accuracy - told[cell.selector]) > 1e-9 for cell, told in diagonal):
        return False
    names = tuple(runs)
    pairs = [
        (own[name], means(transferred(runs[other])[1])) for name, other in zip(names, reversed(names), strict=True)
    ]
    return all(one[name] == other[name] for one, other in pairs for name in FREE)


def means(tables: Mapping[str, Any]) -> dict[str, float]:
    """Accuracy by selector, over the numbers of shots."""
    return {
        row["selector"]: row["accuracy"] for row in tables["test"] if (row["shots"], row["metric"]) == ("mean", METRIC)
    }


if __name__ == "__main__":
    main()
