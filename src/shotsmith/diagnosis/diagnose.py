"""Diagnose a run: the table of all detectors, and the findings they return."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from shotsmith.diagnosis.answers import (
    answers_all_same,
    answers_all_wrong,
    completions_all_same,
    failed_answers,
    failed_rollouts,
)
from shotsmith.diagnosis.dead_settings import setting_without_effect, signal_unmoved
from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.finding import SEVERITIES, Finding, Severity
from shotsmith.diagnosis.overfitting import (
    best_epoch_early,
    criteria_disagree,
    evaluated_again,
    val_loss_turned,
    val_reward_turned,
)
from shotsmith.diagnosis.selections import (
    more_shots_hurt,
    position_bias,
    repeated_demonstrations,
    training_cannot_pay,
    training_lost,
    zero_shot_best,
)
from shotsmith.diagnosis.signal import advantages_averaged, entropy_collapsed, groups_without_signal
from shotsmith.diagnosis.updates import (
    behaviour_ess_low,
    beta_at_bound,
    clip_binds,
    figures_not_finite,
    gradient_spikes,
    kl_before_update,
    kl_exploded,
    kl_is_noise,
    never_on_policy,
    policy_unmoved,
    ppo_loss_sign,
    ratio_extreme,
    skipped_updates,
)

Detector = Callable[[Evidence], Finding | Iterable[Finding] | None]
Severities = tuple[Severity, ...]

_FAULT: Severities = ("fault",)
_WARNING: Severities = ("warning",)
_NOTE: Severities = ("note",)

DETECTORS: Mapping[Detector, Mapping[str, Severities]] = {
    groups_without_signal: {
        "groups_truncated": _FAULT,
        "groups_saturated": _WARNING,
        "groups_failed": _WARNING,
        "groups_without_signal": _WARNING,
    },
    advantages_averaged: {"advantages_averaged": _FAULT},
    signal_unmoved: {"signal_unmoved_by_rate": _FAULT, "signal_unmoved": _FAULT},
    setting_without_effect: {"setting_without_effect": _FAULT},
    kl_before_update: {"kl_from_dropout": _FAULT, "kl_from_reference": _NOTE, "kl_before_update": _WARNING},
    kl_is_noise: {"kl_is_noise": _WARNING},
    kl_exploded: {"kl_exploded": _FAULT},
    beta_at_bound: {"beta_at_floor": _WARNING, "beta_at_ceiling": _WARNING},
    figures_not_finite: {"figures_not_finite": _FAULT},
    skipped_updates: {"skipped_updates": _FAULT},
    gradient_spikes: {"gradient_spikes": _WARNING},
    policy_unmoved: {"policy_unmoved": _FAULT},
    clip_binds: {"clip_binds": _WARNING},
    ratio_extreme: {"ratio_extreme": _WARNING},
    entropy_collapsed: {"entropy_collapsed": _WARNING},
    behaviour_ess_low: {"behaviour_ess_low": _WARNING},
    never_on_policy: {"never_on_policy": _WARNING},
    val_loss_turned: {"val_loss_turned": _WARNING},
    val_reward_turned: {"val_reward_turned": _WARNING},
    best_epoch_early: {"best_epoch_early": _WARNING},
    criteria_disagree: {"criteria_disagree": (*_WARNING, *_NOTE)},
    ppo_loss_sign: {"ppo_loss_sign": _NOTE},
    answers_all_wrong: {"answers_all_wrong": _FAULT},
    answers_all_same: {"answers_all_same": _FAULT},
    completions_all_same: {"completions_all_same": _FAULT},
    training_lost: {"training_lost": _FAULT, "training_undecided": _WARNING},
    zero_shot_best: {"zero_shot_best": _WARNING},
    training_cannot_pay: {"training_cannot_pay": _WARNING},
    repeated_demonstrations: {"repeated_demonstrations": _FAULT},
    position_bias: {"position_bias": _WARNING},
    more_shots_hurt: {"more_shots_hurt": _WARNING},
    failed_answers: {"failed_answers": (*_FAULT, *_WARNING)},
    failed_rollouts: {"failed_rollouts": (*_FAULT, *_WARNING)},
    evaluated_again: {"test_evaluated_again": _WARNING},
}
"""Detector -> the findings it can return -> the severities they can have.

Findings of equal severity are reported in this order. The sentences of a finding are in `reports.language`.
"""

_ABOUT_TIES = frozenset({"groups_saturated", "groups_failed", "groups_without_signal", "advantages_averaged"})
_ABOUT_SELECTION = _ABOUT_TIES | {"training_lost", "training_undecided", "zero_shot_best", "training_cannot_pay"}
EXPLAINED: Mapping[str, frozenset[str]] = {
    "answers_all_same": _ABOUT_SELECTION,
    "completions_all_same": _ABOUT_TIES,
    "answers_all_wrong": _ABOUT_SELECTION,
}
"""Finding -> the findings that are its consequences. They are left out, because their advice would not address it."""


def diagnose(evidence: Evidence) -> list[Finding]:
    """Return all findings, most severe first; empty where nothing is wrong or the evidence is insufficient."""
    found: list[Finding] = []
    for detector in DETECTORS:
        result = detector(evidence)
        found += [result] if isinstance(result, Finding) else list(result or ())
    explained = frozenset().union(*(EXPLAINED.get(finding.key, ()) for finding in found))
    found = [finding for finding in found if finding.key not in explained]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
