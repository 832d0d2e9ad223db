"""A selector as one folder that moves to another machine: card, policy, bank with embeddings, training queries.

selector.json         the card, with the digest of every other file
manifest.json, policy.safetensors     the checkpoint (of a trained selector)
bank.jsonl, bank.safetensors          examples of the bank, and their embeddings
queries.safetensors   embeddings of training queries, by which unfamiliar queries are told
encoder/, images/     where they are copied
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from safetensors.numpy import load_file, save_file

from shotsmith.checkpoints.native import MANIFEST, WEIGHTS, save_policy
from shotsmith.encoders.clip import encoder_folder
from shotsmith.encoders.embedded import Embedded
from shotsmith.errors import CheckpointError, InputError
from shotsmith.files import file_digest, read_json, replacing_folder, write_json
from shotsmith.library.bank import Bank, Id
from shotsmith.library.card import BankNote, Card
from shotsmith.library.choosing import Chooser, PolicyChooser
from shotsmith.library.familiar import Familiar
from shotsmith.recipe import EncoderSettings
from shotsmith.records import Example

CARD = "selector.json"
_BANK, _EMBEDDINGS, _QUERIES = "bank.jsonl", "bank.safetensors", "queries.safetensors"
_ENCODER, _IMAGES = "encoder", "images"
_OWN = (CARD, MANIFEST, WEIGHTS, _BANK, _EMBEDDINGS, _QUERIES, _ENCODER, _IMAGES)
"""What an export may hold."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is written."""

    card: Card
    chooser: Chooser
    bank: Bank
    embedded: Embedded
    familiar: Familiar | None
    encoder_identity: str


def save(contents: Contents, folder: Path, *, images: bool, encoder: bool | None) -> None:
    """Write a selector and its bank into `folder`, in the place of a selector that was there.

    `images` copies the images of the bank, which messages need on another machine. `encoder` copies the encoder; None
    copies one that is a folder of this machine, and not one of the package or of the Hub. Raises InputError where the
    folder holds something else.
    """
    if folder.exists() and not (folder / CARD).exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise InputError("holds something else than a selector; choose another folder", file=folder)
    card, chooser, bank = contents.card, contents.chooser, contents.bank
    settings = card.encoder
    with replacing_folder(folder, _OWN) as temporary:
        if isinstance(chooser, PolicyChooser):
            named = {"encoder_settings": card.encoder, "vlm_settings": card.vlm}
            save_policy(temporary, chooser.policy, chooser.manifest.model_copy(update=named))
        _write_bank(temporary, bank, contents.embedded, images=images)
        if contents.familiar is not None:
            save_file({"queries": np.ascontiguousarray(contents.familiar.queries)}, temporary / _QUERIES)
        if encoder or (encoder is None and Path(settings.path).expanduser().is_dir()):
            shutil.copytree(encoder_folder(settings), temporary / _ENCODER)
            settings = settings.model_copy(update={"path": _ENCODER})
        files = {name: file_digest(temporary / name) for name in _files(temporary)}
        note = BankNote(digest=bank.digest, size=len(bank))
        more = {"bank": note, "encoder": settings, "encoder_identity": contents.encoder_identity, "files": files}
        write_json(temporary / CARD, card.model_copy(update=more).sealed().model_dump(mode="json"))


def check_files(folder: Path, card: Card) -> None:
    """Raise CheckpointError naming the first file that is missing, damaged or was changed."""
    for name, digest in card.files.items():
        if not (folder / name).is_file() or file_digest(folder / name) != digest:
            raise CheckpointError(f"is missing, damaged or not the file that {CARD} speaks of", file=folder / name)


def load_card(folder: Path) -> Card:
    """The card of an exported selector. Raises CheckpointError naming file and field."""
    file = folder / CARD
    try:
        card = Card.model_validate(read_json(file))
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(str(part) for part in fault["loc"])
        raise CheckpointError(fault["msg"], file=file, field=field or None) from error
    except InputError as error:
        raise CheckpointError(error.problem, file=file, row=error.row) from error
    if not card.is_sound:
        raise CheckpointError("was changed since it was written (its digest differs)", file=file)
    return card


def _write_bank(folder: Path, bank: Bank, embedded: Embedded, *, images: bool) -> None:
    arrays = {"images": embedded.images, "questions": embedded.questions}
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / _EMBEDDINGS)
    with (folder / _BANK).open("w", encoding="utf-8") as out:
        for one, example in zip(bank.ids, bank.examples, strict=True):
            out.write(json.dumps(_told(one, example, folder if images else None), ensure_ascii=False) + "\n")


def _told(one: Id, example: Example, copy_to: Path | None) -> dict[str, Any]:
    told = {
        "id": one,
        "number": example.id,
        "question": example.question,
        "answers": example.answers,
        "question_type": example.question_type,
        "image_id": example.image_id,
    }
    if example.image is None:
        return told
    digest = file_digest(example.image)
    image = example.image.absolute()
    if copy_to is not None:
        image = Path(_IMAGES) / f"{digest}{example.image.suffix}"
        (copy_to / _IMAGES).mkdir(exist_ok=True)
        if not (copy_to / image).exists():
            shutil.copyfile(example.image, copy_to / image)
    return {**told, "image": str(image), "sha256": digest}


def read_bank(folder: Path, card: Card) -> tuple[Bank, Embedded]:
    """The bank of an exported selector and its embeddings. Raises CheckpointError for an image that was changed."""
    examples, ids = [], []
    for row, line in enumerate((folder / _BANK).read_text(encoding="utf-8").splitlines()):
        told = json.loads(line)
        examples.append(_example(told, folder, row))
        ids.append(told["id"])
    held = load_file(folder / _EMBEDDINGS)
    return Bank(tuple(examples), tuple(ids)), Embedded(held["images"], held["questions"], card.encoder.joined == "mean")


def _example(told: dict[str, Any], folder: Path, row: int) -> Example:
    image = None if "image" not in told else folder / told["image"]
    if image is not None and not Path(told["image"]).is_absolute() and _sha256(image) != told["sha256"]:
        raise CheckpointError("is missing or was changed", file=image, row=row)
    return Example(
        told["number"], image, told["image_id"], told["question"], tuple(told["answers"]), told["question_type"]
    )


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def read_queries(folder: Path, card: Card) -> Familiar | None:
    """The training queries of an exported selector, where it keeps some."""
    if card.unfamiliar_below is None or not (folder / _QUERIES).exists():
        return None
    return Familiar(load_file(folder / _QUERIES)["queries"], card.unfamiliar_below)


def encoder_of(settings: EncoderSettings, folder: Path) -> EncoderSettings:
    """The encoder of an exported selector, where it is on this machine: a copied one lies in the folder."""
    if settings.path != _ENCODER or not (folder / _ENCODER).is_dir():
        return settings
    return settings.model_copy(update={"path": str(folder / _ENCODER)})


def _files(folder: Path) -> Iterator[str]:
    """Everything written so far but copied images, which the bank's table has the digests of."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] != _IMAGES:
            yield name.as_posix()
