from __future__ import annotations

import pytest

from shotsmith.errors import DataError
from shotsmith.metrics.measure import LABELS, VQA, measure_of
from shotsmith.metrics.vqa import vqa_accuracy, vqa_accuracy_stemmed


def test_the_leading_metric_comes_first_and_its_variants_beside_it():
    answers = ["surf"] * 4 + ["surfing"] * 6
    assert VQA.name == "vqa_accuracy" and list(VQA.scores("surf", answers)) == list(VQA.metrics)
    assert VQA.score("surf", answers) == vqa_accuracy("surf", answers)
    assert VQA.scores("surf", answers)["vqa_accuracy_stemmed"] == vqa_accuracy_stemmed("surf", answers)
    assert VQA.highest(answers) == 1.0
    assert measure_of("exact_match", []) is LABELS and measure_of("vqa_accuracy", []) is VQA


def test_captions_are_measured_against_the_references_of_their_split():
    references = [["a red dog runs", "the dog runs home"], ["a blue cat sleeps", "one cat asleep"]]
    measure = measure_of("cider", references)
    assert measure.name == "cider"
    assert measure.score("a red dog runs", references[0]) > measure.score("a dog", references[0]) > 0
    assert measure.score("a red dog runs", references[0]) <= measure.highest(references[0])
    with pytest.raises(DataError):
        measure_of("cider", references[:1])
