"""Every fault that is planted is found; where nothing is wrong, or too little is known, nothing is said."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotsmith.diagnosis.diagnose import DETECTORS, Detector, diagnose
from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import Finding
from shotsmith.evaluation.results import Result
from shotsmith.recipe import load_recipe
from shotsmith.reports.language import LANGUAGES
from shotsmith.reports.language.findings_en import TEXT

Spoil = Callable[[Evidence], Evidence]
Column = Callable[[int], object] | object


def spoilt(settings: dict[str, object] | None = None, phase: str = "grpo", **columns: Column) -> Spoil:
    """Makes some settings and columns other ones ('__' stands for a slash); a function is given the epoch."""

    def spoil(evidence: Evidence) -> Evidence:
        rows = tuple(
            one | {name.replace("__", "/"): c(one["epoch"]) if callable(c) else c for name, c in columns.items()}
            if one["phase"] == phase
            else one
            for one in evidence.epochs
        )
        return dataclasses.replace(evidence, epochs=rows, settings={**evidence.settings, **(settings or {})})

    return spoil


def in_first_epoch(value: float) -> Callable[[int], float | None]:
    return lambda epoch: value if epoch == 1 else None


def answers(change: Callable[[Result], dict[str, Any]]) -> Spoil:
    """Makes some results other ones."""
    return lambda evidence: dataclasses.replace(
        evidence, results=tuple(dataclasses.replace(one, **change(one)) for one in evidence.results)
    )


def entered(selector: str, accuracy: float) -> Spoil:
    """A further selector whose answers are right, or nearly so."""

    def spoil(evidence: Evidence) -> Evidence:
        copies = [one for one in evidence.results if one.selector == "grpo" and one.seed == 0]
        more = [dataclasses.replace(one, selector=selector, seed=None, vqa_accuracy=accuracy) for one in copies]
        return dataclasses.replace(evidence, results=(*evidence.results, *more))

    return spoil


def ended(difference: float, low: float, high: float, p: float) -> Spoil:
    """What the test said of the trained policy minus the best free selector."""
    row = {"a": "grpo", "b": "mixed", "shots": "mean", "difference": difference, "low": low, "high": high, "p": p}
    return lambda evidence: dataclasses.replace(evidence, outcome=row)


def beside(change: Spoil, of_both: Spoil = lambda evidence: evidence) -> Spoil:
    """Lays another run beside it that differs by `change`, after both were made something by `of_both`."""
    return lambda evidence: dataclasses.replace(of_both(evidence), against=change(of_both(evidence)))


def first_places(result: Result) -> dict[str, Any]:
    """The first places of the pool, whatever stands there."""
    return {"sequence": tuple(100 * result.query_id + place for place in range(result.shots))}


def weak(evidence: Evidence) -> Evidence:
    return spoilt(adv_std=0.006, group__frac_signal=0.006)(evidence)


RECIPE = Path(__file__).parents[2] / "recipes" / "grpo.yaml"
KEEPS = {"grpo.advantage.zero_variance": "keep", "grpo.steps_per_epoch": 0}
CONTROLLED = {"grpo.kl.controller": "multiplicative"}
SUPERVISED = {"grpo.reference.policy": "supervised"}

PLANTED: dict[str, Spoil] = {
    "groups_truncated": spoilt(KEEPS | {"grpo.sampling.keep_top": [3, 5]}, group__frac_signal=0.1),
    "groups_saturated": spoilt(group__sampled=1200.0, group__frac_all_good=0.6),
    "groups_failed": spoilt(group__sampled=1200.0, group__frac_all_bad=0.6),
    "groups_without_signal": spoilt(group__sampled=1200.0, group__frac_all_good=0.05),
    "advantages_averaged": spoilt(adv_std=0.0062, group__frac_signal=0.0062),
    "signal_unmoved_by_rate": beside(spoilt({"grpo.learning_rate": 0.1}), weak),
    "signal_unmoved": beside(spoilt(), lambda evidence: dataclasses.replace(weak(evidence), settings={})),
    "setting_without_effect": beside(spoilt({"grpo.entropy_coef": 0.5})),
    "kl_from_dropout": spoilt({"grpo.dropout": True}, kl_before_first_update=in_first_epoch(0.6)),
    "kl_from_reference": spoilt(SUPERVISED, kl_before_first_update=in_first_epoch(0.6)),
    "kl_before_update": spoilt(kl_before_first_update=in_first_epoch(0.6)),
    "kl_is_noise": spoilt(kl=0.035, adv_std=0.006, kl_before_first_update=None),
    "kl_exploded": spoilt(kl=lambda epoch: 17.0 if epoch == 9 else 0.3),
    "beta_at_floor": spoilt(CONTROLLED, beta=0.001),
    "beta_at_ceiling": spoilt(CONTROLLED, beta=10.0),
    "figures_not_finite": spoilt(not_finite=lambda epoch: int(epoch > 7)),
    "skipped_updates": spoilt(skipped_updates=lambda epoch: 3 if epoch == 2 else 0),
    "gradient_spikes": spoilt(phase="rce", grad_norm=lambda epoch: 80.0 if epoch == 4 else 2.0),
    "policy_unmoved": spoilt(ratio_max=1.0, ratio_mean=1.0),
    "clip_binds": spoilt(clip_ratio__region_mean=0.45),
    "ratio_extreme": spoilt(ratio_max=40.0, ess=0.3),
    "entropy_collapsed": spoilt(entropy=lambda epoch: 2.0 / epoch**2),
    "behaviour_ess_low": spoilt({"grpo.sampling.source": "recorded"}, behaviour_ess=lambda epoch: 1 - 0.05 * epoch),
    "never_on_policy": spoilt({"grpo.sampling.source": "recorded"}),
    "val_loss_turned": spoilt(
        val_loss=lambda epoch: 8.0 + 0.05 * abs(epoch - 5) + 0.01 * (epoch % 3),
        val_reward=lambda epoch: 1.0 - 0.02 * abs(epoch - 5),
    ),
    "val_reward_turned": spoilt(val_reward=lambda epoch: 1.3 - 0.02 * abs(epoch - 6) + 0.004 * (epoch % 2)),
    "best_epoch_early": spoilt(val_reward=lambda epoch: 1.4 if epoch == 2 else 1.2),
    "criteria_disagree": spoilt(val_loss=lambda epoch: 8.0 + 0.1 * epoch),
    "ppo_loss_sign": spoilt(ppo_loss=lambda epoch: 0.0004 * (-1) ** epoch),
    "answers_all_wrong": answers(lambda one: {"vqa_accuracy": 0.0, "vqa_accuracy_normalised": 0.0}),
    "answers_all_same": answers(lambda one: {"text": "Yes."}),
    "completions_all_same": lambda evidence: dataclasses.replace(evidence, results=(), sole_completion=("Yes.", 640)),
    "training_lost": ended(-9.0, -12.0, -6.0, 0.001),
    "training_undecided": ended(1.0, -2.0, 4.0, 0.4),
    "zero_shot_best": entered("zero_shot", 1.0),
    "training_cannot_pay": lambda evidence: entered("oracle", 1.0)(entered("mixed", 0.99)(evidence)),
    "repeated_demonstrations": answers(lambda one: {"sequence": (one.sequence[0],) * one.shots}),
    "position_bias": answers(first_places),
    "more_shots_hurt": answers(
        lambda one: {"vqa_accuracy": 0.0 if one.shots == 4 and one.query_id % 4 == 0 else one.vqa_accuracy}
    ),
    "failed_answers": answers(
        lambda one: {"vqa_accuracy": None, "text": None, "failure": "timed out"} if one.query_id == 3 else {}
    ),
    "failed_rollouts": spoilt(failures=lambda epoch: 2.0 if epoch == 3 else 0.0),
    "test_evaluated_again": lambda evidence: dataclasses.replace(evidence, evaluations=3),
}
"""A fault for every finding, planted in a run that is healthy otherwise."""


def found(evidence: Evidence) -> dict[str, Finding]:
    return {finding.key: finding for finding in diagnose(evidence)}


@pytest.fixture(scope="module")
def planted(healthy: Evidence) -> dict[str, dict[str, Finding]]:
    """What is found where each fault is planted."""
    return {key: found(spoil(healthy)) for key, spoil in PLANTED.items()}


def test_a_healthy_run_has_no_findings(healthy: Evidence) -> None:
    assert diagnose(healthy) == []


def test_a_healthy_run_beside_another_healthy_one_has_none(healthy: Evidence) -> None:
    def other(evidence: Evidence) -> Evidence:
        return spoilt({"grpo.beta": 0.02}, kl=lambda epoch: 0.2 + 0.04 * epoch)(evidence)

    assert diagnose(beside(other)(healthy)) == []


@pytest.mark.parametrize("key", PLANTED)
def test_a_planted_fault_is_found(key: str, planted: dict[str, dict[str, Finding]]) -> None:
    assert key in planted[key]


def test_a_control_is_no_selector_that_zero_shot_must_beat(healthy: Evidence) -> None:
    best = entered("zero_shot", 1.0)(healthy)
    assert "zero_shot_best" in found(entered("zero_shot_blank_image", 1.0)(best))


def test_the_table_lists_every_finding_with_its_severities(planted: dict[str, dict[str, Finding]]) -> None:
    table = {key: severities for findings in DETECTORS.values() for key, severities in findings.items()}
    assert sum(map(len, DETECTORS.values())) == len(table) and table.keys() == PLANTED.keys()
    for findings in planted.values():
        assert [key for key, finding in findings.items() if finding.severity not in table[key]] == []


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_detector_returns_only_findings_listed_for_it(detector: Detector, healthy: Evidence) -> None:
    for spoil in PLANTED.values():
        result = detector(spoil(healthy))
        keys = {one.key for one in ([result] if isinstance(result, Finding) else list(result or ()))}
        assert keys <= DETECTORS[detector].keys()


def test_every_finding_there_is_has_been_planted() -> None:
    assert {key.split(".")[1] for key in TEXT if key.startswith("finding.")} == PLANTED.keys()


def test_an_oracle_far_above_or_answers_of_few_queries_are_no_finding(healthy: Evidence) -> None:
    assert diagnose(entered("oracle", 1.0)(entered("mixed", 0.8)(healthy))) == []
    few = dataclasses.replace(healthy, results=tuple(one for one in healthy.results if one.query_id < 9))
    assert not {"answers_all_same", "answers_all_wrong"} & found(answers(lambda one: {"text": "x"})(few)).keys()


def test_the_vote_is_no_answer_of_the_vlm(healthy: Evidence) -> None:
    wrong = answers(lambda one: {"vqa_accuracy": 0.0, "vqa_accuracy_normalised": 0.0})(healthy)
    assert "answers_all_wrong" in found(entered("majority_vote", 1.0)(wrong))


def test_a_gain_on_the_test_queries_is_no_finding(healthy: Evidence) -> None:
    assert diagnose(ended(6.0, 3.0, 9.0, 0.001)(healthy)) == []
    assert "training_undecided" in found(ended(6.0, 3.0, 9.0, 0.06)(healthy))


@pytest.mark.parametrize("cause", ["answers_all_same", "completions_all_same", "answers_all_wrong"])
@pytest.mark.parametrize(
    "signal", ["groups_without_signal", "groups_failed", "groups_saturated", "advantages_averaged"]
)
def test_where_no_choice_can_matter_no_other_sampling_is_advised(healthy: Evidence, cause: str, signal: str) -> None:
    told = found(PLANTED[signal](PLANTED[cause](ended(0.0, 0.0, 0.0, 1.0)(healthy))))
    assert cause in told and signal not in told
    assert not any("num_generations" in override for one in told.values() for override in one.overrides)
    advice = " ".join(LANGUAGES["en"].say(f"finding.{key}.advice", **one.values) for key, one in told.items())
    assert "ample more sequences" not in advice


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("key", PLANTED)
def test_every_finding_can_be_said(key: str, language: str, planted: dict[str, dict[str, Finding]]) -> None:
    finding = planted[key][key]
    for part in ("title", "evidence", "meaning", "advice"):
        said = LANGUAGES[language].say(f"finding.{key}.{part}", **finding.values)
        assert said and "{" not in said


@pytest.mark.parametrize("key", PLANTED)
def test_advice_can_be_given_to_a_recipe(key: str, planted: dict[str, dict[str, Finding]]) -> None:
    finding = planted[key][key]
    load_recipe(RECIPE, finding.overrides)


NEARLY: dict[str, Spoil] = {
    "a quarter of the groups left out": spoilt(group__sampled=640.0, group__entered=48.0),
    "a small spread that is the estimator's": spoilt({"grpo.advantage.estimator": "centered"}, adv_std=0.05),
    "groups cut, and signal there": spoilt(KEEPS | {"grpo.sampling.keep_top": [6]}, group__frac_signal=0.8),
    "rounding before the first update": spoilt(kl_before_first_update=in_first_epoch(2e-6)),
    "beta small because it was set so": spoilt({"grpo.kl.controller": "fixed"}, beta=0.001),
    "beta at its floor for a while": spoilt(CONTROLLED, beta=lambda epoch: 0.001 if epoch < 5 else 0.02),
    "one update a batch": spoilt({"grpo.num_iterations": 1}, ratio_max=1.0, ratio_mean=1.0),
    "a policy growing surer": spoilt(entropy=lambda epoch: 2.4 - 0.12 * epoch),
    "a few epochs on recorded rollouts": lambda evidence: dataclasses.replace(
        spoilt({"grpo.sampling.source": "recorded"})(evidence),
        epochs=tuple(one for one in evidence.epochs if one["epoch"] <= 3),
    ),
    "val loss level with noise": spoilt(
        val_loss=lambda epoch: 8.0 + 0.02 * ((epoch * 7) % 5 - 2), val_reward=lambda epoch: 1.3 + 0.001 * epoch
    ),
    "a choice that costs next to nothing": spoilt(
        val_loss=lambda epoch: 8.0 + 0.1 * epoch, val_reward=lambda epoch: 1.3 + 0.001 * epoch
    ),
    "a tiny rise": spoilt(val_loss=lambda epoch: 8.0 + 0.0001 * abs(epoch - 6), val_reward=None),
    "a PPO loss of one sign": spoilt(ppo_loss=lambda epoch: -0.0004 * epoch),
    "a gradient twice as large": spoilt(grad_norm=lambda epoch: 2.2 if epoch == 4 else 1.1),
    "similar pools, whose places mean something": lambda evidence: dataclasses.replace(
        answers(first_places)(evidence), settings={**evidence.settings, "pools.sampler": "image_similar"}
    ),
    "places of a few queries": lambda evidence: dataclasses.replace(
        answers(first_places)(evidence), results=tuple(r for r in answers(first_places)(evidence).results[:1] * 9)
    ),
    "another name, more seeds, more epochs": beside(
        spoilt({"name": "other", "seeds": [0, 1, 2], "grpo.epochs": 99, "evaluation.oracle_tries": 3})
    ),
    "another learning rate, other figures": beside(
        spoilt({"grpo.learning_rate": 0.1}, kl=0.4, val_loss=lambda epoch: 9.1 - 0.01 * epoch)
    ),
    "two runs without a row in common": beside(lambda evidence: dataclasses.replace(evidence, epochs=())),
}
"""What resembles a fault and is none."""


@pytest.mark.parametrize("case", NEARLY)
def test_what_only_resembles_a_fault_is_passed_over(case: str, healthy: Evidence) -> None:
    assert diagnose(NEARLY[case](healthy)) == []


def test_rising_val_loss_is_no_over_fitting_while_val_reward_rises(healthy: Evidence) -> None:
    rising = spoilt(val_loss=lambda epoch: 8.0 + 0.1 * epoch)
    assert list(found(rising(healthy))) == ["criteria_disagree"]
    chosen = found(spoilt({"grpo.best_by": "val_loss"})(rising(healthy)))["criteria_disagree"]
    assert (chosen.severity, chosen.overrides) == ("warning", ["grpo.best_by=val_reward"])
    assert chosen.values["by_loss"] == 1 and chosen.values["lost"] == pytest.approx(0.225, abs=0.03)


def test_the_slope_is_that_of_the_epochs_after_the_turn(healthy: Evidence) -> None:
    turn = spoilt(
        val_loss=lambda epoch: 8.0 + (0.5 - 0.1 * epoch if epoch < 5 else 0.05 * (epoch - 5)) + 0.002 * (epoch % 2),
        val_reward=None,
    )
    values = found(turn(healthy))["val_loss_turned"].values
    assert values["epoch"] == 5 or values["epoch"] == 6
    assert values["slope"] == pytest.approx(0.05, abs=0.001)
    assert 0 < values["low"] < values["slope"] < values["high"] < 0.06


def test_the_share_of_groups_without_signal_counts_those_left_out(healthy: Evidence) -> None:
    finding = found(PLANTED["groups_saturated"](healthy))["groups_saturated"]
    assert finding.values["zero"] == pytest.approx(100 * (1 - 47 * 10 / 1200))
    assert finding.overrides == ["grpo.curriculum.kind=staged"]


def test_tied_whole_groups_are_not_blamed_on_the_cut(healthy: Evidence) -> None:
    tied = spoilt(
        KEEPS | {"grpo.sampling.keep_top": [3]},
        group__frac_signal=0.1,
        frac_reward_zero_std=0.85,
        group__frac_all_bad=0.8,
        group__frac_all_good=0.05,
    )
    assert {"groups_failed"} == {key for key in found(tied(healthy)) if key.startswith("groups_")}


def test_dropout_and_another_reference_are_told_apart_and_together(healthy: Evidence) -> None:
    both = spoilt(SUPERVISED | {"grpo.dropout": True}, kl_before_first_update=in_first_epoch(0.6))
    assert [finding.key for finding in diagnose(both(healthy))] == ["kl_from_dropout", "kl_from_reference"]


def test_only_the_setting_without_effect_is_named(healthy: Evidence) -> None:
    evidence = beside(spoilt({"grpo.entropy_coef": 0.5, "supervised.epochs": 30, "name": "other"}))(healthy)
    [finding] = diagnose(evidence)
    values = finding.values
    assert (values["setting"], values["here"], values["there"], values["rows"]) == (
        "grpo.entropy_coef",
        "0.02",
        "0.5",
        32,
    )


def test_a_supervised_setting_had_an_effect_where_only_later_phases_differ(healthy: Evidence) -> None:
    evidence = beside(spoilt({"supervised.average_decay": 0.5}, kl=0.4))(healthy)
    assert diagnose(evidence) == []


def test_the_place_preferred_is_counted_from_one_with_its_share(healthy: Evidence) -> None:
    third = answers(lambda one: {"sequence": (100 * one.query_id + 2, *one.sequence[1:])})
    values = found(third(healthy))["position_bias"].values
    assert values["place"] == 3 and values["expected"] == 100 / 16
    assert values["share"] == pytest.approx(25 + 18.75 / 4, abs=5) and values["choices"] == 800


def test_failures_are_grave_where_they_are_many(healthy: Evidence) -> None:
    def failed(share: int) -> Spoil:
        return answers(lambda one: {"vqa_accuracy": None, "failure": "no\nroom"} if one.query_id < share else {})

    few, many = (found(failed(share)(healthy))["failed_answers"] for share in (2, 20))
    assert (few.severity, many.severity) == ("warning", "fault")
    assert (many.values["failures"], many.values["total"], many.values["reason"]) == (160, 1600, "no")


def test_the_harm_of_more_shots_is_the_paired_difference(healthy: Evidence) -> None:
    values = found(PLANTED["more_shots_hurt"](healthy))["more_shots_hurt"].values
    by_shots = {
        shots: [r.vqa_accuracy for r in PLANTED["more_shots_hurt"](healthy).results if r.shots == shots]
        for shots in (values["fewer"], 4)
    }
    difference = sum(by_shots[4]) / len(by_shots[4]) - sum(by_shots[values["fewer"]]) / len(by_shots[4])
    assert values["more"] == 4 and values["difference"] == pytest.approx(100 * difference)
    assert values["low"] < values["difference"] < values["high"] < 0


def test_faults_come_first(healthy: Evidence) -> None:
    spoil = [PLANTED[key] for key in ("ppo_loss_sign", "clip_binds", "kl_exploded")]
    for one in spoil:
        healthy = one(healthy)
    assert [finding.severity for finding in diagnose(healthy)] == ["fault", "warning", "note"]


COLUMNS = (
    "val_loss val_reward ppo_loss kl adv_std beta entropy grad_norm ratio_max ess behaviour_ess frac_reward_zero_std "
    "group/entered group/sampled group/frac_signal group/frac_all_good group/frac_all_bad kl_before_first_update "
    "clip_ratio/region_mean skipped_updates failures"
).split()
FIGURES = st.one_of(st.none(), st.floats(-100, 100), st.integers(0, 3))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.sampled_from(["supervised", "rce", "grpo"]),
            st.integers(1, 12),
            st.dictionaries(st.sampled_from(COLUMNS), FIGURES),
        ),
        max_size=40,
        unique_by=lambda one: one[:3],
    )
)
def test_whatever_figures_there_are_or_are_missing_the_diagnosis_holds(rows: list[Any]) -> None:
    epochs = tuple({"seed": s, "phase": p, "epoch": e, **figures} for s, p, e, figures in rows)
    evidence = Evidence("any", epochs)
    for finding in diagnose(dataclasses.replace(evidence, against=evidence)):
        for part in ("title", "evidence", "meaning", "advice"):
            assert LANGUAGES["en"].say(f"finding.{finding.key}.{part}", **finding.values)
        assert all("=" in override for override in finding.overrides)
