"""What the folder of an evaluated run holds, read once: results, queries, bank, embeddings. Nothing is written."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from shotsmith.data.barring import BarringIndex
from shotsmith.data.load import load_splits
from shotsmith.data.splits import Splits, choose_queries
from shotsmith.embeddings.embedded import Embedded
from shotsmith.errors import InputError
from shotsmith.evaluation.accuracies import measured
from shotsmith.evaluation.results import Result, read_results
from shotsmith.metrics.measure import Measure, measure_of
from shotsmith.records import Example
from shotsmith.reports.facts import facts
from shotsmith.runs import PHASES, Run, show
from shotsmith.selectors.protocol import Tasks
from shotsmith.vlms.pretrained.lengths import load_budget
from shotsmith.vlms.prompting.budget import PromptBudget

Rows = npt.NDArray[np.int64]
_OPENED = 4
"""Runs whose data stay in memory."""


class RunData:
    """The data of one run. Every part is read when it is first asked for, and then kept."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @cached_property
    def splits(self) -> Splits:
        """All examples. Raises DataError where the files of the data are not what they were."""
        run = self.run
        if run.recipe.data.world is not None and not run.world.exists():
            raise InputError("the data have not been made yet", file=run.folder)
        return load_splits(run.recipe.data, run.world, check=False, skipped=run.skipped, image_ids=run.image_ids)

    @cached_property
    def queries(self) -> tuple[Example, ...]:
        """The test queries, in the order of the evaluation."""
        return tuple(self.splits.test[row] for row in self._query_rows)

    @cached_property
    def query_numbers(self) -> Mapping[int, int]:
        """The place of each test query by its id."""
        return {query.id: number for number, query in enumerate(self.queries)}

    @cached_property
    def bank_rows(self) -> Mapping[int, int]:
        """The row of each entry of the bank by its id."""
        return {example.id: row for row, example in enumerate(self.splits.bank)}

    @cached_property
    def results(self) -> tuple[Result, ...]:
        """The evaluation, row by row. Raises InputError where the run has none yet."""
        if not self.run.results.exists():
            raise InputError("is not evaluated yet", file=self.run.folder)
        return tuple(read_results(self.run.results))

    @cached_property
    def tries(self) -> Mapping[int, tuple[Result, ...]]:
        """The results of each query by its id: selectors in the order of the evaluation, then shots, seeds, draws."""
        found: dict[int, list[Result]] = {}
        for result in self.results:
            found.setdefault(result.query_id, []).append(result)
        return {query: tuple(results) for query, results in found.items()}

    @cached_property
    def metric(self) -> str:
        """The metric that the lists and changes are in: the leading one of the results."""
        return measured(self.results)[0]

    @cached_property
    def selectors(self) -> tuple[str, ...]:
        """The selectors of the evaluation, in its order."""
        return tuple(dict.fromkeys(result.selector for result in self.results))

    @cached_property
    def shots(self) -> tuple[int, ...]:
        """The numbers of shots of the evaluation, ascending."""
        return tuple(sorted({result.shots for result in self.results}))

    @cached_property
    def trained(self) -> str | None:
        """The last phase that has results; None where nothing is trained."""
        return next((phase for phase in reversed(PHASES) if phase in self.selectors), None)

    @cached_property
    def best_free(self) -> str | None:
        """The free selector that the report compares with: the best on validation queries."""
        found = facts(show(self.run)).best_free
        return found if found in self.selectors else None

    @cached_property
    def measure(self) -> Measure:
        """What answers of the VLM are measured by."""
        return measure_of(self.run.recipe.data.metric, (example.answers for example in self.splits.test))

    @cached_property
    def barred(self) -> list[Rows]:
        """For each test query, the rows of the bank that it must not be shown."""
        found = BarringIndex(self.splits.bank).barred(self.queries)
        threshold = self.run.recipe.data.bar_similarity
        if threshold is not None:
            rows = np.asarray(self._query_rows, dtype=np.int64)
            found = found.with_similar(_compared(self._embedded("test").rows(rows)), _compared(self.bank), threshold)
        return found.rows

    @cached_property
    def query_embeddings(self) -> Embedded:
        """Embeddings of the test queries. Raises InputError where the run folder has none."""
        return self._embedded("test").rows(np.asarray(self._query_rows, dtype=np.int64))

    @cached_property
    def bank(self) -> Embedded:
        """Embeddings of the bank. Raises InputError where the run folder has none, or of another bank."""
        found = self._embedded("train" if self.splits.own_bank is None else "bank")
        there, wanted = len(found.questions), len(self.splits.bank)
        if there != wanted:
            problem = f"has embeddings of {there:,} entries of the bank, which now has {wanted:,}"
            raise InputError(problem, file=self.run.folder)
        return found

    @cached_property
    def pools(self) -> npt.NDArray[np.int64] | None:
        """The pools of the test queries; None where the recipe has none."""
        if self.run.recipe.pools is None:
            return None
        pools: npt.NDArray[np.int64] = load_file(_there(self.run.pools("test")))["pools"]
        return pools

    @cached_property
    def budget(self) -> PromptBudget | None:
        """What prompts must fit into; None where the recipe sets no bound."""
        return load_budget(self.run.recipe.vlm)

    def task(self, query: int) -> Tasks:
        """One test query, by its number, that may be shown any entry of the bank; nothing is embedded for it."""
        none = Embedded(*(np.zeros((1, 0), dtype=np.float32),) * 2)
        bank = Embedded(*(np.zeros((len(self.splits.bank), 0), dtype=np.float32),) * 2)
        barred = [self.barred[query]]
        return Tasks((self.queries[query],), self.splits.bank, None, none, bank, self.measure, barred, self.budget)

    def number_of(self, query: int) -> int:
        """The number of the test query with this id. Raises InputError where there is none."""
        if query not in self.query_numbers:
            raise InputError(f"no test query has the id {query}", file=self.run.folder)
        return self.query_numbers[query]

    def example(self, split: str, number: int) -> Example:
        """An example of the bank or of a split by its id. Raises InputError where there is none."""
        if split == "bank":
            if number in self.bank_rows:
                return self.splits.bank[self.bank_rows[number]]
        elif split in self._by_id and number in self._by_id[split]:
            return self._by_id[split][number]
        raise InputError(f"no example of '{split}' has the id {number}", file=self.run.folder)

    @cached_property
    def _by_id(self) -> Mapping[str, Mapping[int, Example]]:
        return {name: {example.id: example for example in some} for name, some in self.splits.named().items()}

    @cached_property
    def _query_rows(self) -> tuple[int, ...]:
        data = self.run.recipe.data
        return choose_queries(self.splits.test, data.test_queries, data.seed)

    def _embedded(self, split: str) -> Embedded:
        held = load_file(_there(self.run.embeddings(split)))
        return Embedded(held["images"], held["questions"], self.run.recipe.encoder.joined == "mean")


_kept: dict[Path, tuple[object, RunData]] = {}
_lock = threading.Lock()


def run_data(run: Run) -> RunData:
    """The data of a run, kept from one call to the next until its results change."""
    stamp = (_stamp(run.recipe_file), _stamp(run.results), _stamp(run.summary))
    with _lock:
        known = _kept.pop(run.folder, None)
        if known is None or known[0] != stamp:
            known = stamp, RunData(run)
        _kept[run.folder] = known  # the last is the one used last
        while len(_kept) > _OPENED:
            del _kept[next(iter(_kept))]
        return known[1]


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size


def _there(file: Path) -> Path:
    """The file. Raises InputError where it is not in the run folder."""
    if not file.exists():
        raise InputError("is not in the run folder (it may not have been copied with it)", file=file)
    return file


def _compared(embedded: Embedded) -> npt.NDArray[np.float32]:
    return embedded.images if embedded.has_images else embedded.questions
