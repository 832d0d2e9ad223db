"""Lever-Plus's pointer network by the names and shapes of its weights, and what they are called here.

Published as v2 and v3 (v4-1 is the same with its gate). Of the later variants those that our parts compute alike are
known too: v4-2 (GRU, step embedding) and v4-5 (additive or bilinear scorer). v4-3, v4-4 and v4-6 to v4-10 compute
something else than our parts of the same purpose, so that no renaming of weights could keep their scores.

H is the hidden width, D that of the embeddings, N a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch

from shotsmith.policies.parts import STEPS
from shotsmith.recipe import PolicySettings

Weights = dict[str, torch.Tensor]

TEMPERATURE = 0.1
"""It is not stored."""

_ONE_LAYER = (("cross_attn.", "cross_attn_layers.0."), ("attn_norm.", "attn_norms.0."))
"""The names of a network with one layer, where they differ."""

_OURS = (
    ("query_update_gate.", "memory.query_update_gate."),
    ("decoder_gru.", "memory.cell."),
    ("step_emb.", "step_embedding."),
    ("attn_Wq.", "scorer.of_query."),
    ("attn_Wc.", "scorer.of_candidate."),
    ("attn_v.", "scorer.value."),
    ("bilinear.", "scorer."),
    ("", "encoder."),
)
"""How names begin there and here; the first that fits holds."""

_SHARED: Mapping[str, object] = {
    "start": "random",
    "order": "inwards",
    "feed_forward": False,
    "projections": "random",
    "heads": 1,
    "dropout": 0.5,
    "attention_dropout": 0.1,
    "temperature": TEMPERATURE,
}
"""What every network of Lever-Plus has, and its files do not store."""


@dataclass(frozen=True, slots=True)
class Network:
    """What the names and shapes of weights say of a network."""

    width: int
    """D."""
    hidden: int
    """H."""
    layers: int
    memory: Literal["none", "gate", "gru"]
    scorer: Literal["cosine", "additive", "bilinear"]
    steps: int
    """Rows of the step embedding; 0 without one."""

    @property
    def settings(self) -> PolicySettings:
        """The same as settings of our policy."""
        return PolicySettings.model_validate(
            {
                **_SHARED,
                "hidden_size": self.hidden,
                "layers": self.layers,
                "memory": self.memory,
                "scorer": self.scorer,
                "step_embedding": bool(self.steps),
            }
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight it has."""
        hidden = self.hidden
        square = (hidden, hidden)
        found: dict[str, tuple[int, ...]] = {"input_proj.weight": (hidden, self.width)}
        for layer in range(self.layers):
            attention, norm = f"cross_attn_layers.{layer}", f"attn_norms.{layer}"
            found |= {
                f"{attention}.in_proj_weight": (3 * hidden, hidden),
                f"{attention}.in_proj_bias": (3 * hidden,),
                f"{attention}.out_proj.weight": square,
                f"{attention}.out_proj.bias": (hidden,),
                f"{norm}.weight": (hidden,),
                f"{norm}.bias": (hidden,),
            }
        found |= {"query_proj.weight": square, "cand_proj.weight": square}
        if self.memory == "gate":
            found |= {"query_update_gate.weight": (hidden, 2 * hidden), "query_update_gate.bias": (hidden,)}
        if self.memory == "gru":
            found |= {f"decoder_gru.weight_{end}": (3 * hidden, hidden) for end in ("ih", "hh")}
            found |= {f"decoder_gru.bias_{end}": (3 * hidden,) for end in ("ih", "hh")}
        if self.steps:
            found["step_emb.weight"] = (self.steps, hidden)
        if self.scorer == "additive":
            found |= {"attn_Wq.weight": square, "attn_Wq.bias": (hidden,)}
            found |= {"attn_Wc.weight": square, "attn_v.weight": (1, hidden)}
        if self.scorer == "bilinear":
            found["bilinear.weight"] = (1, *square)
        return found


