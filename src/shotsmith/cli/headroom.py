"""`shotsmith headroom`: is training worth it on these data?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shotsmith.cli.options import Json, Out, Overrides, Quiet, RecipeFile, print_json, recipe_in

if TYPE_CHECKING:
    from shotsmith.completions.summary import FailedPrompts
    from shotsmith.experiment.headroom import Headroom


def headroom(
    recipe: RecipeFile,
    overrides: Overrides = None,
    out: Out = None,
    queries: Annotated[int, typer.Option(min=2, help="Validation queries asked, at most data.val_queries.")] = 50,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say whether training is worth it: zero-shot, every free selector over the whole bank, and the oracle.

    Only validation queries are asked, and nothing is trained. The answers are kept in the run's store, so that
    `shotsmith run` does not ask for them again. The oracle tries many sequences and looks at the answers: its distance
    from the best free selector is the most that training could win.

    Example: shotsmith headroom recipes/demo.yaml --queries 40
    """
    from shotsmith.recipe import load_recipe

    recipe, out = recipe_in(recipe, out)
    settings = load_recipe(recipe, overrides or ())

    from shotsmith import experiment
    from shotsmith.attempts import absent_folders, attempt
    from shotsmith.cli.terminal import listening
    from shotsmith.completions.summary import failed_prompts_of
    from shotsmith.experiment.headroom import headroom as measure
    from shotsmith.experiment.parts import Parts
    from shotsmith.runs import Run

    folder = out or Path("runs") / settings.name
    made = absent_folders(folder)
    run = Run.create(folder, settings)
    with run.lock(), attempt(folder, made), listening(quiet or as_json) as progress:
        experiment.run(settings, run, progress, until="pools")
        with Parts(settings, run, progress) as parts, parts.explaining():
            found = measure(parts, queries)
    failed = failed_prompts_of(run)
    if as_json:
        print_json({**found.to_json(), "sentence": sentence(found), "failed_prompts": failed and failed.as_json()})
    elif not quiet:
        _print(found, failed)


def sentence(found: Headroom) -> str:
    """The verdict in words."""
    from shotsmith.reports.language import LANGUAGES

    return LANGUAGES["en"].quote(
        f"headroom.{found.verdict}",
        free=found.best.selector,
        accuracy=found.best.accuracy_on_val,
        best=found.best.accuracy_on_val_at_best_shots,
        shots=found.best.best_shots,
        queries=found.queries,
        text=found.sole_answer,
        more=4 * found.queries,
        there=next(gap["difference"] for gap in found.gaps if gap["shots"] == found.best.best_shots),
        **{key: found.gap[key] for key in ("difference", "low", "high")},
    )


def _print(found: Headroom, failed: FailedPrompts | None) -> None:
    from shotsmith.cli.console import Console
    from shotsmith.cli.tables import print_failed, results_table
    from shotsmith.reports.numbers import counted

    console = Console()
    console.print(results_table(found.rows, console.width))
    console.print(
        f"{counted(found.queries, 'validation query', 'validation queries')}; the oracle looks at the answers",
        highlight=False,
    )
    print_failed(failed, console)
    console.print(sentence(found), highlight=False, markup=False, soft_wrap=True)
