"""The table of metrics is where every list of them comes from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.evaluation.accuracies import measured
from shotsmith.evaluation.results import Result, read_results, result_with, write_results
from shotsmith.metrics.measure import measure_of
from shotsmith.metrics.table import METRICS, leading
from shotsmith.recipe import parse_recipe
from shotsmith.recipe.rewards import further_metrics
from shotsmith.reports.language import LANGUAGES
from shotsmith.rewards import REWARDS

DOCS = Path(__file__).parents[2] / "docs" / "evaluation.md"
REFERENCES = (["a red dog runs", "the dog runs home"], ["a blue cat sleeps", "one cat asleep"])
TRUTHS = {"mean_absolute_error": "12", "closeness": "12", "choice_letter": "B", "choice_likelihood": "B"}
EVERY = pytest.mark.parametrize("name", METRICS)


def truth_for(name: str) -> str:
    return TRUTHS.get(name, "the dog runs home")


def result_of(scores: dict[str, float], truth: str | None = None) -> Result:
    fields = {"query_id": 1, "selector": "mixed", "seed": None, "shots": 1, "draw": 0, "sequence": (2,), "text": "x"}
    return result_with(scores, **fields, question_type="", truth=truth)


@EVERY
def test_a_metric_says_how_it_is_measured_in_one_way(name: str):
    metric = METRICS[name]
    assert sum(way is not None for way in (metric.of, metric.fitted, metric.of_data_set)) == 1
    assert {*metric.beside, *([metric.stand_in] if metric.stand_in else [])} <= METRICS.keys()
    if metric.of_data_set is not None or metric.lower_is_better:
        assert metric.stand_in is not None and not METRICS[metric.stand_in].lower_is_better


@EVERY
def test_a_metric_can_be_named_by_data_and_reward_and_has_a_name_in_reports_and_a_line_in_the_docs(name: str):
    columns = {"options": "choices"}
    recipe = parse_recipe(
        {"data": {"table": {"train": "a", "test": "b", "metric": name, "columns": columns}}, "reward": {name: 0.5}}
    )
    assert recipe.data.metric == name and recipe.reward.weight(name) == 0.5 and name in REWARDS
    assert all(language.name(name) not in ("", name) for language in LANGUAGES.values())
    assert re.search(rf"^\| `{name}` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)


@EVERY
def test_the_leading_metric_gives_the_truth_the_most_and_every_text_a_score(name: str):
    measure, truth = measure_of(name, REFERENCES), truth_for(name)
    answers = [truth] * 4
    assert measure.score(truth, answers) == pytest.approx(measure.highest(answers), abs=1e-6)
    assert measure.name == (METRICS[name].stand_in or name) == next(iter(measure.scores(truth, answers)))

    @given(st.text(max_size=12))
    def bounded(text: str) -> None:
        assert 0 <= measure.score(text, answers) <= measure.highest(answers) + 1e-6

    bounded()


@EVERY
def test_results_keep_every_metric_and_name_the_leading_one_first(name: str, tmp_path: Path):
    measure, truth = measure_of(name, REFERENCES), truth_for(name)
    result = result_of(measure.scores(truth, [truth] * 4), truth if measure.of_data_set else None)
    write_results(tmp_path / "results.parquet", [result])
    assert read_results(tmp_path / "results.parquet") == [result]
    assert measured([result]) == tuple(measure.metrics)


@pytest.mark.parametrize("name", ["vqa_accuracy", "vqa_accuracy_normalised", "vqa_accuracy_stemmed"])
def test_no_prediction_reaches_more_than_the_highest_accuracy_of_few_annotators(name: str):
    measure = measure_of(name)
    assert measure.highest(["surf", "surf", "wave"]) == measure.score("surf", ["surf", "surf", "wave"]) < 1
    assert measure.highest(["surf"]) == 0


def test_a_metric_that_is_no_score_stands_beside_what_stands_in_for_it():
    assert leading(["mean_absolute_error", "relaxed_accuracy", "closeness"])[0] == "closeness"
    assert leading(["vqa_accuracy_stemmed", "vqa_accuracy"]) == ["vqa_accuracy", "vqa_accuracy_stemmed"]


def test_the_further_metrics_are_those_without_a_setting_of_their_own():
    assert set(METRICS) - set(further_metrics()) == {"vqa_accuracy", "cider"}


@pytest.mark.parametrize("section", ["table", "hub", "texts"])
def test_an_unknown_metric_is_refused_with_the_known_ones(section: str):
    files = {"dataset": "x"} if section == "hub" else {"train": "a", "test": "b"}
    with pytest.raises(Exception, match=r"no metric is called 'bleu'; there are vqa_accuracy, .*anls"):
        parse_recipe({"data": {section: files | {"metric": "bleu"}}})
