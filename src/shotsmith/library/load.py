"""`shotsmith.load` and `shotsmith.selector`: a trained selector from wherever it is kept, or a training-free one."""

from __future__ import annotations

from pathlib import Path

import torch

from shotsmith.checkpoints.native import MANIFEST, load_policy
from shotsmith.embeddings.load import load_encoder
from shotsmith.errors import InputError
from shotsmith.library.card import Card
from shotsmith.library.choosing import FreeChooser, PolicyChooser
from shotsmith.library.exported import CARD
from shotsmith.library.pretrained import device_named, downloaded, opened
from shotsmith.library.selector import Selector
from shotsmith.library.trained import from_run
from shotsmith.recipe import EncoderSettings, VLMSettings
from shotsmith.runs import Run


def load(
    source: str | Path,
    *,
    revision: str | None = None,
    device: str = "auto",
    encoder: str | EncoderSettings | None = None,
) -> Selector:
    """A trained selector, ready to choose from the bank it was trained with.

    `source` is a run folder (its best checkpoint is used), the folder of one checkpoint, a folder that
    `shotsmith export` or `Selector.save` wrote, or a repository on the Hugging Face Hub, of which `revision` names the
    version. `device` is where the policy runs: 'auto' (cuda if there is one), 'cpu', 'cuda:1', ... `encoder` is needed
    for a checkpoint outside its run that does not say which encoder it was trained with.

    Raises InputError where there is nothing of the kind, CheckpointError for damaged or changed files.
    """
    where = device_named(device)
    folder = Path(source).expanduser()
    if not folder.is_dir():
        return opened(Selector, downloaded(str(source), revision), where)
    if (folder / CARD).exists():
        return opened(Selector, folder, where)
    if (folder / "recipe.yaml").exists():
        return from_run(Run.open(folder), None, where)
    if not (folder / MANIFEST).exists():
        raise InputError(f"is neither a run, nor a checkpoint, nor an exported selector (no {CARD})", file=folder)
    run = next((parent for parent in folder.resolve().parents[:3] if (parent / "recipe.yaml").exists()), None)
    return _checkpoint(folder, encoder, where) if run is None else from_run(Run.open(run), folder, where)


def selector(
    name: str = "mixed",
    *,
    encoder: str | EncoderSettings = "builtin",
    vlm: str | VLMSettings | None = None,
) -> Selector:
    """A selector that needs no training: 'mixed', 'image_similar', 'text_similar', 'diverse', 'mmices', 'random', ...

    It has the interface of a trained one, so that an application can begin with it and replace it later. `encoder` is
    a folder or hub id of an encoder of images and texts, or settings; `vlm` a model or settings whose prompt `messages`
    uses.
    """
    settings = _encoder_settings(encoder)
    prompted = VLMSettings(path=vlm) if isinstance(vlm, str) else vlm
    card = Card(name=name, selector=name, encoder=settings, encoder_identity="", vlm=prompted)
    return Selector(card, FreeChooser(name), lambda: load_encoder(settings))


def _checkpoint(folder: Path, encoder: str | EncoderSettings | None, device: torch.device) -> Selector:
    policy, manifest = load_policy(folder)
    settings = manifest.encoder_settings if encoder is None else _encoder_settings(encoder)
    if settings is None:
        raise InputError("does not say which encoder it was trained with: name it with encoder=...", file=folder)
    card = Card(
        name=f"{manifest.phase}-{manifest.epoch}",
        encoder=settings,
        encoder_identity=manifest.encoder if ":" in manifest.encoder else "",
        vlm=manifest.vlm_settings,
        vlm_identity=manifest.vlm,
        shots=manifest.shots,
    )
    return Selector(card, PolicyChooser(policy.to(device), manifest), lambda: load_encoder(settings))


def _encoder_settings(encoder: str | EncoderSettings) -> EncoderSettings:
    return EncoderSettings(path=encoder) if isinstance(encoder, str) else encoder
