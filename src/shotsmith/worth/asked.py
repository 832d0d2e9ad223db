"""What a run has asked: its bank, its queries, and every logged prompt with the score of the answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from shotsmith.completions.prompts import Prompt, read_prompts
from shotsmith.completions.store import Store
from shotsmith.data.load import load_splits
from shotsmith.data.splits import Splits
from shotsmith.embeddings.embedded import Embedded
from shotsmith.errors import DataError, InputError
from shotsmith.evaluation.evaluate import ORACLE
from shotsmith.evaluation.results import Result, read_results
from shotsmith.metrics.measure import Measure, measure_of
from shotsmith.metrics.table import METRICS
from shotsmith.records import Completion, Example
from shotsmith.runs import SPLITS, Run, Split

Rows = npt.NDArray[np.int64]

LEAVE_ONE_OUT = "leave_one_out"
"""Origin of prompts that were asked to judge entries; they are no evidence of what a run shows."""


@dataclass(frozen=True, slots=True)
class AskedPrompt:
    """One prompt with the score of its answer."""

    split: Split
    """The split of the query."""
    query: int
    """Id of the query."""
    shown: tuple[int, ...]
    """Rows of the bank, in the order shown."""
    text: str
    """The VLM's answer."""
    score: float
    """In the leading metric of the data, higher is better."""


@dataclass(frozen=True)
class AskedRun:
    """A run's bank, its queries, and what they were shown with what result."""

    run: Run
    splits: Splits
    prompts: tuple[AskedPrompt, ...]
    """The distinct prompts of the log whose completion is scored; none in runs that logged none."""
    unscored: int
    """Logged prompts that failed or whose completion is not in the store."""
    results: tuple[Result, ...]
    """Results of the evaluation on test queries; none before it."""
    scale: float
    """What scores are multiplied by to be reported: 100 for an accuracy."""

    @property
    def bank(self) -> tuple[Example, ...]:
        """The entries that can be shown; rows of the bank count from 0 in this order."""
        return self.splits.bank

    @cached_property
    def row_of(self) -> Mapping[int, int]:
        """Row of the bank by the id of its entry."""
        return {example.id: row for row, example in enumerate(self.bank)}

    @cached_property
    def prompts_by_row(self) -> Mapping[int, list[AskedPrompt]]:
        """The logged prompts of training and validation queries that show an entry, by its row of the bank."""
        found: defaultdict[int, list[AskedPrompt]] = defaultdict(list)
        for prompt in self.prompts:
            if prompt.split != "test":
                for row in dict.fromkeys(prompt.shown):
                    found[row].append(prompt)
        return found

    @cached_property
    def results_by_row(self) -> Mapping[int, list[Result]]:
        """The results on test queries that show an entry, by its row of the bank."""
        found: defaultdict[int, list[Result]] = defaultdict(list)
        for result in self.results:
            for number in dict.fromkeys(result.sequence[result.left_out :]):
                found[self.row_of[number]].append(result)
        return found

    @cached_property
    def query_of(self) -> Mapping[int, tuple[Split, Example]]:
        """Split and example of every query by id."""
        return {example.id: (split, example) for split in SPLITS for example in self.splits.named()[split]}

    @cached_property
    def embedded(self) -> Mapping[str, Embedded]:
        """Embeddings by split, and of the bank; only those whose file is in the folder and fits the data."""
        sizes = {split: len(examples) for split, examples in self.splits.named().items()}
        own = self.splits.own_bank
        if own is not None:
            sizes["bank"] = len(own)
        averaged = self.run.recipe.encoder.joined == "mean"
        found = {}
        for split, size in sizes.items():
            file = self.run.embeddings(split)
            if file.exists():
                arrays = load_file(file)
                if len(arrays["questions"]) != size:
                    raise DataError(f"has {len(arrays['questions'])} rows for {size} examples", file=file)
                found[split] = Embedded(arrays["images"], arrays["questions"], averaged)
        return found if own is not None or "train" not in found else found | {"bank": found["train"]}

    @cached_property
    def judged(self) -> tuple[tuple[AskedPrompt, ...], str]:
        """The prompts that values are estimated from, and on which queries: 'train and val', or 'test'.

        Test queries stand in only where a run has no log of prompts: whoever drops entries by them and evaluates again
        on the same queries reports an accuracy that is too high. The oracle's sequences are left out there, because it
        chose them by their results.
        """
        own = tuple(prompt for prompt in self.prompts if prompt.split != "test")
        if own:
            return own, "train and val"
        return tuple({(p.query, p.shown): p for p in self._evaluated()}.values()), "test"

    def query_scores(self, trained: str | None) -> dict[int, float]:
        """The score of queries by id: of training and validation queries the mean over their prompts with
        demonstrations, of test queries that of the trained selector, over numbers of shots and seeds."""
        scores: defaultdict[int, list[float]] = defaultdict(list)
        for prompt in self.prompts:
            if prompt.split != "test" and prompt.shown:
                scores[prompt.query].append(prompt.score)
        metric = self.metric
        for result in self.results:
            value = result.value(metric)
            if result.selector == trained and value is not None:
                scores[result.query_id].append(value)
        return {query: float(np.mean(some)) for query, some in scores.items()}

    def _evaluated(self) -> list[AskedPrompt]:
        found = []
        metric = self.metric
        for result in self.results:
            value = result.value(metric)
            if result.selector != ORACLE and value is not None and result.text is not None:
                shown = tuple(self.row_of[number] for number in result.sequence[result.left_out :])
                found.append(AskedPrompt("test", result.query_id, shown, result.text, value))
        return found

    @cached_property
    def metric(self) -> str:
        """The leading metric of the data."""
        return measure_of_run(self.run, self.splits, "test").name


