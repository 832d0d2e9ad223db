"""Selections as tasks of lm-eval and lmms-eval, which then show the same demonstrations and measure the same way.

`write_tasks` fills a folder: a YAML file and a table of queries for each number of shots, and `shown.py`, whose
functions the YAML files name. Both harnesses read it with `--include_path FOLDER`, where shotsmith is installed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from PIL import Image

from shotsmith.errors import InputError, ShotsmithError
from shotsmith.evaluation.selections import Selected, read_selections
from shotsmith.experiment.parts import Parts
from shotsmith.files import read_json, write_json, write_text
from shotsmith.metrics.measure import Measure, measure_of
from shotsmith.metrics.table import METRICS
from shotsmith.progress import Progress
from shotsmith.recipe import VLMSettings
from shotsmith.runs import Run
from shotsmith.selectors.protocol import Tasks
from shotsmith.vlms.prompting.prompts import Prompt, load_prompt
from shotsmith.vlms.prompting.template import Template

Harness = Literal["lm_eval", "lmms_eval"]
_SETTINGS = "shown.json"
_IMAGE = "<image>"
"""What lm-eval takes the place of an image by."""
_FAILED = "[LMMS_EVAL_REQUEST_FAILED"
_MODULE = '''"""What the tasks beside this file show and how they measure it. Written by shotsmith."""

from pathlib import Path

from shotsmith.integrations.harness import Shown

_shown = Shown(Path(__file__).parent)
doc_to_text = _shown.doc_to_text
doc_to_image = doc_to_visual = _shown.doc_to_image
doc_to_messages = _shown.doc_to_messages
process_results = _shown.process_results
'''


def write_tasks(
    run: Run, selections: Path, folder: Path, harness: Harness, progress: Progress, *, seed: int | None = None
) -> list[str]:
    """Write a task for every number of shots that a selection file has; returns their names.

    A file with selections of several seeds gives those of `seed`, by default of the lowest. Tasks for lm-eval show
    one user turn and no system prompt. Raises InputError where the run's prompt needs more, or no selection has this
    seed, and whatever `read_selections` raises.
    """
    vlm = run.recipe.vlm
    prompt = load_prompt(vlm.prompt)
    _check(prompt, harness)
    with Parts(run.recipe, run, progress) as parts:
        tasks = replace(parts.tasks("test"), pools=None)
        references = [example.answers for example in parts.splits.test]
    chosen = _by_shots(read_selections(selections, tasks, run.recipe.evaluation.shots), seed)
    if not chosen:
        raise InputError(f"has no selections of seed {seed}", file=selections)
    metric = run.recipe.data.metric
    if METRICS[metric].by_likelihood:
        raise InputError(f"{metric} compares the likelihoods of options; these tasks generate", field="data.metric")
    settings: dict[str, Any] = {"template": prompt.template.model_dump(mode="json"), "metric": metric}
    if METRICS[metric].fitted is not None:
        settings["references"] = references
    write_json(folder / _SETTINGS, settings)
    write_text(folder / "shown.py", _MODULE)
    measure = measure_of(metric, references)
    return [
        _write(folder, f"{run.recipe.name}_{shots}_shot", _docs(tasks, some, prompt, harness), harness, measure, vlm)
        for shots, some in sorted(chosen.items())
    ]


def _check(prompt: Prompt, harness: Harness) -> None:
    if harness == "lm_eval" and (prompt.layout != "single_turn" or prompt.system is not None):
        raise InputError(
            "lm-eval shows demonstrations in one user turn, without a system prompt of the task: use lmms-eval for "
            f"the layout {prompt.layout}" + ("" if prompt.system is None else " with a system prompt"),
            field="vlm.prompt",
        )
    if prompt.layout == "plain":
        raise InputError("lmms-eval shows chat messages, not plain text", field="vlm.prompt.layout")


def _by_shots(selected: Iterable[Selected], seed: int | None) -> Mapping[int, list[Selected]]:
    selected = list(selected)
    if seed is None:
        seed = min((one.seed for one in selected if one.seed is not None), default=None)
    found = defaultdict(list)
    for one in selected:
        if one.seed in (seed, None):
            found[one.shots].append(one)
    return found


def _docs(tasks: Tasks, selected: Sequence[Selected], prompt: Prompt, harness: Harness) -> Iterable[dict[str, Any]]:
    for one in sorted(selected, key=lambda one: one.query):
        query = tasks.queries[one.query]
        request = tasks.prompt(one.query, one.sequence)
        if harness == "lm_eval" and any(_IMAGE in text for text in prompt.texts(request)):
            raise InputError(f"the prompt's text holds {_IMAGE}, which lm-eval takes for an image", row=query.id)
        yield {
            "id": query.id,
            "messages": json.dumps(prompt.messages(request), ensure_ascii=False),
            "answers": list(query.answers),
            "answer": query.answer,
        }


def _write(
    folder: Path, name: str, docs: Iterable[dict[str, Any]], harness: Harness, measure: Measure, vlm: VLMSettings
) -> str:
    """The files of one task; returns its name."""
    table = folder / f"{name}.jsonl"
    write_text(table, "".join(json.dumps(doc, ensure_ascii=False) + "\n" for doc in docs))
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(table.absolute())}},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_target": "answer",
        "generation_kwargs": _generation(vlm, harness),
        "metric_list": [
            {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in measure.metrics
        ],
        "metadata": {"version": 1.0},
    }
    used = ["doc_to_text", "process_results", *_USED[harness]]
    functions = "".join(f"{function}: !function shown.{function}\n" for function in used)
    write_text(folder / f"{name}.yaml", yaml.safe_dump(task, sort_keys=False) + functions)
    return name


_USED: Mapping[Harness, Sequence[str]] = {
    "lm_eval": ("doc_to_image",),
    "lmms_eval": ("doc_to_visual", "doc_to_messages"),
}


def _generation(vlm: VLMSettings, harness: Harness) -> dict[str, Any]:
    length = {"lm_eval": "max_gen_toks", "lmms_eval": "max_new_tokens"}[harness]
    given: dict[str, Any] = {"until": [], "do_sample": False, "temperature": 0.0, length: vlm.max_new_tokens}
    if vlm.num_beams > 1:
        given |= {"num_beams": vlm.num_beams, "length_penalty": vlm.length_penalty}
    return given | ({"min_new_tokens": vlm.min_new_tokens} if vlm.min_new_tokens else {})


class Shown:
    """The functions of the tasks in a folder; a `doc` is a row of a task's table."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def doc_to_messages(self, doc: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Demonstrations and query as chat messages of lmms-eval."""
        return [
            {"role": turn["role"], "content": [_part(part) for part in turn["content"]]}
            for turn in json.loads(doc["messages"])
        ]

    def doc_to_text(self, doc: Mapping[str, Any], lmms_eval_specific_kwargs: object = None) -> str:
        """The texts of the prompt, with a placeholder for each image, as lm-eval takes them."""
        parts = [part for turn in json.loads(doc["messages"]) for part in turn["content"]]
        return "".join(_IMAGE if part["type"] == "image" else part["text"] for part in parts)

    def doc_to_image(self, doc: Mapping[str, Any]) -> list[Image.Image]:
        """The images of the prompt in the order shown."""
        parts = [part for turn in json.loads(doc["messages"]) for part in turn["content"]]
        return [_opened(part["image"]) for part in parts if part["type"] == "image"]

    def process_results(self, doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
        """Every metric of the data, 0 to 1, of the answer cut from the generated text.

        Raises ShotsmithError for the text that lmms-eval has in the place of an answer it did not get.
        """
        if results[0].startswith(_FAILED):
            raise ShotsmithError(f"query {doc['id']} has no answer: {results[0]}")
        return self._measure.scores(self._template.answer.cut(results[0]), doc["answers"])

    @cached_property
    def _settings(self) -> Mapping[str, Any]:
        settings: Mapping[str, Any] = read_json(self._folder / _SETTINGS)
        return settings

    @cached_property
    def _template(self) -> Template:
        return Template.model_validate(self._settings["template"])

    @cached_property
    def _measure(self) -> Measure:
        return measure_of(self._settings["metric"], self._settings.get("references", ()))


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] == "image":
        return {"type": "image", "url": _opened(part["image"])}
    return {"type": "text", "text": part["text"]}


def _opened(path: str) -> Image.Image:
    """An image as the VLMs of shotsmith see it. Raises InputError naming one that is not there."""
    try:
        with Image.open(path) as opened:
            return opened.convert("RGB")
    except OSError as error:
        raise InputError(f"is not a usable image: {error}", file=path) from error
