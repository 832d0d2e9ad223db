"""The predecessor's variants by name, as settings of our parts. All have the widths and dropout it trained with."""

from __future__ import annotations

from collections.abc import Mapping

_NETWORK = {
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

PRESETS: Mapping[str, Mapping[str, object]] = {
    "v0": {"layers": 0, "memory": "gpt2"},
    "v1": {"layers": 0, "memory": "none"},
    "v2": {"layers": 1, "memory": "gate"},
    "v3": {"layers": 1, "memory": "gate"},
    "v4-1": {"layers": 1, "memory": "gate"},
    "v4-2": {"layers": 1, "memory": "gru", "step_embedding": True},
    "v4-3": {"layers": 1, "memory": "gate", "gains": ["mmr"]},
    "v4-4": {"layers": 1, "memory": "gate", "candidate_encoder": "self_attention"},
    "v4-5": {"layers": 1, "memory": "gate", "scorer": "additive"},
    "v4-6": {"layers": 1, "memory": "gate", "gains": ["coverage"]},
    "v4-7": {"layers": 1, "memory": "gate", "gains": ["dpp_max_similarity"]},
    "v4-8": {"layers": 1, "memory": "none", "decoding": "parallel"},
    "v4-9": {"layers": 1, "memory": "gate", "decoding": "two_stage"},
    "v4-10": {"layers": 1, "memory": "gate", "length": "stop"},
}
"""v0 is Lever-LM, v1 the bi-encoder, v2 and v3 the pointer network (v3 names its training), v4-n what n added."""


def preset_settings(name: object) -> dict[str, object]:
    """The settings a preset stands for. Raises ValueError naming the known ones."""
    if not isinstance(name, str) or name not in PRESETS:
        raise ValueError(f"no preset is called '{name}'; the presets are {', '.join(PRESETS)}")
    return _NETWORK | dict(PRESETS[name])
