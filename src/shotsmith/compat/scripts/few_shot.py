"""One checkpoint, wherever it was trained, on the test queries: few-shot accuracy at every number of demonstrations."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from statistics import fmean

from shotsmith.checkpoints.native import UNKNOWN, Manifest
from shotsmith.errors import InputError, ShotsmithError
from shotsmith.evaluation.evaluate import Entrant, evaluate
from shotsmith.evaluation.looks import record_look
from shotsmith.evaluation.results import Result, read_results, write_results
from shotsmith.experiment.parts import Parts
from shotsmith.files import read_json, write_json
from shotsmith.policies.protocol import Policy
from shotsmith.selectors.policy import PolicySelector

_DIGITS = 6
"""Finer than one answer of 300,000 questions: what is cut off is rounding."""

_log = logging.getLogger(__name__)


PREDECESSOR_METRIC: Mapping[str, str] = {"vqa_accuracy": "vqa_accuracy_normalised"}
"""What its metrics files hold, where that is not our leading metric: it always normalised prediction and answers."""


def few_shot_accuracies(parts: Parts, policy: Policy, manifest: Manifest) -> dict[int, float]:
    """The metric of the data (official VQA accuracy: 0 to 1) by number of shots.

    The results per query are kept in the run. A failed completion is counted and left out. Raises InputError where
    the policy reads other embeddings than the recipe's encoder gives, ShotsmithError where no completion of a number
    of shots could be had.
    """
    _check_embeddings(parts, manifest)
    test = parts.tasks("test")
    record_look(parts.run, (query.id for query in test.queries), [manifest])
    entrant = Entrant(PolicySelector(manifest.phase, policy.to(parts.inputs("test").device)))
    results = evaluate(test, [entrant], parts.recipe.evaluation.shots, parts.ask)
    write_results(parts.run.results, results)
    return _means(results, test.measure.name)


def as_predecessor_measured(parts: Parts) -> dict[int, float]:
    """Lever-Plus's metric by number of shots, from the results that `few_shot_accuracies` has kept."""
    leading = parts.tasks("test").measure.name
    return _means(read_results(parts.run.results), PREDECESSOR_METRIC.get(leading, leading))


def append_metrics(file: Path, accuracies: Mapping[int, float], queries: int) -> str:
    """Add an entry, named for the local time, to a metrics file in Lever-Plus's form; its name."""
    entries = read_json(file) if file.exists() else {}
    if not isinstance(entries, dict):
        raise InputError("is not an object of metrics", file=file)
    name = f"{datetime.now()}-test_data_num={queries}-LeverLMRetriever"
    entries[name] = {f"shot_num={shots}": round(accuracy, _DIGITS) for shots, accuracy in accuracies.items()}
    write_json(file, entries)
    return name


def _check_embeddings(parts: Parts, manifest: Manifest) -> None:
    width = parts.inputs("test").embedding_width
    if manifest.embedding_width != width:
        joined = parts.recipe.encoder.joined
        raise InputError(
            f"the policy reads embeddings of width {manifest.embedding_width}; with encoder.joined={joined} "
            f"{parts.recipe.encoder.named} gives {width}"
        )
    if manifest.encoder.startswith(UNKNOWN):
        _log.warning(
            "the checkpoint does not say which encoder it was trained with; %s is used", parts.encoder.identity
        )
    elif manifest.encoder != parts.encoder.identity:
        raise InputError(f"the policy was trained with the encoder {manifest.encoder}, not {parts.encoder.identity}")


def _means(results: list[Result], metric: str) -> dict[int, float]:
    return {shots: _mean(results, metric, shots) for shots in sorted({result.shots for result in results})}


def _mean(results: list[Result], metric: str, shots: int) -> float:
    values = [result.value(metric) for result in results if result.shots == shots]
    scored = [value for value in values if value is not None]
    if not scored:
        raise ShotsmithError(f"no completion with {shots} demonstrations could be had")
    if missing := len(values) - len(scored):
        _log.warning("%d of %d completions with %d demonstrations failed and are left out", missing, len(values), shots)
    return fmean(scored)
