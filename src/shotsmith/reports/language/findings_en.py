"""What a diagnosis finds, in English: title, evidence, meaning and advice of every finding."""

from __future__ import annotations

TEXT: dict[str, str] = {
    "severity.fault": "Fault",
    "severity.warning": "Warning",
    "severity.note": "Note",
    "diagnosis.none": "Nothing found: no detector sees a fault in these figures.",
    "diagnosis.try": "Try",
    # Signal
    "finding.groups_truncated.title": "Groups are cut until nothing is left to learn",
    "finding.groups_truncated.evidence": "Groups are cut to their best rollouts ({kept} of them, epoch by epoch) "
    "before advantages are computed; {zero:.1f} % of the groups then carry no signal.",
    "finding.groups_truncated.meaning": "The best rollouts of a query are mostly tied. Tied rollouts have advantage "
    "0, and a group of advantage 0 has gradient 0, whatever the learning rate. The contrast was in the rollouts cut "
    "off.",
    "finding.groups_truncated.advice": "Keep whole groups.",
    "finding.groups_saturated.title": "Most groups are solved already",
    "finding.groups_saturated.evidence": "{zero:.0f} % of the sampled groups carry no signal (their rewards "
    "spread too little, or not at all); in {all_good:.0f} % of all groups every rollout is good, in "
    "{all_bad:.0f} % every one is bad.",
    "finding.groups_saturated.meaning": "Where all rollouts are right, none is better than the others: their "
    "completions are paid for and teach nothing. Training goes on from the few groups left.",
    "finding.groups_saturated.advice": "Begin with the queries whose rollouts differ most, or train on harder ones.",
    "finding.groups_failed.title": "Most groups fail altogether",
    "finding.groups_failed.evidence": "{zero:.0f} % of the sampled groups carry no signal (their rewards "
    "spread too little, or not at all); in {all_bad:.0f} % of all groups every rollout is bad, in "
    "{all_good:.0f} % every one is good.",
    "finding.groups_failed.meaning": "Where no rollout is right, the reward says nothing on which of them came closer.",
    "finding.groups_failed.advice": "Use a reward that tells wrong answers apart, or sample more sequences per query.",
    "finding.groups_without_signal.title": "Most groups carry no signal",
    "finding.groups_without_signal.evidence": "{zero:.0f} % of the sampled groups have no spread of rewards to learn "
    "from.",
    "finding.groups_without_signal.meaning": "A group whose rewards are all alike has advantage 0 and gradient 0. "
    "Its completions are paid for and teach nothing.",
    "finding.groups_without_signal.advice": "Sample more sequences per query, so that more groups hold a contrast.",
    "finding.advantages_averaged.title": "Hardly any group carries a signal",
    "finding.advantages_averaged.evidence": "Adv Std is {adv_std:.4f} on average ({lowest:.4f} to {highest:.4f} over "
    "the epochs). It is a mean over groups: about {share:.1f} % of the groups have spread 1, all others exactly 0.",
    "finding.advantages_averaged.meaning": "This is not a weak signal everywhere but none nearly everywhere. A group "
    "of advantage 0 has gradient 0: no learning rate makes it teach anything.",
    "finding.advantages_averaged.advice": "Look for what makes rewards tie within a group, and replace groups "
    "without signal by others.",
    "finding.signal_unmoved_by_rate.title": "Another learning rate, the same missing signal",
    "finding.signal_unmoved_by_rate.evidence": "Learning rate {rate:g} here and {other_rate:g} in {other}; Adv Std "
    "{adv_std:.4f} here and {other_adv_std:.4f} there.",
    "finding.signal_unmoved_by_rate.meaning": "Advantages come from the rewards within a group. The learning rate "
    "does not enter them, so that changing it cannot bring the signal back.",
    "finding.signal_unmoved_by_rate.advice": "Leave the learning rate; see to the groups: whole ones, with rewards "
    "that differ.",
    "finding.signal_unmoved.title": "The same missing signal in both runs",
    "finding.signal_unmoved.evidence": "Adv Std is {adv_std:.4f} here and {other_adv_std:.4f} in {other}.",
    "finding.signal_unmoved.meaning": "Whatever was changed between the two runs, learning rate included, did not "
    "touch what makes the advantages 0.",
    "finding.signal_unmoved.advice": "See to the groups: whole ones, with rewards that differ.",
    "finding.setting_without_effect.title": "A setting changed nothing",
    "finding.setting_without_effect.evidence": "{setting} is {here} here and {there} in {other}, and all figures of "
    "the {rows} {rows:epoch|epochs} both have are equal.",
    "finding.setting_without_effect.meaning": "No code reads the setting, or another setting switches off what it is "
    "for. Whatever the two runs seem to say about it is not said by it.",
    "finding.setting_without_effect.advice": "Find out what {setting} depends on before comparing runs by it.",
    # KL and beta
    "finding.kl_from_dropout.title": "KL measures dropout",
    "finding.kl_from_dropout.evidence": "KL is {kl:.4f} before the first update; grpo.dropout is on.",
    "finding.kl_from_dropout.meaning": "Nothing has been learned yet, so that this is the distance of the policy "
    "with dropout from the same policy without. The same noise is in every ratio.",
    "finding.kl_from_dropout.advice": "Update without dropout.",
    "finding.kl_from_reference.title": "GRPO starts away from its reference",
    "finding.kl_from_reference.evidence": "KL is {kl:.4f} before the first update; the reference is the supervised "
    "policy, and RCE came between.",
    "finding.kl_from_reference.meaning": "The KL term also pulls back what RCE has learned.",
    "finding.kl_from_reference.advice": "Unless that is wanted, measure from the policy GRPO starts with.",
    "finding.kl_before_update.title": "KL before anything was learned",
    "finding.kl_before_update.evidence": "KL is {kl:.4f} before the first update; it should be 0.",
    "finding.kl_before_update.meaning": "Policy and reference are not the same, or not computed in the same mode "
    "(dropout in one of them). KL and ratios are off by that much throughout.",
    "finding.kl_before_update.advice": "Compute both without dropout, and measure from the policy GRPO starts with.",
    "finding.kl_is_noise.title": "KL does not grow with training",
    "finding.kl_is_noise.evidence": "KL is {first:.4f} in the first epoch and {last:.4f} in the last, between "
    "{lowest:.4f} and {highest:.4f} throughout, while hardly any group carries signal.",
    "finding.kl_is_noise.meaning": "A policy that learns moves away from its reference. A KL that is there from the "
    "start and stays level is noise, such as dropout in one of the two policies. A lower value is no closer policy.",
    "finding.kl_is_noise.advice": "Update without dropout; KL then starts at 0.",
    "finding.kl_exploded.title": "KL exploded",
    "finding.kl_exploded.evidence": "KL reaches {kl:.2f} nats in epoch {epoch} (seed {seed}); its median is "
    "{median:.3f}.",
    "finding.kl_exploded.meaning": "The policy has left its reference behind, and with it what it had learned before.",
    "finding.kl_exploded.advice": "Hold it closer with a larger beta, and take smaller steps.",
    "finding.beta_at_floor.title": "Beta lies at its floor",
    "finding.beta_at_floor.evidence": "Beta is {beta:g} in {at} of {epochs} {epochs:epoch|epochs}; its floor is "
    "{bound:g}.",
    "finding.beta_at_floor.meaning": "The controller has lowered beta as far as it may: KL costs next to nothing, "
    "and the beta set at the start is not the one in force.",
    "finding.beta_at_floor.advice": "Keep beta fixed, or let the controller move it slowly.",
    "finding.beta_at_ceiling.title": "Beta lies at its ceiling",
    "finding.beta_at_ceiling.evidence": "Beta is {beta:g} in {at} of {epochs} {epochs:epoch|epochs}; its ceiling "
    "is {bound:g}.",
    "finding.beta_at_ceiling.meaning": "The controller has raised beta as far as it may: KL outweighs the rewards, "
    "and the policy is held where it is.",
    "finding.beta_at_ceiling.advice": "Keep beta fixed, or let the controller move it slowly.",
    # Steps
    "finding.figures_not_finite.title": "Figures that are no numbers",
    "finding.figures_not_finite.evidence": "{count} {count:figure is|figures are} NaN or infinite, the first in "
    "epoch {epoch}.",
    "finding.figures_not_finite.meaning": "From there on the weights may be spoilt; later epochs mean nothing.",
    "finding.figures_not_finite.advice": "Go back to an epoch before it, with a lower learning rate.",
    "finding.skipped_updates.title": "Updates were left out",
    "finding.skipped_updates.evidence": "{phase}: {skipped} {skipped:update|updates} had no finite loss or "
    "gradient, the first in epoch {epoch}.",
    "finding.skipped_updates.meaning": "The steps are too large, or rewards or embeddings hold extreme values.",
    "finding.skipped_updates.advice": "Lower the learning rate; look for extreme rewards.",
    "finding.gradient_spikes.title": "The gradient jumps",
    "finding.gradient_spikes.evidence": "{phase}: the mean gradient norm is {norm:.2f} in epoch {epoch} (seed "
    "{seed}), against a median of {median:.2f}.",
    "finding.gradient_spikes.meaning": "Training is unstable: clipping keeps the size of such a step, not its "
    "direction.",
    "finding.gradient_spikes.advice": "Lower the learning rate.",
    "finding.policy_unmoved.title": "The policy does not move",
    "finding.policy_unmoved.evidence": "With {iterations} {iterations:update|updates} per batch the largest ratio "
    "to the old policy is {ratio:.6f}.",
    "finding.policy_unmoved.meaning": "After an update the policy should differ from the one before. Here the steps "
    "are too small to be seen, or nothing is trained.",
    "finding.policy_unmoved.advice": "Raise the learning rate, and look whether anything is left unfrozen.",
    "finding.clip_binds.title": "The clip range binds",
    "finding.clip_binds.evidence": "{share:.0f} % of the ratios are cut off, and {highest:.0f} % in epoch {epoch}.",
    "finding.clip_binds.meaning": "What is cut off gives no gradient: a large part of each batch is spent.",
    "finding.clip_binds.advice": "Fewer updates per batch, or smaller ones.",
    "finding.ratio_extreme.title": "A few rollouts decide",
    "finding.ratio_extreme.evidence": "The largest ratio is {ratio:.1f} (epoch {epoch}); the effective sample size "
    "of the ratios falls to {ess:.0f} %.",
    "finding.ratio_extreme.meaning": "The policy has moved so far within a batch that a few rollouts rule its updates.",
    "finding.ratio_extreme.advice": "Fewer updates per batch, or smaller ones.",
    "finding.entropy_collapsed.title": "The policy has stopped exploring",
    "finding.entropy_collapsed.evidence": "Entropy fell from {first:.3f} to {last:.3f} nats, {share:.0f} % of its "
    "start.",
    "finding.entropy_collapsed.meaning": "It samples the same sequence nearly every time; groups then hold no "
    "contrast, and nothing better can be found.",
    "finding.entropy_collapsed.advice": "Raise the entropy bonus.",
    # Recorded rollouts
    "finding.behaviour_ess_low.title": "Few of the sampled rollouts count",
    "finding.behaviour_ess_low.evidence": "The effective sample size of the importance weights falls to {ess:.0f} % "
    "in epoch {epoch} ({first:.0f} % in the first, {last:.0f} % in the last).",
    "finding.behaviour_ess_low.meaning": "The rollouts come from a policy that is no longer this one: most of them "
    "weigh next to nothing, and the rest decide.",
    "finding.behaviour_ess_low.advice": "Sample from the policy that is being trained.",
    "finding.never_on_policy.title": "Trained on recorded rollouts alone",
    "finding.never_on_policy.evidence": "All {epochs} {epochs:epoch|epochs} of GRPO used the same recorded rollouts.",
    "finding.never_on_policy.meaning": "The policy never saw the outcome of its own choices. After a few epochs the "
    "rollouts describe a policy that is no more.",
    "finding.never_on_policy.advice": "Sample from the policy that is being trained, or train for a few epochs only.",
    # Validation
    "finding.val_loss_turned.title": "Validation loss rises again",
    "finding.val_loss_turned.evidence": "{phase}: validation loss is lowest in epoch {epoch} ({best:.4g}) and "
    "{last:.4g} in epoch {epochs}. After its lowest point it rises by {slope:.2g} per epoch (95 % interval {low:.2g} "
    "to {high:.2g}).",
    "finding.val_loss_turned.meaning": "The policy over-fits from there on: later epochs are worse on queries it was "
    "not trained on, as far as this loss tells.",
    "finding.val_loss_turned.advice": "Stop early. Where groups carry signal, smaller steps help too.",
    "finding.val_reward_turned.title": "Validation reward falls again",
    "finding.val_reward_turned.evidence": "{phase}: validation reward is best in epoch {epoch} ({best:.4g}) and "
    "{last:.4g} in epoch {epochs}. After its best it changes by {slope:.2g} per epoch (95 % interval {low:.2g} to "
    "{high:.2g}).",
    "finding.val_reward_turned.meaning": "The policy over-fits from there on.",
    "finding.val_reward_turned.advice": "Stop early. Where groups carry signal, smaller steps help too.",
    "finding.best_epoch_early.title": "The best epoch is one of the first",
    "finding.best_epoch_early.evidence": "{phase}: by {column} epoch {epoch} of {epochs} is the best; {after} "
    "{after:epoch|epochs} came after it.",
    "finding.best_epoch_early.meaning": "What was learned was learned at once; the rest of the training brought "
    "nothing that this figure can see.",
    "finding.best_epoch_early.advice": "Do not train longer: stop early, and first see whether the groups carry "
    "signal.",
    "finding.criteria_disagree.title": "Validation loss and reward choose different epochs",
    "finding.criteria_disagree.evidence": "{phase}: validation loss would choose epoch {by_loss}, validation reward "
    "epoch {by_reward} (means over seeds). Reward is {there:.4g} in the one and {best:.4g} in the other: {lost:.3g} "
    "or {share:.0f} % would be lost.",
    "finding.criteria_disagree.meaning": "Validation loss is a cross-entropy on recorded rollouts. It rises when a "
    "policy leaves them, for better or worse, and need not rank epochs by accuracy.",
    "finding.criteria_disagree.advice": "Choose epochs by validation reward, as is the default.",
    "finding.ppo_loss_sign.title": "The sign of the PPO loss says nothing",
    "finding.ppo_loss_sign.evidence": "PPO loss is positive in {positive} {positive:epoch|epochs} and negative in "
    "{negative}, between {lowest:.3g} and {highest:.3g}.",
    "finding.ppo_loss_sign.meaning": "Advantages are centred in their group: with ratios near 1, or with most "
    "advantages 0, the loss is 0 by construction, and what is left is noise. A positive value is no progress, a "
    "negative one no fault.",
    "finding.ppo_loss_sign.advice": "Watch validation reward, the share of groups with signal, and the gradient norm.",
    # Evaluation
    "finding.answers_all_wrong.title": "Not one answer is right",
    "finding.answers_all_wrong.evidence": "None of {total} answers to {queries} test {queries:query|queries} "
    "earned anything, whatever was shown; the most frequent answer is '{text}' ({share:.0f} %).",
    "finding.answers_all_wrong.meaning": "No choice of demonstrations can explain this: the VLM is asked in a way it "
    "does not understand, answers in another form than the data's, or is measured by the wrong metric.",
    "finding.answers_all_wrong.advice": "Read a prompt and an answer (shotsmith prompt RUN), and check vlm.prompt (the "
    "template), the format of the answers (vlm.max_new_tokens, an instruction) and data.metric.",
    "finding.answers_all_same.title": "Every answer is the same",
    "finding.answers_all_same.evidence": "All {total} answers to {queries} test {queries:query|queries} are '{text}'.",
    "finding.answers_all_same.meaning": "The VLM does not react to query or demonstrations, so that no selector can "
    "differ from another and no group of rollouts carries a signal.",
    "finding.answers_all_same.advice": "Read a prompt (shotsmith prompt RUN): are the images and the question there, "
    "in the template this VLM was trained with, and is the answer cut off (vlm.max_new_tokens)?",
    "finding.completions_all_same.title": "Every answer so far is the same",
    "finding.completions_all_same.evidence": "All {total} answers of this run so far are '{text}'.",
    "finding.completions_all_same.meaning": "The VLM does not react to query or demonstrations, so that no group "
    "of rollouts carries a signal, however many sequences are sampled.",
    "finding.completions_all_same.advice": "Stop, and read a prompt (shotsmith prompt RUN): are the images and the "
    "question there, in the template this VLM was trained with, and is the answer cut off (vlm.max_new_tokens)?",
    "finding.training_lost.title": "Training did not pay",
    "finding.training_lost.evidence": "{a} is {difference:+.1f} points against {b}, which needs no training, on "
    "the test queries ({low:+.1f} to {high:+.1f}, mean over the numbers of shots).",
    "finding.training_lost.meaning": "The trained policy chooses worse than the best free selector: whatever its "
    "curves show, it has not learned what helps on queries it was not trained on.",
    "finding.training_lost.advice": "Use {b}. Before training again, ask shotsmith headroom whether these data "
    "leave anything to win, and look at validation reward from epoch 0 on.",
    "finding.training_undecided.title": "Training is not told from what is free",
    "finding.training_undecided.evidence": "{a} is {difference:+.1f} points against {b}, which needs no training, "
    "on the test queries ({low:+.1f} to {high:+.1f}, mean over the numbers of shots).",
    "finding.training_undecided.meaning": "The difference may be chance: nothing shows yet that training has "
    "gained anything.",
    "finding.training_undecided.advice": "Use {b}, or measure on more test queries and with several seeds.",
    "finding.zero_shot_best.title": "Showing nothing is best",
    "finding.zero_shot_best.evidence": "Zero-shot reaches {accuracy:.1f}, and the best selector that shows "
    "demonstrations, {selector}, {other:.1f} (mean over the numbers of shots).",
    "finding.zero_shot_best.meaning": "Demonstrations do not help this VLM on these data. It knows the answers "
    "already, cannot use several images, or is shown them in a template that it does not understand.",
    "finding.zero_shot_best.advice": "Use zero-shot, or read a prompt with demonstrations (shotsmith prompt RUN) and "
    "check vlm.prompt before training.",
    "finding.training_cannot_pay.title": "There is next to nothing to win",
    "finding.training_cannot_pay.evidence": "The oracle reaches {oracle:.1f}, and {free}, which needs no training, "
    "{accuracy:.1f} (mean over the numbers of shots): {gap:.1f} points.",
    "finding.training_cannot_pay.meaning": "Even a selector that knew the answers would hardly be better than the best "
    "free one. Training cannot pay here.",
    "finding.training_cannot_pay.advice": "Use {free}. On other data, ask shotsmith headroom before training.",
    "finding.repeated_demonstrations.title": "Demonstrations are repeated",
    "finding.repeated_demonstrations.evidence": "{selector} shows a demonstration twice in {count} of {total} "
    "{total:prompt|prompts} ({share:.1f} %).",
    "finding.repeated_demonstrations.meaning": "A repeated demonstration says nothing new: these prompts are worth "
    "fewer shots than they count.",
    "finding.repeated_demonstrations.advice": "Look at the pools (are there enough candidates?) and at the masking "
    "of what is chosen already.",
    "finding.position_bias.title": "The policy prefers places of the pool",
    "finding.position_bias.evidence": "{selector} takes {share:.1f} % of its {choices} "
    "{choices:demonstration|demonstrations} from place {place} of the pool, {expected:.1f} % being even "
    "(chi-square {chi2:.0f}, {degrees} {degrees:degree|degrees} of freedom, p = {p:.1g}).",
    "finding.position_bias.meaning": "Pools are in random order, so that a place means nothing. The policy has "
    "learned places, or its labels were places, instead of what stands there.",
    "finding.position_bias.advice": "Check what the supervised labels point at, and whether pools differ between "
    "queries.",
    "finding.more_shots_hurt.title": "More demonstrations do harm",
    "finding.more_shots_hurt.evidence": "{selector}: with {more} instead of {fewer} {fewer:shot|shots} the "
    "accuracy changes by {difference:+.1f} points (95 % interval {low:+.1f} to {high:+.1f}, p = {p:.2g} after "
    "Holm, {queries} {queries:query|queries}).",
    "finding.more_shots_hurt.meaning": "The policy adds demonstrations that mislead. It may never have been trained "
    "on sequences this long, or has nothing better left in its pool.",
    "finding.more_shots_hurt.advice": "Train on every length it is tested with, or let the policy stop by itself.",
    "finding.failed_answers.title": "Test answers are missing",
    "finding.failed_answers.evidence": "{failures} of {total} {total:completion|completions} ({share:.1f} %) "
    "failed; the most frequent reason: {reason}",
    "finding.failed_answers.meaning": "The queries concerned count neither for nor against; the accuracies are those "
    "of the others.",
    "finding.failed_answers.advice": "Mend the cause and evaluate again: only what is missing is asked for.",
    "finding.failed_rollouts.title": "Completions failed during training",
    "finding.failed_rollouts.evidence": "{rollouts} {rollouts:rollout|rollouts} and {validation} validation "
    "{validation:completion|completions} failed.",
    "finding.failed_rollouts.meaning": "They left their groups and validation figures; no reward was made of them. "
    "Many failures of one kind bias what is left.",
    "finding.failed_rollouts.advice": "Look at the VLM's errors, and run again: what is stored is not asked for twice.",
    "finding.test_evaluated_again.title": "The test queries were looked at more than once",
    "finding.test_evaluated_again.evidence": "{times} different sets of checkpoints were evaluated on them.",
    "finding.test_evaluated_again.meaning": "If anything was chosen in between, their figures are a little too good.",
    "finding.test_evaluated_again.advice": "Choose by validation queries; report on test queries once.",
}
