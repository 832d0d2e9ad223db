"""From Lever-Plus's checkpoints to ours and back, with equal scores; what would be lost is an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from shotsmith.checkpoints.native import MANIFEST, UNKNOWN, Manifest, load_policy, load_weights, save_policy
from shotsmith.compat.checkpoints.files import Stored, read_stored, write_stored
from shotsmith.compat.checkpoints.names import (
    TEMPERATURE,
    network_of,
    to_ours,
    to_theirs,
    without_input_projection,
    without_layer_numbers,
)
from shotsmith.errors import CheckpointError, InputError
from shotsmith.policies.pointer import build_policy
from shotsmith.policies.protocol import Policy
from shotsmith.recipe import PolicySettings

Form = Literal["native", "v3", "v2format", "v4"]
FORMS: tuple[Form, ...] = ("native", "v3", "v2format", "v4")
"""v3 with or without the names of v2 (v2format), and v3 with what later variants have (v4).

The variants that our parts compute alike are v4-2 (GRU, step embedding) and v4-5 (additive or bilinear scorer). The v2
format holds them too.
"""

_PUBLISHED: dict[str, tuple[object, ...]] = {
    "start": ("random",),
    "order": ("inwards",),
    "heads": (1,),
    "candidate_encoder": ("none",),
    "feed_forward": (False,),
    "memory": ("none", "gate"),
    "step_embedding": (False,),
    "scorer": ("cosine",),
    "temperature": (TEMPERATURE,),
    "gains": ((),),
    "decoding": ("sequential",),
    "length": ("fixed",),
}
"""The settings of a policy that the published network can have, and the values it can have there."""

_VARIANTS: dict[str, tuple[object, ...]] = {
    "memory": ("none", "gate", "gru"),
    "step_embedding": (False, True),
    "scorer": ("cosine", "additive", "bilinear"),
}
"""What v4-2 and v4-5 can have instead."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What a conversion has made of a checkpoint."""

    policy: PolicySettings
    embedding_width: int
    weights: int
    """Number of tensors written."""
    lost: tuple[str, ...]
    """Weights that were not written: none, unless it was to be like Lever-Plus's converter."""
    left: tuple[str, ...]
    """What else stood in the file: nothing that the policy needs."""
    unknown: tuple[str, ...]
    """Fields of the manifest that nothing is known of."""


def read_policy(source: Path) -> tuple[Policy, Manifest]:
    """The policy of a checkpoint of any form, in eval mode, and its manifest.

    Raises CheckpointError where it is damaged, of no known form, or does not fit, listing everything that does not.
    """
    policy, manifest, _ = _opened(source)
    return policy, manifest


def convert(
    source: Path, target: Path, form: Form, *, like_predecessor: bool = False, leave: Sequence[str] = ()
) -> Converted:
    """Write the checkpoint `source`, of whatever form, as `target` in the form asked for; it is replaced if there.

    With `like_predecessor` (form v2format only) layers after the first are dropped and the first goes under the
    one-layer names, as Lever-Plus's converter did. Weights of a file whose names begin with one of `leave` are
    left behind. Raises CheckpointError as `read_policy`, and listing all
    that the form cannot hold; InputError where `target` is something else than a checkpoint.
    """
    if like_predecessor and form != "v2format":
        raise InputError("only the v2 format has a converter of Lever-Plus's to be like", field="--like-predecessor")
    _check_target(source, target, form)
    policy, manifest, left = _opened(source, leave)
    lost: list[str] = []
    if form == "native":
        save_policy(target, policy, manifest)
        written = len(policy.state_dict())
    else:
        stored = stored_from(policy, manifest, form, source)
        if like_predecessor:
            kept, lost = without_layer_numbers(stored.weights)
            stored = replace(stored, weights=kept)
        write_stored(target, stored, "v2format" if form == "v2format" else "v3")
        written = len(stored.weights)
    return Converted(manifest.policy, manifest.embedding_width, written, tuple(lost), left, manifest.unknown)


def stored_from(policy: Policy, manifest: Manifest, form: Form, source: Path | None = None) -> Stored:
    """A policy as Lever-Plus's files hold it. Raises CheckpointError listing all that they cannot hold."""
    if faults := unfit(policy.settings, form):
        raise CheckpointError(
            f"holds what Lever-Plus's network ({form}) does not have: {'; '.join(faults)}", file=source
        )
    try:
        weights = without_input_projection(to_theirs(policy.state_dict()))
    except ValueError as error:
        raise CheckpointError(f"cannot be held by Lever-Plus's network: {error}", file=source) from error
    beta = manifest.metrics.get("beta")
    return Stored(
        weights=weights,
        epoch=None if "epoch" in manifest.unknown else manifest.epoch,
        phase=None if "phase" in manifest.unknown else manifest.phase,
        beta=float(beta) if isinstance(beta, int | float) else None,
        metrics=dict(manifest.metrics),
    )


def unfit(settings: PolicySettings, form: Form) -> list[str]:
    """The settings of a policy that the network of a form cannot have, as 'policy.name: value'."""

    def strange(known: dict[str, tuple[object, ...]]) -> list[str]:
        return [name for name, values in known.items() if getattr(settings, name) not in values]

    if form in ("v4", "v2format") and not strange(_PUBLISHED | _VARIANTS) and _is_variant(settings):
        return []
    said = settings.model_dump(mode="json")
    return [f"policy.{name}: {said[name]}" for name in strange(_PUBLISHED)]


def _is_variant(settings: PolicySettings) -> bool:
    """Only the variant with a GRU has a step embedding."""
    return settings.memory == "gru" or not settings.step_embedding


def _opened(source: Path, leave: Sequence[str] = ()) -> tuple[Policy, Manifest, tuple[str, ...]]:
    """Policy, manifest, and what else stood in the file."""
    if source.is_dir():
        return *load_policy(source), ()
    stored = read_stored(source, leave)
    return *_policy_of(stored, source), stored.left


def _policy_of(stored: Stored, source: Path) -> tuple[Policy, Manifest]:
    network, _ = network_of({name: tuple(value.shape) for name, value in stored.weights.items()})
    policy = build_policy(network.settings, network.width, seed=0)
    load_weights(policy, to_ours(stored.weights), source)
    known = {"phase": stored.phase, "epoch": stored.epoch}
    metrics = dict(stored.metrics)
    if stored.beta is not None:
        metrics.setdefault("beta", stored.beta)
    manifest = Manifest(
        policy=network.settings,
        embedding_width=network.width,
        encoder=UNKNOWN,
        vlm=UNKNOWN,
        shots=(),
        recipe=UNKNOWN,
        seed=0,
        phase=stored.phase or "supervised",
        epoch=stored.epoch or 0,
        metrics=metrics,
        unknown=("encoder", "vlm", "shots", "recipe", "seed", *(name for name in known if known[name] is None)),
    )
    return policy, manifest


def _check_target(source: Path, target: Path, form: Form) -> None:
    if target.exists() and source.exists() and target.samefile(source):
        raise InputError("is the checkpoint to be converted; give another target", file=target)
    if form != "native" and target.is_dir():
        raise InputError("is a folder; Lever-Plus's checkpoints are files", file=target)
    if form == "native" and target.exists() and not _is_ours_or_empty(target):
        raise InputError("is there already, and is no checkpoint of ours to be replaced", file=target)


def _is_ours_or_empty(target: Path) -> bool:
    return target.is_dir() and ((target / MANIFEST).exists() or not any(target.iterdir()))
