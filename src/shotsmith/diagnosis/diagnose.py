"""The detectors, all of them, and what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from shotsmith.diagnosis.alternatives import training_cannot_pay, training_lost, zero_shot_best
from shotsmith.diagnosis.answers import answers_all_same, answers_all_wrong, completions_all_same
from shotsmith.diagnosis.beta import beta_at_bound
from shotsmith.diagnosis.criteria import criteria_disagree
from shotsmith.diagnosis.dead_settings import setting_without_effect
from shotsmith.diagnosis.divergence import kl_before_update, kl_exploded, kl_is_noise
from shotsmith.diagnosis.evaluation_reuse import evaluated_again
from shotsmith.diagnosis.evidence import Evidence
from shotsmith.diagnosis.exploration import entropy_collapsed
from shotsmith.diagnosis.failures import failed_answers, failed_rollouts
from shotsmith.diagnosis.finding import SEVERITIES, Finding
from shotsmith.diagnosis.off_policy import behaviour_ess_low, never_on_policy
from shotsmith.diagnosis.overfitting import best_epoch_early, val_loss_turned, val_reward_turned
from shotsmith.diagnosis.policy_loss import ppo_loss_sign
from shotsmith.diagnosis.positions import position_bias
from shotsmith.diagnosis.ratios import clip_binds, policy_unmoved, ratio_extreme
from shotsmith.diagnosis.repeats import repeated_demonstrations
from shotsmith.diagnosis.shot_counts import more_shots_hurt
from shotsmith.diagnosis.signal import advantages_averaged, groups_without_signal, signal_unmoved
from shotsmith.diagnosis.stability import figures_not_finite, gradient_spikes, skipped_updates

Detector = Callable[[Evidence], Finding | Iterable[Finding] | None]

DETECTORS: tuple[Detector, ...] = (
    groups_without_signal,
    advantages_averaged,
    signal_unmoved,
    setting_without_effect,
    kl_before_update,
    kl_is_noise,
    kl_exploded,
    beta_at_bound,
    figures_not_finite,
    skipped_updates,
    gradient_spikes,
    policy_unmoved,
    clip_binds,
    ratio_extreme,
    entropy_collapsed,
    behaviour_ess_low,
    never_on_policy,
    val_loss_turned,
    val_reward_turned,
    best_epoch_early,
    criteria_disagree,
    ppo_loss_sign,
    answers_all_wrong,
    answers_all_same,
    completions_all_same,
    training_lost,
    zero_shot_best,
    training_cannot_pay,
    repeated_demonstrations,
    position_bias,
    more_shots_hurt,
    failed_answers,
    failed_rollouts,
    evaluated_again,
)
"""In the order their findings are told in, severity first."""

_TIES = frozenset({"groups_saturated", "groups_failed", "groups_without_signal", "advantages_averaged"})
_NO_CHOICE = _TIES | {"training_lost", "training_undecided", "zero_shot_best", "training_cannot_pay"}
EXPLAINED: Mapping[str, frozenset[str]] = {
    "answers_all_same": _NO_CHOICE,
    "completions_all_same": _TIES,
    "answers_all_wrong": _NO_CHOICE,
}
"""Finding -> those that follow from it, whose advice would lead away from the cause; they are not told beside it."""


def diagnose(evidence: Evidence) -> list[Finding]:
    """All findings, faults first; none where nothing is wrong, or too little is known."""
    found: list[Finding] = []
    for detector in DETECTORS:
        result = detector(evidence)
        found += [result] if isinstance(result, Finding) else list(result or ())
    explained = frozenset().union(*(EXPLAINED.get(finding.key, ()) for finding in found))
    found = [finding for finding in found if finding.key not in explained]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))
