"""What the results say: accuracies and differences between selectors, with intervals, from the results alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from shotsmith.evaluation.accuracies import Accuracies, Metric, accuracies, as_reported, measured
from shotsmith.evaluation.beam import BEAM
from shotsmith.evaluation.data_set import data_set_rows
from shotsmith.evaluation.evaluate import ORACLE
from shotsmith.evaluation.free import best_free, is_free, place
from shotsmith.evaluation.results import Result
from shotsmith.evaluation.unresponsive import nothing_right, sole_answer
from shotsmith.recipe import EvaluationSettings
from shotsmith.runs import PHASES
from shotsmith.selectors.named import AT_BANK
from shotsmith.statistics import holm, mean_interval, paired_difference

Row = dict[str, Any]


def summarise(
    results: Sequence[Result],
    settings: EvaluationSettings,
    validation: Sequence[Result] = (),
    recall: Sequence[Row] = (),
    copied: Sequence[Row] = (),
) -> Row:
    """The tables `test`, `contrasts`, `validation`, `recall`, `copying`, `excluded`, and `best_free`, as plain values.

    test: the metric as it is reported (an accuracy in percent, CIDEr times 100, an error as it is) under `accuracy`,
    of every selector, number of shots (and 'mean': each query's mean over them) and metric, with its interval over
    the n queries, and the mean number of demonstrations shown. validation: the same of the free selectors on validation
    queries, in the leading metric; best_free: the best of these. Without `validation` it is the best on the results
    themselves, which favours it (`chosen_on` says so). contrasts: a minus b on the same queries in points of the
    data's leading metric, p after Holm's correction over the whole table. recall: see evaluation.recall. copying: see
    evaluation.copying. excluded:
    every failed completion; its query counts neither for nor against. An answer without a figure in one metric (no
    number in it) is left out of that metric's rows, whose n tells so. sole_answer, nothing_right: whether the VLM
    answered all queries alike, or none rightly (see evaluation.unresponsive); the tables then say nothing of selectors.
    """
    tables = {metric: accuracies(results, metric) for metric in measured(results)}
    test = [row for metric, table in tables.items() for row in _test_rows(metric, table, _shown(results), settings)]
    test += data_set_rows(results, settings, _shown(results))
    best = best_free(validation) if validation else best_free(results, "test")
    leading = next(iter(tables.values()))
    return {
        "test": test,
        "contrasts": _contrasts(leading, _pairs(leading, None if best is None else best.selector), settings),
        "validation": validation_rows(validation, settings) if validation else [],
        "best_free": None if best is None else best.to_json(),
        "recall": list(recall),
        "copying": list(copied),
        "excluded": [_excluded(result) for result in results if result.text is None],
        "sole_answer": sole_answer(results),
        "nothing_right": nothing_right(results),
    }


def compared(results: Sequence[Result], pairs: Sequence[tuple[str, str]], settings: EvaluationSettings) -> Row:
    """The tables `test`, `contrasts` (of these pairs of selectors alone) and `excluded`; see `summarise`."""
    tables = {metric: accuracies(results, metric) for metric in measured(results)}
    return {
        "test": [
            row for metric, table in tables.items() for row in _test_rows(metric, table, _shown(results), settings)
        ],
        "contrasts": _contrasts(next(iter(tables.values())), pairs, settings),
        "excluded": [_excluded(result) for result in results if result.text is None],
    }


def validation_rows(results: Sequence[Result], settings: EvaluationSettings) -> list[Row]:
    """Rows of the form of `test`, in the leading metric."""
    metric = measured(results)[0]
    return list(_test_rows(metric, accuracies(results, metric), _shown(results), settings))


def _shown(results: Sequence[Result]) -> dict[tuple[str, int | str], float]:
    """The mean number of demonstrations shown; fewer than the number of shots where a policy stopped by itself, or the
    budget of a prompt left some out."""
    counts: dict[tuple[str, int | str], list[int]] = {}
    for result in results:
        for shots in (result.shots, "mean"):
            counts.setdefault((result.selector, shots), []).append(len(result.sequence) - result.left_out)
    return {cell: fmean(numbers) for cell, numbers in counts.items()}


def _test_rows(
    metric: Metric, table: Accuracies, shown: Mapping[tuple[str, int | str], float], settings: EvaluationSettings
) -> Iterator[Row]:
    for selector, by_shots in table.by_selector.items():
        for shots in by_shots:
            (values,) = table.scored((selector, shots))
            if values.shape[1] < 2:
                continue
            interval = mean_interval(values, resamples=settings.resamples)
            low, high = sorted(as_reported(metric, end) for end in (interval.low, interval.high))
            yield {
                "selector": selector,
                "shots": shots,
                "metric": metric,
                "accuracy": as_reported(metric, interval.mean),
                "low": low,
                "high": high,
                "n": interval.n,
                "demonstrations": shown[selector, shots],
            }


def _contrasts(table: Accuracies, pairs: Sequence[tuple[str, str]], settings: EvaluationSettings) -> list[Row]:
    rows: list[Row] = []
    for a, b in pairs:
        for shots in table.by_selector[a]:
            if shots not in table.by_selector[b]:
                continue
            values_a, values_b = table.scored((a, shots), (b, shots))
            if values_a.shape[1] < 2:
                continue
            found = paired_difference(values_a, values_b, resamples=settings.resamples)
            rows.append(
                {
                    "a": a,
                    "b": b,
                    "shots": shots,
                    "difference": found.difference,
                    "low": found.low,
                    "high": found.high,
                    "p": found.p,
                }
            )
    return [{**row, "p": p} for row, p in zip(rows, holm([row["p"] for row in rows]), strict=True)]


def _pairs(table: Accuracies, best: str | None) -> list[tuple[str, str]]:
    """The most trained policy against everything; earlier phases against the best free selector; gaps to the bounds."""
    present = table.by_selector
    trained = [name for name in reversed(PHASES) if name in present]
    last = trained[0] if trained else ""
    free = [name for name in present if is_free(name)]
    pairs: list[tuple[str, str | None]] = [
        (last, best),
        *((last, earlier) for earlier in trained[1:]),
        *((last, name) for name in sorted(free, key=place)),
        *((earlier, best) for earlier in trained[1:]),
        (f"{last}{AT_BANK}", best),
        (f"{last}{AT_BANK}", last),
        (last, f"{last}_reversed"),
        (BEAM, last),
        (ORACLE, last),
        (ORACLE, best),
    ]
    return list(dict.fromkeys((a, b) for a, b in pairs if b is not None and a in present and b in present))


def _excluded(result: Result) -> Row:
    return {
        "query_id": result.query_id,
        "selector": result.selector,
        "seed": result.seed,
        "shots": result.shots,
        "draw": result.draw,
        "failure": result.failure,
    }
