"""Which model a server runs, and what it says of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from shotsmith.errors import InputError, VLMError
from shotsmith.recipe.servers import ServerSettings
from shotsmith.vlms.remote.connection import Connection
from shotsmith.vlms.remote.replies import Json, described, read_models
from shotsmith.vlms.remote.retry import FAULTS, BadStatus, BrokenAnswer, persist

_HOPELESS = {
    401: "refuses the key",
    402: "asks for payment",
    403: "forbids this",
    404: "knows no such model or address",
}
_MOST_LISTED = 10


@dataclass(frozen=True, slots=True)
class Served:
    """The model that a server is asked for."""

    name: str
    replies: tuple[str, ...]
    """Names that replies may carry."""
    told: tuple[str, ...]
    """What the server says of it, as parts of an identity."""


async def find_model(server: ServerSettings, key: str | None) -> Served:
    """The model that the settings name, or the only one. Raises InputError where the server has no such model."""
    async with Connection(server, key) as connection:
        try:
            listed = await _listed(connection, server)
            name = server.model or (next(iter(listed)) if len(listed) == 1 else None)
            refusal = "name one" if name is None else "" if name in listed else await _refusal(connection, server, name)
        except BadStatus as error:
            raise hopeless(connection, error) or VLMError(f"{connection.address} says {error}") from error
        except FAULTS as error:
            problem = f"{connection.address} does not say which models it has"
            raise VLMError(f"{problem}: {connection.redact(str(error)) or 'no answer'}") from error
        if name is None or refusal:
            some = connection.redact(", ".join(list(listed)[:_MOST_LISTED])) or "none"
            raise InputError(
                f"must be a model that the server has: it lists {some}; {refusal}", field="vlm.server.model"
            )
        told = (f"{part}={connection.redact(value)}" for part, value in described(listed.get(name, {})))
        return Served(name, _replies(server, name), tuple(told))


def hopeless(connection: Connection, error: BadStatus) -> VLMError | None:
    """What a status says that is meant for every request; None for one that is meant for a single one."""
    if error.status not in _HOPELESS:
        return None
    return VLMError(f"{connection.address} {_HOPELESS[error.status]}: {error.message}")


def _replies(server: ServerSettings, name: str) -> tuple[str, ...]:
    names: Iterable[str] = [server.reply_model] if server.reply_model is not None else [name, name.rpartition("/")[2]]
    return tuple(dict.fromkeys(names))


async def _listed(connection: Connection, server: ServerSettings) -> dict[str, Json]:
    """The models by name; none where a list that cannot be read is not needed, as the recipe names the model."""

    async def ask() -> dict[str, Json]:
        return read_models(await connection.get("models"))

    try:
        return await persist(ask, retries=server.retries, deadline=server.timeout_seconds)
    except BrokenAnswer:
        if server.model is None:
            raise
        return {}


async def _refusal(connection: Connection, server: ServerSettings, model: str) -> str:
    """What a server says against a model that it does not list; nothing where it has it all the same.

    `transformers serve` lists what lies in the hub's cache, and not a folder that it serves.
    """

    async def ask() -> None:
        with contextlib.suppress(BrokenAnswer):  # no answer, but no refusal
            question = [{"role": "user", "content": "?"}]
            await connection.post("chat/completions", {"model": model, "messages": question, "max_tokens": 1})

    try:
        await persist(ask, retries=server.retries, deadline=server.timeout_seconds)
    except BadStatus as error:
        if error.status not in (400, 404, 422):
            raise
        return f"it says {error.status} to {model}: {error.message}"
    return ""
