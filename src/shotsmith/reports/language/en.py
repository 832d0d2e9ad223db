"""The report in English."""

from __future__ import annotations

from shotsmith.reports.language.findings_en import TEXT as FINDINGS
from shotsmith.reports.language.names_en import TEXT as NAMES

TEXT: dict[str, str] = {
    **FINDINGS,
    **NAMES,
    # How things are strung together
    "sentence.gap": " ",
    "list.comma": ", ",
    "colon": ": ",
    "interval": "{low:+.1f} to {high:+.1f}",
    # Verdict
    "verdict.nothing": "Nothing has been trained yet.",
    "verdict.trained": "The policy is trained; the test queries have not been answered yet.",
    "verdict.log": "A training log with the figures of {epochs} {epochs:epoch|epochs} between {first} and {last}. "
    "It holds no answers to test queries, so that nothing can be said of accuracy.",
    "verdict.no_contrast": "The test queries are answered; no policy was compared with a free selector.",
    "verdict.better": "Use the trained selector: on the test queries {policy} is better than {free}, the best "
    "selector that needs no training.",
    "verdict.worse": "Training did not pay: on the test queries {policy} is worse than {free}, the best selector "
    "that needs no training.",
    "verdict.open": "No clear difference from what is free: the test queries do not tell {policy} from {free}, "
    "the best selector that needs no training.",
    "verdict.use": "Use {free} with {shots} {shots:shot|shots}, without training: {best:.1f} %.",
    "verdict.use_zero_shot": "Show no demonstrations ({free}): {best:.1f} %.",
    "verdict.use_vote": "Use {free} over {shots} {shots:shot|shots}, which does not ask the VLM: {best:.1f} %.",
    "verdict.same_answer": "Every answer to the test queries is '{text}', whatever was shown: nothing can be said of "
    "selectors. Read a prompt (shotsmith prompt RUN) before anything else.",
    "verdict.nothing_right": "Not one answer to the test queries is right, whatever was shown: nothing can be said of "
    "selectors. Read a prompt and an answer (shotsmith prompt RUN), and check the format of the answers and the "
    "metric.",
    "verdict.no_headroom": "Training cannot pay on these data: even the oracle is only {difference:.1f} points above "
    "{free} ({low:+.1f} to {high:+.1f}).",
    # Headroom
    "headroom.worth": "Worth training: the oracle is {difference:.1f} points [{low:.1f}, {high:.1f}] above the "
    "best free selector, {free} ({accuracy:.1f} %, mean over shots). Where {free} is best ({best:.1f} %, {shots}"
    "-shot), it is {there:.1f} points above it.",
    "headroom.not_worth": "Not worth it: the oracle is only {difference:.1f} points [{low:.1f}, {high:.1f}] above "
    "the best free selector. Use {free}: {best:.1f} % ({shots}-shot).",
    "headroom.unclear": "Unclear: the oracle is {difference:.1f} points [{low:.1f}, {high:.1f}] above the best "
    "free selector, {free} ({accuracy:.1f} %, mean over shots), and {there:.1f} where {free} is best ({shots}"
    "-shot). Ask more queries: --queries {more}.",
    "headroom.nothing_right": "Not one of the answers to {queries} {queries:query|queries} was right, whatever "
    "was shown: look at the prompt template, the format of the answers and the metric before training (shotsmith "
    "prompt RECIPE).",
    "headroom.same_answer": "Every answer to {queries} {queries:query|queries} is '{text}', whatever was shown, "
    "so that no selector can differ from another: look at the prompt template and at what the VLM is shown before "
    "training (shotsmith prompt RECIPE).",
    # Tiles
    "tile.accuracy": "{policy}, mean over shots",
    "tile.gain": "points over {free}",
    "tile.free": "{free}, mean over shots",
    "tile.interval": "{low:.1f} to {high:.1f}",
    "tile.interval_signed": "{low:+.1f} to {high:+.1f}",
    "tile.interval_open": "{low:+.1f} to {high:+.1f}: no clear difference",
    "tile.value": "{accuracy:.1f} %",
    # What ran
    "ran.finished": "All planned epochs were trained.",
    "ran.unfinished": "Not all planned epochs were trained yet.",
    "ran.caption": "Epochs done and planned:",
    "left_out.imported": "{column}: taken from the import.",
    "left_out.no_vlm": "{column}: left out, as the rollouts are imported and there is no VLM.",
    "left_out.no_beams": "{column}: left out, as no beam data were imported.",
    "left_out.no_rollouts": "{column}: left out, as no RL data to learn from were imported.",
    "left_out.on_policy": "{column}: left out, as grpo.sampling.source would have new sequences answered, and there is "
    "no VLM; recorded is possible.",
    "ran.log": "Epochs of which {file} has figures. What would need answers or costs is left out.",
    "configuration.intro": "The settings that matter most; every other one is in recipe.yaml beside this report.",
    "configuration.column.setting": "Setting",
    "configuration.column.value": "Value",
    # Best epochs
    "checkpoints.none": "No epoch has been trained yet.",
    "checkpoints.intro": "Epochs are chosen by the reward that the policy's own sequences earn on validation queries. "
    "Validation loss is a reward-weighted cross-entropy: it stands beside, but need not rank epochs by accuracy.",
    "checkpoints.none_by": "No epoch has this figure.",
    "checkpoints.log": "The epochs of the log, best first.",
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
    "test.intro": "{metric} in percent on {n} test {n:query|queries}; brackets hold {confidence:.0f} % "
    "paired-bootstrap intervals. All selectors choose from the same examples and are shown in the same prompt; "
    "each trained policy is the epoch with the best validation reward. The oracle tries many sequences and looks "
    "at the answers: no selector can be expected to reach it.",
    "test.column.selector": "Selector",
    "test.column.shots": "{shots} shots",
    "test.column.shot": "1 shot",
    "test.column.mean": "Mean",
    "test.chart": "Accuracy by number of shots",
    "test.evaluated": "{times} different sets of checkpoints were evaluated on these queries.",
    "test.stops": "{policy} may stop by itself. Demonstrations that it shows on average: {numbers}.",
    "test.stops.part": "{shown:.1f} of {shots}",
    "test.recall": "Of the {oracle:.1f} % that are known to be possible, {selector} misses {retrieval:.1f} points "
    "by retrieval (its {size} highest entries hold no sequence that would have been right) and {choice:.1f} by "
    "choice (they do, and it shows another).",
    "test.recall_pools": "Of the {oracle:.1f} % that are known to be possible, {selector} misses {retrieval:.1f} "
    "points by its pools (they hold no sequence that would have been right) and {choice:.1f} by choice (they do, "
    "and it shows another). Of the whole bank, {size} entries a query were tried at most.",
    "copying.answers": "{policy} repeats the answer of a demonstration in {share:.0f} % of its answers.",
    "copying.wrong": "Of its wrong answers ({wrong:.0f} %), {share:.0f} % repeat a demonstration.",
    "copying.last.more": "Its answers repeat the last demonstration more often than one at another position: "
    "{last:.0f} % against {others:.0f} %, {difference:+.1f} points [{low:+.1f}, {high:+.1f}].",
    "copying.last.less": "Its answers repeat the last demonstration less often than one at another position: "
    "{last:.0f} % against {others:.0f} %, {difference:+.1f} points [{low:+.1f}, {high:+.1f}].",
    "copying.last.open": "Its answers repeat the last demonstration about as often as one at another position: "
    "{last:.0f} % against {others:.0f} %, {difference:+.1f} points [{low:+.1f}, {high:+.1f}].",
    "test.same_figures": "{metric}: the same figures.",
    "recall.column.kind": "Kind of question",
    "recall.column.accuracy": "Accuracy",
    "recall.column.choice": "Missed by choice",
    "recall.column.within": "Within its shortlist",
    "recall.column.retrieval": "Missed by retrieval",
    "recall.column.oracle": "Known to be possible",
    "recall.column.n": "Queries",
    "contrasts.none": "No contrast was computed.",
    "contrasts.intro": "A minus B in points, both on the same queries; p from permutation tests, corrected for their "
    "number (Holm). Where the interval holds 0 or p is large, these queries do not tell the two apart. The best free "
    "selector was chosen on validation queries.",
    "contrasts.column.a": "A",
    "contrasts.column.b": "B",
    "contrasts.column.shots": "Shots",
    "contrasts.column.difference": "A - B",
    "contrasts.column.interval": "Interval",
    "contrasts.column.p": "p",
    "contrasts.chart": "Differences in points, mean over shots",
    "contrasts.chart.pair": "{a} - {b}",
    "contrasts.chart.above": "above 0",
    "contrasts.chart.below": "below 0",
    "contrasts.chart.open": "holds 0",
    # The other run
    "against.intro": "{this} is this run; {other} is the other one ({folder}).",
    "against.settings_intro": "Whatever is not listed is the same in both.",
    "against.same_settings": "The two have the same settings.",
    "against.no_settings": "No setting is known to differ; a training log does not name all of them.",
    "against.log_settings": "A training log does not name all of its settings; those known of both and different are:",
    "configuration.log": "The settings that the log names, and what the code that wrote it always did.",
    "against.no_test": "The two have no answers to the same test queries at the same numbers of shots.",
    "against.test_intro": "Accuracies in percent; the difference is {this} minus {other} in points, paired by "
    "query (up to {n} {n:query|queries}); p from permutation tests, corrected for their number (Holm). The last "
    "column is the smallest true difference that so many queries would find with a probability of 80 % at a level "
    "of 5 %.",
    "against.column.selector": "Selector",
    "against.column.shots": "Shots",
    "against.column.difference": "Difference",
    "against.column.interval": "Interval",
    "against.column.p": "p",
    "against.column.detectable": "Detectable",
    "against.column.change": "Change",
    "against.better": "{selector}: {this} is {difference:.1f} points above {other} ({low:+.1f} to {high:+.1f}, p {p}).",
    "against.worse": "{selector}: {this} is {difference:+.1f} points against {other} ({low:+.1f} to {high:+.1f}, "
    "p {p}).",
    "against.open": "{selector}: {this} and {other} cannot be told apart, {difference:+.1f} points ({low:+.1f} to "
    "{high:+.1f}, p {p}); a difference below {detectable:.1f} points would most likely go unseen.",
    "against.best_intro": "The best epoch of each by {criterion}; the change is this run minus the other. These are "
    "single epochs: they cannot say whether a change is more than chance.",
    "against.trend": "{first} to {last} (lowest {lowest}, highest {highest})",
    "against.difference_chart": "{this} minus {other} in points, mean over shots",
    "against.chart": "{column}: both runs",
    # Trends
    "trends.none": "There is no epoch to show a trend.",
    "trends.intro": "{phase}, mean over seeds {seeds}.",
    "trends.intro_one": "{phase}, seed {seeds}.",
    "trends.preview": "{column}: {first:.4g} at first, {last:.4g} at last.",
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
    "trend.note.entropy": "How much it still explores.",
    "trend.note.frac_reward_zero_std": "Groups whose rewards are all alike teach nothing.",
    "chart.seed": "seed {seed}",
    "chart.point": "{series}, epoch {x}: {y}",
    "chart.best": "best",
    "chart.hint": "Point at a chart to read its values, or focus it and press the arrow keys.",
    # Diagnosis
    "diagnosis.clean": "The diagnosis found nothing to remark on.",
    "diagnosis.tally": "The diagnosis found {fault} {fault:fault|faults}, {warning} {warning:warning|warnings} "
    "and {note} {note:note|notes}.",
    "diagnosis.meaning": "What it means",
    "diagnosis.advice": "What to do",
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
    "contrast.below_at_shots": "At {shots} {shots:shot|shots} {a} is below {b}: {difference:+.1f} points ("
    "{low:+.1f} to {high:+.1f}, p {p}).",
    "order.better": "The order of the demonstrations matters: the same ones in reverse cost {difference:.1f} "
    "points ({low:+.1f} to {high:+.1f}, p {p}).",
    "order.worse": "The same demonstrations in reverse would be better, by {reverse:.1f} points ({low:+.1f} to "
    "{high:+.1f}, p {p}, this order minus the reverse).",
    "order.open": "Whether the order of the demonstrations matters stays open: this order minus its reverse is "
    "{difference:+.1f} points ({low:+.1f} to {high:+.1f}, p {p}).",
    "headroom.large": "{policy} reaches {share:.0f} % of the {headroom:.1f} points between the best free selector "
    "and the oracle.",
    "headroom.small": "{policy} reaches {share:.0f} % of the {headroom:.1f} points between the best free selector "
    "and the oracle; {left:.1f} points are left.",
    "headroom.none": "Between the best free selector and the oracle lie {headroom:.1f} points, and training gains none "
    "of them ({gain:+.1f}); {left:.1f} points separate it from the oracle.",
    "headroom.open": "Between the best free selector and the oracle lie {headroom:.1f} points; the test cannot tell "
    "what training gains of them ({gain:+.1f}) from nothing.",
    "signal.clear": "The groups carry a clear signal: Adv Std is {adv_std:.2f} on average.",
    "kl.near": "The policy stayed near its reference: KL at most {kl:.3f}, in epoch {epoch}.",
    "val_reward.rose": "Validation reward rose from {first:.4g} to {last:.4g}; its best, {best:.4g}, came in "
    "epoch {epoch}.",
    "criteria.earlier_phase": "No epoch of {last_phase} reaches the validation reward of the best {phase} epoch, "
    "{value:.4g}.",
    # Next
    "next.train": "Finish the training; what is done already is skipped.",
    "next.prompt": "Read what the VLM is asked: its answers do not depend on what it is shown, or none is right.",
    "next.evaluate": "Answer the test queries.",
    "next.longer": "Validation reward was still at its best in the last epoch, {epoch}: train for longer.",
    "next.seeds": "Train with three seeds, to see how much of the result is chance.",
    "next.diagnose": "Read the findings of this log as JSON.",
    "next.show": "Read every figure of this run as JSON.",
    "next.tensorboard": "Look at the curves, step by step.",
    "next.recipe": "RECIPE.yaml stands for the recipe of your run.",
    "next.use": "Use the trained selector over HTTP; from Python, shotsmith.load takes the same folder.",
    # Summary
    "summary.epochs": "{done} of {planned} planned {planned:epoch|epochs} were trained (number of seeds: {seeds}).",
    "summary.best": "The best epoch by {criterion} is epoch {epoch} of {phase}, seed {seed}: {value:.4g}.",
    "summary.cost": "The run took {duration} and {calls:,} VLM {calls:call|calls}; {hits:,} "
    "{hits:completion|completions} came from the store.",
    "summary.failures": "{failures:,} {failures:completion|completions} failed; the queries concerned are left "
    "out where they would count.",
    "summary.shortened": "Of {demonstrations:,} {demonstrations:demonstration|demonstrations} chosen for test "
    "queries, the budget of a prompt left out {left_out:,} and had {without_image:,} shown without their images.",
    # Gallery
    "gallery.none": "There are no answers to show yet.",
    "gallery.intro": "{total} test {total:query|queries} at {shots} {shots:shot|shots}: what {before} and {after} "
    "showed the VLM, in order, and what it answered. From {before} to {after} {fixed} {fixed:is|are} fixed (the "
    "accuracy rises), {broken} broken (it falls) and {unchanged} unchanged; {count} {count:is|are} picked to show "
    "all three.",
    "gallery.filter": "Show",
    "gallery.all": "All",
    "gallery.visible": "{count} shown",
    "gallery.query": "Query",
    "gallery.truth": "Human answers",
    "gallery.zero_shot": "Zero-shot",
    "gallery.answer": "VLM: {text}",
    "gallery.empty_answer": "(no words)",
    "gallery.score": "{accuracy:.0f} %",
    "gallery.accuracy": "accuracy {accuracy:.0f} %",
    "gallery.no_demonstrations": "no demonstrations",
    "gallery.image_of": "Image of: {question}",
    "gallery.column.query": "Query",
    "gallery.column.truth": "Human answers",
    "gallery.column.before": "{selector}: answer (accuracy)",
    "gallery.column.shown": "What {selector} showed, in order",
    "gallery.column.change": "Change",
    "gallery.more": "{count} more",
    # Pointing
    "pointing.none": "It is known only after the evaluation.",
    "pointing.intro": "What each query can be shown is ranked by similarity to it; the bars count how often a "
    "chosen demonstration lies in each band of ranks. The dashed line is where a policy that ignored similarity would "
    "lie.",
    "pointing.chart": "Chosen demonstrations by rank of {measure}",
    "pointing.sentence": "By {measure}: {top:.0f} % of the chosen demonstrations are among the {band:,} most "
    "similar of {size:,} (chance: {chance:.0f} %).",
    "pointing.bar": "ranks {low} to {high}: {count} ({share:.1f} %)",
    "pointing.chance": "chance",
    "pointing.charts": "Charts of the ranks",
    # Cost
    "cost.none": "No stage has finished yet.",
    "cost.intro": "A completion is paid for once: whatever needs it later takes it from the store.",
    "cost.column.stage": "Stage",
    "cost.column.time": "Time",
    "cost.column.calls": "VLM calls",
    "cost.column.hits": "From the store",
    "cost.total": "Total",
    "environment.line": "Python {python}, {platform}, {cpus} {cpus:CPU|CPUs}.",
    "environment.commit": "Commit {commit}.",
    "alternative.other": "The best alternative without training is {free} with {shots} {shots:shot|shots}: "
    "{best:.1f} %, where {policy} reaches {there:.1f} %.",
    "alternative.zero_shot": "The best alternative without training is to show no demonstrations ({free}): "
    "{best:.1f} %.",
    "alternative.vote": "The best alternative without training is {free} over {shots} {shots:shot|shots}, which "
    "does not ask the VLM: {best:.1f} %, where {policy} reaches {there:.1f} %.",
    "line.better": "{policy} {accuracy:.1f} % beats the best free selector ({free}, {of_free:.1f} %) by "
    "{difference:.1f} points [{low:.1f}, {high:.1f}], mean over shots.",
    "line.worse": "{policy} {accuracy:.1f} % does not beat the best free selector ({free}, {of_free:.1f} %): "
    "{difference:+.1f} points [{low:+.1f}, {high:+.1f}], mean over shots. Training did not pay.",
    "line.open": "{policy} {accuracy:.1f} % does not beat the best free selector ({free}, {of_free:.1f} %): "
    "{difference:+.1f} points [{low:+.1f}, {high:+.1f}], mean over shots. No clear difference.",
    "kinds.intro": "Accuracy in percent of {free} and {policy}, mean over shots, by the kind of question that the "
    "data give; the largest gain first. Brackets hold the interval of the difference, which is wide where "
    "queries are few.",
    "kinds.queries": "{n} {n:query|queries}",
    "kinds.column.kind": "Kind of question",
    "kinds.column.n": "Queries",
    "kinds.column.difference": "Difference",
    "kinds.column.oracle": "Oracle",
    "kinds.none": "The answers are not told apart by kind of question.",
    "kinds.legend": "Hollow: {free}. Filled: {policy}.",
    "shown_most.intro": "At {shots} {shots:shot|shots} {policy} shows {distinct:,} of the {bank:,} examples of "
    "the bank to {queries:,} test {queries:query|queries}. Most often it shows:",
    "shown_most.count": "{count:,} {count:query|queries} ({share:.1f} %)",
    "shown_most.column": "Example",
    "shown_most.column.count": "Shown to",
    "page.copy": "Copy",
    "page.copied": "Copied",
    "page.sideways": "Scroll sideways for more columns.",
    "page.unfold": "Show",
}
