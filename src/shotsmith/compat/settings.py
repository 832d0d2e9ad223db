"""Settings by the names that Lever-Plus has for them: presets of the policy, decoding, and modes of the reward.

Written h for `correct`, s for `vqa_accuracy`, p for `gt_prob`, r for `relevance`, q for `log_prob_gain` (its quality,
the InfoScore); w holds the weights. As h is 0 or 1, `separated` is `hard_plus_soft_v2` under another name.
"""

from __future__ import annotations

from collections.abc import Mapping

from shotsmith.recipe.rewards import Mode


def _preset(**settings: object) -> Mapping[str, object]:
    """A policy with the widths and the dropout that all variants were trained with."""
    network: dict[str, object] = {
        "start": "random",
        "order": "inwards",
        "feed_forward": False,
        "scorer": "cosine",
        "hidden_size": 256,
        "heads": 1,
        "projections": "random",
        "dropout": 0.5,
        "attention_dropout": 0.1,
        "temperature": 0.1,
    }
    return network | settings


V0 = _preset(layers=0, memory="gpt2")
"""Lever-LM."""
V1 = _preset(layers=0, memory="none")
"""The bi-encoder."""
V2 = _preset(layers=1, memory="gate")
"""The pointer network. v3 names its training, v4-n what variant n added to it."""
V4_2 = _preset(layers=1, memory="gru", step_embedding=True)
V4_3 = _preset(layers=1, memory="gate", gains=["mmr"])
V4_4 = _preset(layers=1, memory="gate", candidate_encoder="self_attention")
V4_5 = _preset(layers=1, memory="gate", scorer="additive")
V4_6 = _preset(layers=1, memory="gate", gains=["coverage"])
V4_7 = _preset(layers=1, memory="gate", gains=["dpp_max_similarity"])
V4_8 = _preset(layers=1, memory="none", decoding="parallel")
V4_9 = _preset(layers=1, memory="gate", decoding="two_stage")
V4_10 = _preset(layers=1, memory="gate", length="stop")

BEAMS: Mapping[str, object] = {"max_new_tokens": 5, "min_new_tokens": 0, "num_beams": 3, "length_penalty": 0.0}
"""How the VLM decodes."""

_H, _S, _P, _R, _Q = "correct", "vqa_accuracy", "gt_prob", "relevance", "log_prob_gain"

HARD_PLUS_SOFT = Mode((_H, _S), lambda w, h, s: w.hard_weight * h + w.soft_weight * s)
SEPARATED = Mode((_H, _S), lambda w, h, s: 2 * w.hard_weight * h + w.soft_weight * s)
HARD_ONLY = Mode((_H,), lambda w, h: w.hard_weight * h, weights=("hard_weight",))
SOFT_ONLY = Mode((_S,), lambda w, s: w.soft_weight * s, weights=("soft_weight",))
HARD01_PLUS_GTPROB = Mode((_H, _P), lambda w, h, p: w.hard_weight * h + w.soft_weight * p)
HARD01_PLUS_GTPROB_SEPARATED = Mode((_H, _P), lambda w, h, p: 2 * w.hard_weight * h + w.soft_weight * p)
HARD_PLUS_GTPROB_PLUS_REL = Mode(
    (_H, _P, _R),
    lambda w, h, p, r: w.hard_weight * h + w.soft_weight * p + w.relevance_weight * (1 - h) * r,
)
LEGACY = Mode((_H, _Q), lambda w, h, q: w.hard_weight * h + w.soft_weight * q)
