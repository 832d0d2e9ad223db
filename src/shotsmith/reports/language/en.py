"""The report in English."""

from __future__ import annotations

TEXT: dict[str, str] = {
    # Names
    "name.zero_shot": "Zero-shot",
    "name.random": "Random",
    "name.image_similar": "Image-similar",
    "name.text_similar": "Text-similar",
    "name.mixed": "Mixed",
    "name.supervised": "Supervised",
    "name.rce": "RCE",
    "name.grpo": "GRPO",
    "name.supervised_reversed": "Supervised, reversed",
    "name.rce_reversed": "RCE, reversed",
    "name.grpo_reversed": "GRPO, reversed",
    "name.oracle": "Oracle",
    "name.mean": "mean",
    "name.seed": "Seed",
    "name.phase": "Phase",
    "name.epoch": "Epoch",
    "name.train_loss": "Train Loss",
    "name.val_loss": "Val Loss",
    "name.ppo_loss": "PPO Loss",
    "name.kl": "KL",
    "name.adv_std": "Adv Std",
    "name.adv_max": "Adv Max",
    "name.beta": "Beta",
    "name.reward": "Reward",
    "name.frac_reward_zero_std": "Zero-spread groups",
    "name.entropy": "Entropy",
    "name.val_reward": "Val Reward",
    "name.vqa_accuracy": "Official VQA accuracy",
    "name.vqa_accuracy_normalised": "VQA accuracy, always normalised",
    "name.data": "Data",
    "name.embed": "Embeddings",
    "name.pools": "Pools",
    "name.beam": "Beam search",
    "name.train": "Training",
    "name.rank": "Ranking",
    "name.evaluate": "Evaluation",
    "name.report": "Report",
    "name.fixed": "Fixed",
    "name.broken": "Broken",
    "name.unchanged": "Unchanged",
    "name.image_similarity": "image similarity",
    "name.text_similarity": "question similarity",
    # Headings
    "title": "Run {run}",
    "eyebrow": "Shotsmith report",
    "contents": "Contents",
    "heading.ran": "What ran",
    "heading.configuration": "Configuration",
    "heading.checkpoints": "The best epochs",
    "heading.by.val_reward": "By reward on validation queries",
    "heading.by.val_loss": "By validation loss",
    "heading.best": "The best epoch in full",
    "heading.test": "Accuracy on test queries",
    "heading.other_metric": "The same in another metric: {metric}",
    "heading.contrasts": "Differences",
    "heading.contrasts_by_shots": "Differences by number of shots",
    "heading.trends": "Trends",
    "heading.judgement": "Strengths and weaknesses",
    "heading.strengths": "Strengths",
    "heading.weaknesses": "Weaknesses and open questions",
    "heading.next": "What to do next",
    "heading.summary": "Summary",
    "heading.gallery": "Gallery",
    "heading.pointing": "Where in the pool the policy points",
    "heading.cost": "Cost",
    "heading.epochs": "Every epoch",
    "heading.recipe": "The resolved recipe",
    "heading.environment": "Environment",
    # Verdict
    "verdict.nothing": "Nothing has been trained yet.",
    "verdict.trained": "The policy is trained; the test queries have not been answered yet.",
    "verdict.no_contrast": "The test queries are answered; no contrast with a training-free selector was computed.",
    "verdict.better": "{policy} reaches an accuracy of {accuracy:.1f} % on the test queries, {difference:.1f} points "
    "more than {free}, the best selector that needs no training. The interval of the difference, {low:+.1f} to "
    "{high:+.1f}, lies above 0.",
    "verdict.worse": "{policy} reaches an accuracy of {accuracy:.1f} % on the test queries, {difference:+.1f} points "
    "against {free}, the best selector that needs no training. The interval of the difference, {low:+.1f} to "
    "{high:+.1f}, lies below 0.",
    "verdict.open": "{policy} reaches an accuracy of {accuracy:.1f} % on the test queries, {difference:+.1f} points "
    "against {free}, the best selector that needs no training. The interval of the difference, {low:+.1f} to "
    "{high:+.1f}, holds 0: these queries do not tell the two apart.",
    # Tiles
    "tile.accuracy": "{policy}, mean over shots",
    "tile.gain": "points over {free}",
    "tile.supervised": "points over Supervised",
    "tile.headroom": "of the headroom reached",
    "tile.interval": "{low:.1f} to {high:.1f}",
    "tile.interval_signed": "{low:+.1f} to {high:+.1f}",
    "tile.headroom_note": "{gain:.1f} of {headroom:.1f} points",
    # What ran
    "ran.finished": "All planned epochs were trained.",
    "ran.unfinished": "Not all planned epochs were trained yet.",
    "ran.caption": "Epochs done and planned:",
    "configuration.intro": "The settings that matter most; every other one is in recipe.yaml beside this report.",
    "configuration.column.setting": "Setting",
    "configuration.column.value": "Value",
    # Best epochs
    "checkpoints.none": "No epoch has been trained yet.",
    "checkpoints.intro": "Epochs are chosen by the reward that the policy's own sequences earn on validation queries. "
    "Validation loss is a reward-weighted cross-entropy: it stands beside, but need not rank epochs by accuracy.",
    "checkpoints.none_by": "No epoch has this figure.",
    "checkpoints.path": "Checkpoint: {path}",
    "best.column.metric": "Metric",
    "best.column.value": "Value",
    "best.column.meaning": "Meaning",
    "meaning.train_loss": "The objective that was minimised, mean over the steps of the epoch",
    "meaning.val_loss": "Reward-weighted cross-entropy on validation queries",
    "meaning.ppo_loss": "Clipped policy loss; near 0 by construction",
    "meaning.kl": "Exact divergence from the reference policy, nats per step",
    "meaning.adv_std": "Spread of the advantages",
    "meaning.adv_max": "Largest advantage",
    "meaning.beta": "Coefficient of the KL term",
    "meaning.reward": "Mean reward of the sequences sampled for training",
    "meaning.frac_reward_zero_std": "Share of groups whose rewards were all alike",
    "meaning.entropy": "Of the policy's choices, nats per step",
    "meaning.val_reward": "Mean reward on validation queries",
    # Test
    "test.none": "The test queries have not been answered yet.",
    "test.intro": "{metric} in percent, {n} test queries; brackets hold {confidence:.0f} % paired-bootstrap intervals. "
    "Of each trained policy the epoch with the best validation reward was tested. The oracle tries many sequences and "
    "looks at the answers: no selector can be expected to reach it.",
    "test.column.selector": "Selector",
    "test.column.shots": "{shots} shots",
    "test.column.shot": "1 shot",
    "test.column.mean": "Mean",
    "test.chart": "Accuracy by number of shots",
    "test.chart.mean": "Mean over shots with its interval",
    "contrasts.none": "No contrast was computed.",
    "contrasts.intro": "A minus B in points, both on the same queries; p from permutation tests, corrected for their "
    "number (Holm). Where the interval holds 0, these queries do not tell the two apart. The best training-free "
    "selector is the one that did best on these very queries, which favours it.",
    "contrasts.column.a": "A",
    "contrasts.column.b": "B",
    "contrasts.column.shots": "Shots",
    "contrasts.column.difference": "A - B",
    "contrasts.column.interval": "Interval",
    "contrasts.column.p": "p",
    # Trends
    "trends.none": "There is no epoch to show a trend.",
    "trends.intro": "{phase}, mean over seeds {seeds}.",
    "trends.intro_one": "{phase}, seed {seeds}.",
    "trend.one": "{column}: {first:.4g}, in a single epoch.",
    "trend.rose": "{column} rose from {first:.4g} to {last:.4g}.",
    "trend.fell": "{column} fell from {first:.4g} to {last:.4g}.",
    "trend.level": "{column} stayed level: {first:.4g} at first, {last:.4g} at last.",
    "trend.range": "It was lowest in epoch {lowest_epoch} ({lowest:.4g}) and highest in epoch {highest_epoch} "
    "({highest:.4g}).",
    "trend.note.ppo_loss": "A value near 0 is normal: advantages are centred in their group and the ratio starts at 1. "
    "Its sign carries no information.",
    "trend.note.val_loss": "It follows the recorded rewards, not accuracy.",
    "trend.note.adv_std": "Near 0 would mean that groups carry no signal.",
    "trend.note.kl": "How far the policy has moved from where it started.",
    "trend.note.entropy": "How much it still explores.",
    "trend.note.frac_reward_zero_std": "Groups whose rewards are all alike teach nothing.",
    "chart.x": "epoch",
    "chart.seed": "seed {seed}",
    "chart.point": "{series}, epoch {x}: {y}",
    "chart.best": "best",
    # Strengths and weaknesses
    "judgement.none": "Nothing to judge yet.",
    "strengths.none": "None that the numbers show.",
    "weaknesses.none": "None that the numbers show.",
    "contrast.better": "{a} is {difference:.1f} points above {b} on average over the shots ({low:+.1f} to {high:+.1f}, "
    "p {p}).",
    "contrast.worse": "{a} is {difference:+.1f} points against {b} on average over the shots ({low:+.1f} to "
    "{high:+.1f}, p {p}).",
    "contrast.open": "{a} and {b} cannot be told apart on average over the shots: {difference:+.1f} points "
    "({low:+.1f} to {high:+.1f}, p {p}).",
    "contrast.below_at_shots": "At {shots} shots {a} is below {b}: {difference:+.1f} points ({low:+.1f} to "
    "{high:+.1f}, p {p}).",
    "order.better": "The order it chose matters: the same demonstrations in reverse cost {difference:.1f} points "
    "({low:+.1f} to {high:+.1f}, p {p}).",
    "order.worse": "The same demonstrations in reverse would be better, by {reverse:.1f} points ({low:+.1f} to "
    "{high:+.1f}, p {p}, this order minus the reverse).",
    "order.open": "Whether the order it chose matters stays open: this order minus its reverse is {difference:+.1f} "
    "points ({low:+.1f} to {high:+.1f}, p {p}).",
    "headroom.large": "It reaches {share:.0f} % of the {headroom:.1f} points between the best training-free selector "
    "and the oracle.",
    "headroom.small": "It reaches {share:.0f} % of the {headroom:.1f} points between the best training-free selector "
    "and the oracle; {left:.1f} points are left.",
    "signal.clear": "The groups carry a clear signal: Adv Std is {adv_std:.2f} on average.",
    "signal.weak": "The groups carry little signal: Adv Std is {adv_std:.4f} on average.",
    "signal.zero_groups": "In {share:.0f} % of the groups all rewards were alike, so that they taught nothing.",
    "kl.near": "The policy stayed near its reference: KL at most {kl:.3f}, in epoch {epoch}.",
    "kl.far": "The policy left its reference behind: KL reached {kl:.3f} in epoch {epoch}.",
    "entropy.collapsed": "It hardly explores any more: entropy fell from {first:.3f} to {last:.3f}.",
    "val_reward.rose": "Validation reward rose from {first:.4f} to {last:.4f}; its best, {best:.4f}, came in epoch "
    "{epoch}.",
    "val_reward.fell_late": "Validation reward was best in epoch {epoch} ({best:.4f}) and fell to {last:.4f} by "
    "the last.",
    "val_reward.fell": "Validation reward fell from {first:.4f} to {last:.4f}.",
    "criteria.earlier_phase": "No epoch of {last_phase} reaches the validation reward of the best {phase} epoch, "
    "{value:.4f}.",
    "criteria.differ": "Validation loss would have chosen another epoch (seed {seed}, {phase}, epoch {epoch}), whose "
    "validation reward is {lost:.4f} lower.",
    # Next
    "next.train": "Finish the training; what is done already is skipped.",
    "next.evaluate": "Answer the test queries.",
    "next.slower": "Validation reward fell after epoch {epoch}: try half the learning rate.",
    "next.longer": "Validation reward was still at its best in the last epoch, {epoch}: train for longer.",
    "next.generations": "{share:.0f} % of the groups had no spread: sample more sequences per query.",
    "next.beta": "KL reached {kl:.2f}: hold the policy closer to its reference.",
    "next.entropy": "Entropy collapsed: raise its bonus.",
    "next.seeds": "Train with three seeds, to see how much of the result is chance.",
    "next.show": "Read every figure of this run as JSON.",
    "next.tensorboard": "Look at the curves, step by step.",
    # Summary
    "summary.epochs": "{done} of {planned} planned epochs were trained (number of seeds: {seeds}).",
    "summary.best": "The best epoch by validation reward is epoch {epoch} of {phase}, seed {seed}: {value:.4f}.",
    "summary.headroom": "Between the best training-free selector and the oracle lie {headroom:.1f} points; "
    "{policy} gains {gain:.1f} of them.",
    "summary.cost": "The run took {duration} and {calls:,} VLM calls; {hits:,} completions came from the store.",
    "summary.failures": "{failures:,} completions could not be had; the queries concerned are left out where they "
    "would count.",
    # Gallery
    "gallery.none": "There are no answers to show yet.",
    "gallery.intro": "{count} of {total} test queries at {shots} shots: what {before} and {after} showed the VLM, in "
    "order, and what it answered. From {before} to {after} {fixed} of the {total} are fixed (the accuracy rises), "
    "{broken} broken (it falls) and {unchanged} unchanged; the rows below are picked to show all three.",
    "gallery.filter": "Show",
    "gallery.all": "All",
    "gallery.visible": "{count} shown",
    "gallery.query": "Query",
    "gallery.truth": "Human answers",
    "gallery.zero_shot": "Zero-shot",
    "gallery.answer": "VLM: {text}",
    "gallery.empty_answer": "(no words)",
    "gallery.accuracy": "accuracy {accuracy:.0f} %",
    "gallery.no_demonstrations": "no demonstrations",
    "gallery.image_of": "Image of: {question}",
    "gallery.column.query": "Query",
    "gallery.column.truth": "Human answers",
    "gallery.column.before": "{selector}: answer (accuracy)",
    "gallery.column.shown": "What {selector} showed, in order",
    "gallery.column.change": "Change",
    # Pointing
    "pointing.none": "It is known only after the evaluation.",
    "pointing.intro": "The candidates of each pool are ranked by similarity to the query; the bars count how often a "
    "chosen demonstration lies in each band of ranks. The dashed line is where a policy that ignored similarity would "
    "lie.",
    "pointing.chart": "Chosen demonstrations by rank of {measure}",
    "pointing.sentence": "By {measure}: {top:.0f} % of the chosen demonstrations are among the {band} most similar of "
    "{size} (chance: {chance:.0f} %).",
    "pointing.bar": "ranks {low} to {high}: {count} ({share:.1f} %)",
    "pointing.chance": "chance",
    # Cost
    "cost.none": "No stage has finished yet.",
    "cost.intro": "A completion is paid for once: whatever needs it later takes it from the store.",
    "cost.column.stage": "Stage",
    "cost.column.time": "Time",
    "cost.column.calls": "VLM calls",
    "cost.column.hits": "From the store",
    "cost.total": "Total",
    "environment.line": "Python {python}, {platform}, {cpus} CPUs.",
    "environment.commit": "Commit {commit}.",
}
