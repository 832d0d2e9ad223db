"""Controls: a selector's own sequences, shown once more with one thing changed.

They tell what the demonstrations act by. If accuracy stays where the query's image is blank, the answers come from the
demonstrations; if it stays where labels are shuffled, the answers of the demonstrations do not matter; if it stays
where the order is shuffled, the order does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from collections.abc import Sequence as ManyOf
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image

from shotsmith.data.images import load_image
from shotsmith.embeddings.pools import seeded_generator
from shotsmith.errors import InputError
from shotsmith.evaluation.evaluate import result_of
from shotsmith.evaluation.results import Result
from shotsmith.files import replacing
from shotsmith.recipe.evaluation import Control
from shotsmith.records import Example, Sequence
from shotsmith.selectors.named import AT_BANK
from shotsmith.selectors.protocol import Ask, Tasks

CONTROLS: tuple[Control, ...] = get_args(Control)


def control_name(selector: str, control: Control) -> str:
    """Name of the rows of a control: `grpo_blank_image`, `mixed_blank_image@bank`."""
    at_bank = AT_BANK if selector.endswith(AT_BANK) else ""
    return f"{selector.removesuffix(AT_BANK)}_{control}{at_bank}"


def control_of(name: str) -> tuple[str, Control] | None:
    """The selector and the control that rows of this name belong to; None for a selector itself."""
    at_bank = AT_BANK if name.endswith(AT_BANK) else ""
    bare = name.removesuffix(AT_BANK)
    found = (one for one in CONTROLS if bare.endswith(f"_{one}"))
    return next(((f"{bare[: -len(one) - 1]}{at_bank}", one) for one in found), None)


def check_controls(controls: Iterable[Control], queries: Iterable[Example]) -> None:
    """Raise InputError where images are to be blanked and no query has any."""
    if "blank_image" in controls and not any(query.images for query in queries):
        raise InputError("the test queries have no images to blank", field="evaluation.controls")


def evaluate_controls(
    tasks: Tasks,
    results: ManyOf[Result],
    selectors: Iterable[str],
    controls: Iterable[Control],
    ask: Ask,
    *,
    blanks: Path,
    seed: int,
    origin: str = "evaluation/controls",
) -> list[Result]:
    """Results of the sequences that `selectors` showed in `results`, under each control; all prompts in one call.

    Rows keep seed, draw and number of shots. A selector that shows no demonstrations has rows for blank images alone.
    Grey images are written to the folder `blanks`.
    """
    whole = replace(tasks, pools=None)
    queries = {query.id: row for row, query in enumerate(tasks.queries)}
    entries = {example.id: row for row, example in enumerate(tasks.index)}
    names = dict.fromkeys(selectors)
    own = [result for result in results if result.selector in names]
    showing = {result.selector for result in own if result.sequence}
    cells: list[tuple[Control, Result, int, Sequence]] = []
    for control in dict.fromkeys(controls):
        for result in own:
            if control == "blank_image" or result.selector in showing:
                sequence = tuple(entries[one] for one in result.sequence)
                shown = in_random_order(sequence, result.query_id, seed) if control == "shuffled_order" else sequence
                cells.append((control, result, queries[result.query_id], shown))
    changed = {control: _changed(whole, control, blanks, seed) for control in {control for control, *_ in cells}}
    asked = dict.fromkeys((control, row, sequence) for control, _, row, sequence in cells)
    requests = [changed[control].request(row, sequence) for control, row, sequence in asked]
    completions = dict(zip(asked, ask(requests, origin), strict=True))
    return [
        result_of(
            changed[control],
            row,
            sequence,
            completions[control, row, sequence],
            control_name(result.selector, control),
            result.shots,
            result.seed,
            result.draw,
        )
        for control, result, row, sequence in cells
    ]


def answers_shown(index: ManyOf[Example], seed: int) -> Callable[[Result], tuple[str, ...]]:
    """A function that gives the answers of the demonstrations in a result's prompt, in order, as they were shown."""
    own = {example.id: example.answer for example in index}

    @cache
    def shuffled() -> dict[int, str]:
        return {example.id: example.answer for example in with_shuffled_labels(index, seed)}

    def shown(result: Result) -> tuple[str, ...]:
        control = control_of(result.selector)
        answers = shuffled() if control is not None and control[1] == "shuffled_labels" else own
        return tuple(answers[one] for one in result.sequence[result.left_out :])

    return shown


def with_shuffled_labels(index: ManyOf[Example], seed: int) -> tuple[Example, ...]:
    """The bank with its answers permuted among the entries of the same kind of question.

    An entry with options gets one of its own options at random: those of another question would not fit it. The only
    entry of a kind keeps its answers.
    """
    answers = [example.answers for example in index]
    kinds: defaultdict[str, list[int]] = defaultdict(list)
    for row, example in enumerate(index):
        if example.options:
            generator = seeded_generator("shuffled_labels", seed, example.id)
            answers[row] = (example.options[int(generator.integers(len(example.options)))],)
        else:
            kinds[example.question_type].append(row)
    for kind, rows in kinds.items():
        order = seeded_generator("shuffled_labels", seed, kind).permutation(rows)
        for row, other in zip(rows, order.tolist(), strict=True):
            answers[row] = index[other].answers
    return tuple(replace(example, answers=some) for example, some in zip(index, answers, strict=True))


def in_random_order(sequence: Sequence, query_id: int, seed: int) -> Sequence:
    """The sequence in a random order, any of them equally likely: its own as well."""
    order = seeded_generator("shuffled_order", seed, query_id, *sequence).permutation(len(sequence))
    return tuple(sequence[place] for place in order.tolist())


def blank_image(image: Path, folder: Path) -> Path:
    """An image file of the same size in one grey, the mean brightness of the image; named by both.

    Raises DataError where the image cannot be read.
    """
    shown = load_image(image)
    grey = round(float(np.asarray(shown.convert("L")).mean()))
    file = folder / f"{shown.width}x{shown.height}-{grey}.png"
    if not file.exists():
        with replacing(file, durable=False) as temporary:
            Image.new("RGB", shown.size, (grey, grey, grey)).save(temporary, format="PNG")
    return file


def _changed(tasks: Tasks, control: Control, blanks: Path, seed: int) -> Tasks:
    if control == "blank_image":
        queries = (
            replace(query, images=tuple(blank_image(one, blanks) for one in query.images)) for query in tasks.queries
        )
        return replace(tasks, queries=tuple(queries))
    if control == "shuffled_labels":
        return replace(tasks, index=with_shuffled_labels(tasks.index, seed))
    return tasks
