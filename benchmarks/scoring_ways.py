"""The ways of LocalVLM that are compared, each with collector and store."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from scoring_work import Work

from shotsmith.completions.collect import Collector
from shotsmith.completions.store import Store
from shotsmith.records import Completion, Failure, Request
from shotsmith.vlms.qwen.local import LocalVLM

WAYS = {"batched": (False, False), "cached": (True, False), "shared": (True, True)}
"""Name -> whether vision features are kept, and beginnings shared."""

Answers = dict[Request, Completion | Failure]
Clock = Callable[[], float]


def collect(
    file: Path,
    vlm: LocalVLM,
    work: Work,
    *,
    keep: bool,
    share: bool,
    anew: bool = False,
    clock: Clock = time.perf_counter,
) -> tuple[Answers, float, float]:
    """All answers, the seconds they took with a new store, and the share of images that were not encoded for them."""
    set_up(vlm, keep=keep, share=share, anew=anew)
    before = replace(vlm.work)
    answers: Answers = {}
    with Store.open(file) as store:
        collector = Collector(store, vlm)
        started = clock()
        for call in work:
            answers |= zip(call, collector.ask(call, "benchmark"), strict=True)
        seconds = clock() - started
    done = vlm.work.since(before)
    return answers, seconds, (done["remembered"] + done["read"]) / done["images"]


def set_up(vlm: LocalVLM, *, keep: bool, share: bool, anew: bool) -> None:
    """Let the VLM keep vision features or not, share beginnings or not; `anew` forgets the features it has."""
    vlm._decoder._share = share
    vision = vlm._vision
    vision._limit = 2 << 30 if keep else 0
    if anew:
        vision._kept.clear()
        vision._bytes = 0


def same(answers: Answers, expected: Answers, tolerance: float = 1e-4) -> bool:
    """Whether texts are equal, and log-probabilities to the tolerance."""
    return texts_equal(answers, expected) == 1 and farthest(answers, expected) < tolerance


def texts_equal(answers: Answers, expected: Answers) -> float:
    """The share of the expected texts."""
    return sum(answered(answers[one]).text == answered(two).text for one, two in expected.items()) / len(expected)


def farthest(answers: Answers, expected: Answers) -> float:
    """The largest difference of a log-probability."""
    return max(
        (
            abs(answered(answers[request]).log_probs[answer] - value)
            for request, wanted in expected.items()
            for answer, value in answered(wanted).log_probs.items()
        ),
        default=0.0,
    )


def answered(one: Completion | Failure) -> Completion:
    """Raises ValueError for a failure: none is expected here."""
    if isinstance(one, Failure):
        raise ValueError(one.reason)
    return one