def network_of(shapes: Mapping[str, tuple[int, ...]]) -> tuple[Network, list[str]]:
    """The network that weights of these names and shapes are most likely of, and everything that does not fit it."""

    def has(start: str) -> bool:
        return any(name.startswith(start) for name in shapes)

    def size(name: str, axis: int) -> int:
        shape = shapes.get(name, ())
        return shape[axis] if len(shape) == 2 else 0

    indices = {index for name in shapes if (index := _layer(name)) is not None}
    network = Network(
        width=size("input_proj.weight", 1),
        hidden=size("query_proj.weight", 0) or size("input_proj.weight", 0),
        layers=len(indices),
        memory="gru" if has("decoder_gru.") else "gate" if has("query_update_gate.") else "none",
        scorer="additive" if has("attn_W") or has("attn_v.") else "bilinear" if has("bilinear.") else "cosine",
        steps=min(size("step_emb.weight", 0), STEPS) or int(has("step_emb.")),
    )
    expected = network.shapes()
    faults = [f"{name} is missing" for name in expected if name not in shapes]
    faults += [f"{name} is not part of it" for name in shapes if name not in expected]
    faults += [
        f"{name} has the shape {shapes[name]}, not {shape}"
        for name, shape in expected.items()
        if name in shapes and (shapes[name] != shape or 0 in shape)
    ]
    return network, faults


def with_layer_numbers(names: Iterable[str]) -> dict[str, str]:
    """The names with those of a one-layer network replaced: `cross_attn.*` by `cross_attn_layers.0.*`, and so on."""
    return {name: _renamed(name, _ONE_LAYER) for name in names}


def with_input_projection(weights: Weights) -> Weights:
    """The weights with an input projection: the identity where D is H, as the published network then has none."""
    query = weights.get("query_proj.weight")
    if "input_proj.weight" in weights or query is None or query.dim() != 2:
        return weights
    return {"input_proj.weight": torch.eye(query.shape[0]), **weights}


def without_input_projection(weights: Weights) -> Weights:
    """The weights as the published network holds them: without an input projection where D is H.

    Raises ValueError where that projection changes embeddings, which the published network cannot do.
    """
    projection = weights["input_proj.weight"]
    if projection.shape[0] != projection.shape[1]:
        return weights
    if not projection.equal(torch.eye(len(projection), dtype=projection.dtype)):
        raise ValueError("input_proj.weight is no identity, and with embeddings as wide as the network there is none")
    return {name: value for name, value in weights.items() if name != "input_proj.weight"}


def without_layer_numbers(weights: Mapping[str, torch.Tensor]) -> tuple[Weights, list[str]]:
    """The weights as its own converter left them, under one-layer names, and the names of those it dropped."""
    kept = {name: value for name, value in weights.items() if _layer(name) in (None, 0)}
    renamed = tuple((there, here) for here, there in _ONE_LAYER)
    return {_renamed(name, renamed): value for name, value in kept.items()}, sorted(weights.keys() - kept.keys())


def to_ours(weights: Mapping[str, torch.Tensor]) -> Weights:
    """The state of our policy from fitting weights of Lever-Plus's."""
    return {_renamed(name, _OURS): _CHANGED.get(name, _same)(value) for name, value in weights.items()}


def to_theirs(state: Mapping[str, torch.Tensor]) -> Weights:
    """Lever-Plus's weights from the state of a policy it has all parts for."""
    back = tuple((ours, theirs) for theirs, ours in _OURS)
    named = {_renamed(name, back): value for name, value in state.items()}
    return {name: _CHANGED_BACK.get(name, _same)(value) for name, value in named.items()}


def _layer(name: str) -> int | None:
    for start in ("cross_attn_layers.", "attn_norms."):
        if name.startswith(start) and (digits := name.removeprefix(start).split(".")[0]).isdecimal():
            return int(digits) if len(digits) < 4 else None
    return None


def _renamed(name: str, table: Iterable[tuple[str, str]]) -> str:
    for before, after in table:
        if name.startswith(before):
            return after + name.removeprefix(before)
    return name


def _same(value: torch.Tensor) -> torch.Tensor:
    return value


def _all_steps(rows: torch.Tensor) -> torch.Tensor:
    """Steps it has no row for add nothing to the state."""
    return torch.cat([rows, rows.new_zeros(STEPS - len(rows), rows.shape[1])])


def _known_steps(rows: torch.Tensor) -> torch.Tensor:
    used = int(rows.any(1).nonzero().max()) + 1 if rows.any() else 1
    return rows[:used]


_CHANGED: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "step_emb.weight": _all_steps,
    "attn_v.weight": lambda value: (value.double() / TEMPERATURE).float(),  # its additive scores are divided too
    "bilinear.weight": lambda value: value[0],
}
_CHANGED_BACK: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "step_emb.weight": _known_steps,
    "attn_v.weight": lambda value: (value.double() * TEMPERATURE).float(),
    "bilinear.weight": lambda value: value[None],
}
