"""A selector as one folder that moves to another machine: card, policy, bank with embeddings, training queries.

selector.json         the card, with the digest of every other file
README.md             the model card, for people; it may be edited
manifest.json, policy.safetensors     the checkpoint (of a trained selector)
bank.jsonl, bank.safetensors          examples of the bank, and their embeddings
queries.safetensors   embeddings of training queries, by which unfamiliar queries are told
encoder/, image-encoder/, text-encoder/, images/     where they are copied
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from safetensors.numpy import load_file, save_file

from shotsmith.checkpoints.native import MANIFEST, WEIGHTS, save_policy
from shotsmith.embeddings.embedded import Embedded
from shotsmith.embeddings.folder import local_folder, model_folder
from shotsmith.errors import CheckpointError, InputError
from shotsmith.files import file_digest, read_json, replacing_folder, write_json
from shotsmith.library.bank import Bank, Id
from shotsmith.library.card import BankNote, Card
from shotsmith.library.choosing import Chooser, PolicyChooser
from shotsmith.library.familiar import Familiar
from shotsmith.library.model_card import README, model_card
from shotsmith.recipe import EncoderSettings, Side
from shotsmith.records import Example

CARD = "selector.json"
_BANK, _EMBEDDINGS, _QUERIES = "bank.jsonl", "bank.safetensors", "queries.safetensors"
_IMAGES = "images"
_COPIES: Mapping[Side, str] = {"path": "encoder", "image": "image-encoder", "text": "text-encoder"}
"""Where a copied model lies, by the setting that names it."""
_OWN = (CARD, README, MANIFEST, WEIGHTS, _BANK, _EMBEDDINGS, _QUERIES, _IMAGES, *_COPIES.values())
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


def save(contents: Contents, folder: Path, *, images: bool, encoder: bool | None, paths: bool = True) -> None:
    """Write a selector and its bank into `folder`, in the place of a selector that was there.

    `images` copies the images of the bank, which messages need on another machine. `encoder` copies the encoder; None
    copies one that is a folder of this machine, and not one of the package or of the Hub. Without `paths`, images that
    are not copied are named by their file names alone. Raises InputError where the folder holds something else.
    """
    if folder.exists() and not (folder / CARD).exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise InputError("holds something else than a selector; choose another folder", file=folder)
    card, chooser, bank = contents.card, contents.chooser, contents.bank
    copies = _copies(card.encoder, encoder)
    named = card.encoder
    for side in copies:
        named = named.with_folder(side, _COPIES[side])
    with replacing_folder(folder, _OWN) as temporary:
        if isinstance(chooser, PolicyChooser):  # first: it takes the place of the whole folder
            known = {"encoder_settings": named, "vlm_settings": card.vlm}
            save_policy(temporary, chooser.policy, chooser.manifest.model_copy(update=known))
        for side, model in copies.items():
            shutil.copytree(model, temporary / _COPIES[side])
        _write_bank(temporary, bank, contents.embedded, images=images, paths=paths)
        if contents.familiar is not None:
            save_file({"queries": np.ascontiguousarray(contents.familiar.queries)}, temporary / _QUERIES)
        files = {name: file_digest(temporary / name) for name in _files(temporary)}
        note = BankNote(digest=bank.digest, size=len(bank))
        more = {"bank": note, "encoder": named, "encoder_identity": contents.encoder_identity, "files": files}
        card = card.model_copy(update=more).sealed()
        (temporary / README).write_text(model_card(card), encoding="utf-8")
        write_json(temporary / CARD, card.model_dump(mode="json"))


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


def _write_bank(folder: Path, bank: Bank, embedded: Embedded, *, images: bool, paths: bool) -> None:
    arrays = {"images": embedded.images, "questions": embedded.questions}
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / _EMBEDDINGS)
    with (folder / _BANK).open("w", encoding="utf-8") as out:
        for one, example in zip(bank.ids, bank.examples, strict=True):
            out.write(json.dumps(_told(one, example, folder if images else None, paths), ensure_ascii=False) + "\n")


def _told(one: Id, example: Example, copy_to: Path | None, paths: bool) -> dict[str, Any]:
    told = {
        "id": one,
        "number": example.id,
        "question": example.question,
        "answers": example.answers,
        "question_type": example.question_type,
        "image_id": example.image_id,
    }
    images = [str(_placed(image, copy_to, paths)) for image in example.images]
    return {**told, "images": images, "sha256": [file_digest(image) for image in example.images]}


def _placed(image: Path, copy_to: Path | None, paths: bool) -> Path:
    """Where an image lies: where it is, or in the folder that it is copied to (a path relative to that).

    Without `paths`, its name alone where it is not copied.
    """
    if copy_to is None:
        return image.absolute() if paths else Path(image.name)
    placed = Path(_IMAGES) / f"{file_digest(image)}{image.suffix}"
    (copy_to / _IMAGES).mkdir(exist_ok=True)
    if not (copy_to / placed).exists():
        shutil.copyfile(image, copy_to / placed)
    return placed


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
    for image, sha256 in zip(told["images"], told["sha256"], strict=True):
        if Path(image).is_absolute():
            continue
        parts = Path(image).parts
        if ".." in parts or parts[:-1] not in ((), (_IMAGES,)):
            raise CheckpointError("names an image outside the folder", file=folder / _BANK, row=row)
        if parts[:-1] and _sha256(folder / image) != sha256:
            raise CheckpointError("is missing or was changed", file=folder / image, row=row)
    images = tuple(folder / image for image in told["images"])
    return Example(
        told["number"], images, told["image_id"], told["question"], tuple(told["answers"]), told["question_type"]
    )


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


def read_queries(folder: Path, card: Card) -> Familiar | None:
    """The training queries of an exported selector, where it keeps some."""
    if card.unfamiliar_below is None or not (folder / _QUERIES).exists():
        return None
    return Familiar(load_file(folder / _QUERIES)["queries"], card.unfamiliar_below)


def _copies(settings: EncoderSettings, wanted: bool | None) -> dict[Side, Path]:
    """The folders of the encoder's models that are copied: all that are wanted, or (None) those of this machine."""
    found: dict[Side, Path] = {}
    for side, (path, revision) in settings.models.items():
        local = path != "builtin" and local_folder(path) is not None
        if wanted or (wanted is None and local):
            found[side] = model_folder(path, revision, f"encoder.{side}")
    return found


def encoder_of(settings: EncoderSettings, folder: Path) -> EncoderSettings:
    """The encoder of an exported selector, where it is on this machine: copied models lie in the folder."""
    for side, (path, _revision) in settings.models.items():
        if path == _COPIES[side] and (folder / path).is_dir():
            settings = settings.with_folder(side, str(folder / path))
    return settings


def _files(folder: Path) -> Iterator[str]:
    """Everything written so far but copied images, which the bank's table has the digests of."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and name.parts[0] != _IMAGES:
            yield name.as_posix()
