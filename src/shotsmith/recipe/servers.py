"""Settings of what runs the VLM elsewhere: servers, by their kind, and backends that packages add."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from shotsmith.plugins import Table
from shotsmith.recipe.base import Count, Natural, Positive, Settings
from shotsmith.recipe.urls import EnvironmentName, ServerUrl


@dataclass(frozen=True, slots=True)
class ServerKind:
    """What a kind of OpenAI-compatible server takes beyond the requests that all of them take."""

    gives_log_probs: bool = False
    """Whether it gives the log-probabilities of a prompt's tokens (`prompt_logprobs`)."""
    names_images: bool = False
    """Whether an image may have an id (`uuid`), by which the server knows it again."""
    greedy: Mapping[str, object] = field(default_factory=dict)
    """Further fields of a request that make it decode greedily, whatever the checkpoint's own settings are."""


SERVER_KINDS: Table[ServerKind] = Table(
    "shotsmith.servers",
    ServerKind,
    {
        "openai": ServerKind(),
        "vllm": ServerKind(gives_log_probs=True, names_images=True, greedy={"repetition_penalty": 1.0}),
    },
)
"""Every kind of server, by its name in `vlm.server.kind`."""


@dataclass(frozen=True, slots=True)
class Backend:
    """What runs a VLM. Its module is imported whenever a recipe names it: `load` imports what is heavy."""

    load: Callable[..., object]
    """Makes the VLM (vlms.protocol.VLM) of the settings of the section `vlm`. Raises InputError where these do not
    suit, VLMError where the VLM cannot be had."""
    gives_log_probs: bool = False
    """Whether the VLM gives the log-probability of an answer that it is told."""


BACKENDS: Table[Backend] = Table("shotsmith.vlms", Backend)
"""Every backend beside the local VLM, servers and Ray workers, by its name in `vlm.backend.name`."""


def check_backend(name: str) -> None:
    """Raise ValueError, naming all backends, where none has this name.

    Recipes are checked, and settings kept with a checkpoint are not: to use a selector takes no VLM.
    """
    if name not in BACKENDS:
        there = ", ".join(BACKENDS) or "none"
        raise ValueError(f"vlm.backend.name: no backend is called '{name}'; installed packages have {there}")


def _check_kind(name: str) -> str:
    if name not in SERVER_KINDS:
        raise ValueError(f"no kind of server is called '{name}'; there are {', '.join(SERVER_KINDS)}")
    return name


class BackendSettings(Settings):
    """A VLM that a backend of the table runs, such as one of another package."""

    name: str
    """Its name: an entry point of the group shotsmith.vlms."""
    options: Mapping[str, Any] = {}
    """What the backend takes besides the other settings of this section: its package says what."""
    processor: str | None = None
    """Folder or hub id of the model's processor, which counts tokens here; `prompt.max_tokens` needs it."""


class ServerSettings(Settings):
    """An OpenAI-compatible server that runs the VLM."""

    url: ServerUrl = Field(repr=False)
    """Where its API begins, for example http://localhost:8000/v1; credentials in it are never written anywhere."""
    model: str | None = None
    """Name under which the server has the model; may be left out where it has only one."""
    kind: Annotated[str, AfterValidator(_check_kind)] = "openai"
    """'openai' sends what any server takes; 'vllm' adds image ids and asks for log-probabilities of given answers."""
    api_key_env: EnvironmentName | None = None
    """Environment variable that holds the key; none is sent by default."""
    concurrency: Count = 32
    """Requests under way at a time."""
    timeout_seconds: Positive = 120.0
    """Deadline of one try of a request."""
    retries: Natural = 6
    """Further tries of a request that met a full or failing server."""
    processor: str | None = None
    """Folder or hub id of the model's processor, which counts tokens here; `prompt.max_tokens` needs it."""
    reply_megabytes: Positive = 8.0
    """Largest reply that is read, in MiB after decompression; log-probabilities take some 80 bytes a prompt token."""
    reply_model: str | None = None
    """Name of the model in replies, where it is not `model` or a dated version of it; replies of others are refused."""

    @property
    def protocol(self) -> ServerKind:
        """What is sent to a server of this kind."""
        return SERVER_KINDS[self.kind]

    @property
    def gives_log_probs(self) -> bool:
        """Whether the server gives the log-probability of an answer that it is told."""
        return self.protocol.gives_log_probs