def measure_of_run(run: Run, splits: Splits, split: Split) -> Measure:
    """The measure of a run's answers to the queries of a split."""
    return measure_of(run.recipe.data.metric, (example.answers for example in splits.named()[split]))


def read_asked(run: Run) -> AskedRun:
    """Read what a run has asked.

    Raises InputError where its data are not made yet, DataError or StoreError where something is damaged or does not
    belong together.
    """
    if not run.is_done("data"):
        raise InputError(f"has no data yet: shotsmith run {run.recipe_file}", file=run.folder)
    splits = load_splits(run.recipe.data, run.world, check=False, skipped=run.skipped, image_ids=run.image_ids)
    results = tuple(read_results(run.results)) if run.results.exists() else ()
    measures = {split: measure_of_run(run, splits, split) for split in SPLITS if splits.named()[split]}
    first = next(iter(measures.values()))
    log = [prompt for prompt in read_prompts(run.prompts) if not prompt.origin.endswith(LEAVE_ONE_OUT)]
    logged = list({prompt.key: prompt for prompt in log}.values())
    completions = _completions(run, logged)
    asked = AskedRun(run, splits, (), 0, results, METRICS[first.name].scale)
    _check_results(asked)
    prompts = [
        found
        for prompt in logged
        if (found := _asked_prompt(asked, measures, prompt, completions.get(prompt.key))) is not None
    ]
    return AskedRun(run, splits, tuple(prompts), len(logged) - len(prompts), results, asked.scale)


def _completions(run: Run, logged: list[Prompt]) -> Mapping[str, Completion]:
    file: Path = run.recipe.store or run.completions
    if not logged or not file.exists():
        return {}
    with Store.open_to_read(file) as store:
        return store.get_many([prompt.key for prompt in logged])


def _asked_prompt(
    asked: AskedRun, measures: Mapping[Split, Measure], prompt: Prompt, completion: Completion | None
) -> AskedPrompt | None:
    strangers = [number for number in prompt.shown if number not in asked.row_of]
    if prompt.query not in asked.query_of or strangers:
        number = strangers[0] if prompt.query in asked.query_of else prompt.query
        raise DataError(f"names example {number}, which the data do not hold", file=asked.run.prompts)
    split, query = asked.query_of[prompt.query]
    text = None if completion is None else measures[split].prediction(query, completion)
    if text is None:
        return None
    shown = tuple(asked.row_of[number] for number in prompt.shown)
    return AskedPrompt(split, query.id, shown, text, measures[split].score(text, query.answers))


def _check_results(asked: AskedRun) -> None:
    for result in asked.results:
        if strangers := [number for number in result.sequence if number not in asked.row_of]:
            problem = f"shows example {min(strangers)}, which is not in the bank"
            raise DataError(problem, file=asked.run.results, row=result.query_id, field="sequence")
