"""Saving a selector, loading it again, and exchanging it through the Hugging Face Hub."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

import torch

from shotsmith.checkpoints.native import load_policy
from shotsmith.embeddings.embedded import Embedded, Encoder
from shotsmith.embeddings.folder import one_line
from shotsmith.embeddings.load import load_encoder
from shotsmith.errors import InputError, ShotsmithError
from shotsmith.library.bank import Bank
from shotsmith.library.card import Card
from shotsmith.library.choosing import Chooser, FreeChooser, PolicyChooser
from shotsmith.library.exported import Contents, check_files, encoder_of, load_card, read_bank, read_queries, save
from shotsmith.library.familiar import Familiar
from shotsmith.recipe import EncoderSettings, VLMSettings

_STALE = ["*.json", "*.jsonl", "*.safetensors", "encoder/*", "image-encoder/*", "text-encoder/*", "images/*"]
"""What a push removes of an earlier selector."""


class Pretrained(ABC):
    """The methods of a selector that write it into a folder or a repository, and read it from there."""

    @abstractmethod
    def __init__(
        self,
        card: Card,
        chooser: Chooser,
        encoder: Callable[[], Encoder],
        *,
        own_bank: Callable[[], tuple[Bank, Embedded | None]] | None = None,
        familiar: Familiar | None = None,
    ) -> None:
        """As `Selector`."""

    @abstractmethod
    def contents(self) -> Contents:
        """Everything that is saved."""

    def save(self, folder: str | Path, *, images: bool = False, encoder: bool | None = None) -> Path:
        """Write the selector and its bank into one folder that `shotsmith.load` takes on any machine; returns it.

        The folder has a model card, README.md. `images` copies the images of the bank, which messages need on another
        machine. `encoder` copies the encoder; None copies one that is a folder of this machine, and not one of the
        package or of the Hub. Removed examples are left out. Raises InputError where the folder holds something else
        than a selector.
        """
        save(self.contents(), Path(folder).expanduser(), images=images, encoder=encoder)
        return Path(folder)

    def save_pretrained(self, folder: str | Path, *, images: bool = False, encoder: bool | None = None) -> Path:
        """The same as `save`, under the name that libraries of the Hugging Face Hub use."""
        return self.save(folder, images=images, encoder=encoder)

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, revision: str | None = None, token: str | None = None, device: str = "auto"
    ) -> Self:
        """The selector in a folder that `save_pretrained` wrote, or in a repository on the Hub.

        `revision` is a branch, a tag or a commit of the repository; `token` is needed for a private one. Raises
        InputError where there is neither, CheckpointError for a file that is missing, damaged or was changed.
        """
        folder = Path(name).expanduser()
        if not folder.is_dir():
            folder = downloaded(str(name), revision, token)
        return opened(cls, folder, device_named(device))

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        revision: str | None = None,
        commit_message: str = "Upload a Shotsmith selector",
        images: bool = False,
        encoder: bool | None = None,
    ) -> str:
        """Upload the selector to a model repository on the Hub, which is made where it is missing.

        Questions and answers of the bank are uploaded, its images only with `images`. Local folders and the address
        of a server are left out of what is uploaded. `private` makes a new repository private; `revision` is the
        branch, made where it is missing. Returns the URL of the commit; its last part is the commit's id.

        Raises InputError for a malformed `repo_id`, ShotsmithError where the Hub refuses.
        """
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError

        api = HfApi(token=token, library_name="shotsmith")
        contents = self.contents()
        contents = replace(contents, card=_public(contents.card))
        try:
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary) / "selector"
                save(contents, folder, images=images, encoder=encoder, paths=False)
                repo = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
                if revision is not None:
                    api.create_branch(repo, branch=revision, exist_ok=True)
                commit = api.upload_folder(
                    repo_id=repo,
                    folder_path=folder,
                    revision=revision,
                    commit_message=commit_message,
                    delete_patterns=_STALE,
                )
        except HFValidationError as error:
            raise InputError(f"'{repo_id}' is no name of a repository: {error}") from error
        except HfHubHTTPError as error:
            raise ShotsmithError(f"the Hub refused the upload to '{repo_id}': {error}") from error
        return str(commit.commit_url)


Made = TypeVar("Made", bound=Pretrained)


def opened(make: type[Made], folder: Path, device: torch.device) -> Made:
    """The selector that an exported folder holds. Raises CheckpointError where a file is not as it was written."""
    card = load_card(folder)
    check_files(folder, card)
    chooser: Chooser
    if card.selector == "policy":
        policy, manifest = load_policy(folder)
        chooser = PolicyChooser(policy.to(device), manifest)
    else:
        chooser = FreeChooser(card.selector)
    settings = encoder_of(card.encoder, folder)
    return make(
        card.model_copy(update={"encoder": settings}),
        chooser,
        lambda: load_encoder(settings),
        own_bank=lambda: read_bank(folder, card),
        familiar=read_queries(folder, card),
    )


def downloaded(name: str, revision: str | None, token: str | None = None) -> Path:
    """The local copy of a repository on the Hub. Raises InputError where it cannot be had."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, token=token, library_name="shotsmith"))
    except HFValidationError as error:
        raise InputError("no such folder", file=name) from error  # nothing on the Hub has such a name
    except LocalEntryNotFoundError as error:
        raise InputError("no such folder, and the Hub cannot be asked for such a selector", file=name) from error
    except (HfHubHTTPError, OSError) as error:
        raise InputError(f"no such folder, and no selector on the Hub: {one_line(error)}", file=name) from error


def device_named(name: str) -> torch.device:
    """'auto' is cuda if there is one. Raises InputError for a name that torch does not know."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise InputError(f"there is no device '{name}'", field="device") from error


def _public(card: Card) -> Card:
    """The card without folders of this machine and without the address of a server."""
    vlm = card.vlm
    if vlm is not None:
        vlm = VLMSettings.model_validate(_without_folders(vlm.model_dump(mode="json")))
        if vlm.server is not None:
            server = vlm.server.model_copy(update={"url": "http://localhost:8000/v1", "api_key_env": None})
            vlm = vlm.model_copy(update={"server": server, "ray": None})
    encoder = card.encoder
    if encoder.precomputed is not None:  # models of this machine are copied
        encoder = EncoderSettings.model_validate(_without_folders(encoder.model_dump(mode="json")))
    return card.model_copy(update={"encoder": encoder, "vlm": vlm, "data": _without_folders(card.data)})


def _without_folders(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value
