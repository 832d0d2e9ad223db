"""Answers that repeat a demonstration: how often, how often wrongly, and whether the last demonstration counts more.

All of it is computed from results and the bank alone; no VLM is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as ManyOf
from statistics import fmean
from typing import Any

from shotsmith.evaluation.accuracies import Shots, arranged, finite, measured
from shotsmith.evaluation.majority_vote import MAJORITY_VOTE
from shotsmith.evaluation.results import Result
from shotsmith.metrics.table import METRICS
from shotsmith.recipe import EvaluationSettings
from shotsmith.recipe.evaluation import CONFIDENCE
from shotsmith.statistics import mean_interval

Row = dict[str, Any]
Shown = Callable[[Result], ManyOf[str]]
"""Gives the answers of the demonstrations in a result's prompt, in order, as they were shown."""


def copying(results: ManyOf[Result], shown: Shown, settings: EvaluationSettings) -> list[Row]:
    """A row for each selector that shows demonstrations and number of shots (and 'mean' over them).

    Shares are in percent of the answers; two answers are the same where the leading metric's form of them is. Draws
    are averaged per query. A query without an answer is left out.

    copied: answers that are the answer of a demonstration in the prompt. wrong: answers that score 0 in the leading
    metric. wrong_copied: share of these that are copied; None where none is wrong. n: queries. last: answers that are
    the last demonstration's. others: answers that are the demonstration's at another position, averaged over these
    positions. last_shot: last - others in points, with its interval `low` to `high`. The last five are over the
    `last_n` queries that were shown two demonstrations or more, and None where these are fewer than two.
    """
    found = _Repeats(results, shown)
    return [
        {"selector": selector, "shots": shots} | shares | found.last_shot(selector, shots, settings)
        for selector, shots in found.cells()
        if (shares := found.shares(selector, shots)) is not None
    ]


def copying_statements(rows: ManyOf[Mapping[str, Any]], selector: str) -> Iterator[tuple[str, Row]]:
    """What a report says of a selector, mean over the numbers of shots: keys of its texts, with their values.

    Nothing for a selector without a row, as in runs from before this was computed.
    """
    row = next((one for one in rows if (one["selector"], one["shots"]) == (selector, "mean")), None)
    if row is None:
        return
    yield "copying.answers", {"policy": selector, "share": row["copied"]}
    if row["wrong_copied"] is not None:
        yield "copying.wrong", {"policy": selector, "share": row["wrong_copied"], "wrong": row["wrong"]}
    if row["last_shot"] is not None:
        sign = "more" if row["low"] > 0 else "less" if row["high"] < 0 else "open"
        values = {name: row[name] for name in ("last", "others", "low", "high")}
        yield f"copying.last.{sign}", {"policy": selector, "difference": row["last_shot"], **values}


class _Repeats:
    """Which answers repeat a demonstration, arranged as accuracies are."""

    def __init__(self, results: ManyOf[Result], shown: Shown) -> None:
        self._metric = measured(results)[0]
        self._shown = shown
        showing = {one.selector for one in results if one.sequence and not one.selector.startswith(MAJORITY_VOTE)}
        own = [one for one in results if one.selector in showing]
        several = [one for one in own if one.shots > 1]
        values = (self._copied, self._wrong, self._copied_wrong)
        self._shares = [arranged(own, value).by_selector for value in values]
        self._positions = [arranged(several, value).by_selector for value in (self._last, self._others)]

    def cells(self) -> Iterator[tuple[str, Shots]]:
        for selector, by_shots in self._shares[0].items():
            yield from ((selector, shots) for shots in by_shots)

    def shares(self, selector: str, shots: Shots) -> Row | None:
        """None where no query has an answer."""
        copied, wrong, both = finite([table[selector][shots] for table in self._shares])
        if not copied.size:
            return None
        share = 100 * float(both.mean() / wrong.mean()) if wrong.any() else None
        return {
            "copied": float(copied.mean()),
            "wrong": float(wrong.mean()),
            "wrong_copied": share,
            "n": copied.shape[1],
        }

    def last_shot(self, selector: str, shots: Shots, settings: EvaluationSettings) -> Row:
        nothing: Row = dict.fromkeys(("last", "others", "last_shot", "low", "high"))
        tables = [table[selector][shots] for table in self._positions if shots in table.get(selector, {})]
        if not tables:
            return {**nothing, "last_n": 0}
        last, others = finite(tables)
        if last.shape[1] < 2:
            return {**nothing, "last_n": last.shape[1]}
        found = mean_interval(last - others, confidence=CONFIDENCE, resamples=settings.resamples)
        shares = {"last": float(last.mean()), "others": float(others.mean()), "last_shot": found.mean}
        return {**shares, "low": found.low, "high": found.high, "last_n": found.n}

    def _repeated(self, result: Result) -> list[bool] | None:
        """For each demonstration in the prompt, whether its answer is the result's; None without an answer."""
        if result.text is None:
            return None
        form = METRICS[self._metric].form
        return [form(answer) == form(result.text) for answer in self._shown(result)]

    def _copied(self, result: Result) -> float | None:
        repeated = self._repeated(result)
        return None if repeated is None else 100.0 * any(repeated)

    def _wrong(self, result: Result) -> float | None:
        figure = result.value(self._metric)
        return None if figure is None else 100.0 * (figure == 0)

    def _copied_wrong(self, result: Result) -> float | None:
        copied, wrong = self._copied(result), self._wrong(result)
        return None if copied is None or wrong is None else min(copied, wrong)

    def _last(self, result: Result) -> float | None:
        repeated = self._repeated(result)
        return None if repeated is None or len(repeated) < 2 else 100.0 * repeated[-1]

    def _others(self, result: Result) -> float | None:
        repeated = self._repeated(result)
        return None if repeated is None or len(repeated) < 2 else 100.0 * fmean(repeated[:-1])
