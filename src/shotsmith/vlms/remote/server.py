"""A VLM behind an OpenAI-compatible server (vLLM, SGLang, `transformers serve`, hosted)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shotsmith.errors import InputError, VLMError
from shotsmith.files import file_digest
from shotsmith.recipe import VLMSettings
from shotsmith.recipe.servers import ServerSettings
from shotsmith.recipe.urls import HIDDEN
from shotsmith.records import Completion, Failure, Request
from shotsmith.vlms.prompting.data_urls import data_url
from shotsmith.vlms.prompting.prompts import Prompt, load_prompt
from shotsmith.vlms.remote.answer_tokens import (
    KnownAnswer,
    Token,
    answer_log_prob,
    count_by_text,
    learn,
    log_prob_of_last,
    read_tokens,
)
from shotsmith.vlms.remote.connection import Connection
from shotsmith.vlms.remote.listing import Served, find_model, hopeless
from shotsmith.vlms.remote.refusals import Refusals
from shotsmith.vlms.remote.replies import Reply, read_reply, text_of
from shotsmith.vlms.remote.retry import FAULTS, Answer, BadStatus, BrokenAnswer, Disconnected, is_retryable, persist

_BATCHES = 4
"""Requests in a call of `complete`, in multiples of those in flight: few wait for the last, few are lost in a crash."""
_NO_LOG_PROBS = (
    "this server is not asked for log-probabilities of given answers, which the beam data (InfoScore) and the rewards "
    "answer_probability and log_prob_gain and reward modes like them need. Use a vLLM server with "
    "vlm.server.kind=vllm, or the local VLM"
)
_IDS: Mapping[str, object] = {"return_token_ids": True}
_CONTINUED: Mapping[str, object] = {
    "prompt_logprobs": 0,
    "add_generation_prompt": False,
    "continue_final_message": True,
}
"""vLLM then tells the log-probabilities of a prompt's own tokens: the answer is put at its end."""

Message = dict[str, Any]


@dataclass(slots=True)
class _Begun:
    """What has been answered of a request so far."""

    text: str | None = None
    truncated: bool = False
    alone: Reply | None = None
    """A reply to the prompt without an answer, with the ids of its tokens where the server tells them."""
    log_probs: dict[str, float] = field(default_factory=dict)


class ServerVLM:
    """Asks for many prompts at a time; fulfils `shotsmith.vlms.protocol.VLM`."""

    counts_tokens = False

    def __init__(
        self,
        server: ServerSettings,
        prompt: Prompt,
        *,
        key: str | None,
        model: Served,
        identity: str,
        max_new_tokens: int,
    ) -> None:
        self.identity = identity
        self.gives_log_probs = server.gives_log_probs
        self._prompt = prompt
        self.batch_tokens = _BATCHES * server.concurrency
        self._server = server
        self._key = key
        self._model = model
        self._max_new_tokens = max_new_tokens
        self._begun: dict[Request, _Begun] = {}
        """What has been answered of requests that failed in a later part."""
        self._known: dict[str, KnownAnswer] = {}
        """Answers whose tokens are known."""
        self._ever_scored = False
        self._refusals = Refusals()

    def length(self, request: Request) -> int:
        """Always 1: the server makes its own batches, so that `batch_tokens` counts prompts."""
        return 1

    def complete(self, requests: Sequence[Request]) -> list[Completion | Failure]:
        """Answer one batch, in order, with at most `concurrency` calls under way.

        Where nothing can go on (wrong key, unknown model, no server) and something of the batch has been answered,
        that is returned, with failures for the rest: so it can be stored, and the next call raises. Raises VLMError
        there if nothing has been answered, and before any call where log-probabilities are asked for and the kind
        of server gives none; DataError for a file that is no image.
        """
        if not self.gives_log_probs and any(request.answers for request in requests):
            raise VLMError(_NO_LOG_PROBS)
        return asyncio.run(self._complete(requests))

    async def _complete(self, requests: Sequence[Request]) -> list[Completion | Failure]:
        free = asyncio.Semaphore(self._server.concurrency)
        ended: list[VLMError] = []
        chats = [self._chat(request) for request in requests]  # a damaged image is found before anything is asked

        async def complete(request: Request, chat: list[Message]) -> Completion | Failure:
            async with free:
                try:
                    result = Failure(str(ended[0])) if ended else await self._completion(connection, request, chat)
                except VLMError as error:
                    ended.append(error)
                    result = Failure(str(error))
                await self._refusals.settle(is_answered=isinstance(result, Completion))
                return result

        self._refusals.begin(len(requests), self._server.concurrency)
        async with Connection(self._server, self._key) as connection:
            results = await asyncio.gather(*map(complete, requests, chats))
        if ended and not any(isinstance(result, Completion) for result in results):
            raise ended[0]
        return results

    async def _completion(self, connection: Connection, request: Request, chat: list[Message]) -> Completion | Failure:
        begun = self._begun.pop(request, None) or _Begun()
        try:
            if request.text and begun.text is None:
                await self._write(connection, chat, begun, with_ids=bool(request.answers))
            for answer in request.answers:
                if answer not in begun.log_probs:
                    begun.log_probs[answer] = await self._log_prob(connection, chat, answer, begun)
        except FAULTS as error:
            self._begun[request] = begun
            return await self._failed(connection, error)
        return Completion(begun.text, begun.log_probs, begun.truncated)

    async def _write(self, connection: Connection, chat: list[Message], begun: _Begun, *, with_ids: bool) -> None:
        """Have the text of a request generated."""

        async def ask() -> Reply:
            reply = await self._create(connection, chat, self._max_new_tokens, _IDS if with_ids else {})
            if connection.redact.holds_secret(text_of(reply)):
                raise BrokenAnswer("the text of the server's reply holds the key", permanent=True)
            return reply

        reply = await self._persist(ask)
        begun.text = self._prompt.cut(text_of(reply))
        begun.truncated, begun.alone = reply.truncated, reply if with_ids else None

    async def _log_prob(self, connection: Connection, chat: list[Message], answer: str, begun: _Begun) -> float:
        """The log-probability of an answer after the prompt."""
        given = [*chat, {"role": "assistant", "content": answer}]

        async def score() -> Reply:
            reply = await self._create(connection, given, 1, {**_CONTINUED, **_IDS})
            if not read_tokens(reply.prompt_log_probs):
                problem = f"the reply has no prompt_logprobs: {connection.address} may be no vLLM server"
                raise BrokenAnswer(problem, permanent=not self._ever_scored)
            return reply

        reply = await self._persist(score)
        self._ever_scored = True
        tokens = read_tokens(reply.prompt_log_probs) or ()
        if reply.prompt_ids is not None:
            known = await self._tokens_of(connection, chat, answer, reply, begun)
            if known is not None:
                return log_prob_of_last(tokens, len(known.ids), known.ids)
        elif count_by_text(tokens, answer) is None:
            return await self._log_prob_by_count(connection, chat, answer, reply)
        return answer_log_prob(reply.prompt_log_probs, answer)

    async def _tokens_of(
        self, connection: Connection, chat: list[Message], answer: str, reply: Reply, begun: _Begun
    ) -> KnownAnswer | None:
        """The tokens of an answer, by the ids of prompt + answer; the prompt alone is asked for where it is needed.

        What is learned is used for other prompts only where ids and numbers of tokens confirm each other.
        """
        extended = reply.prompt_ids or ()
        known = self._known.get(answer)
        if known is not None and known.ends(extended):
            return known
        if begun.alone is None:
            begun.alone = await self._persist(lambda: self._create(connection, chat, 1, _IDS))
        alone = begun.alone.prompt_ids
        found = None if alone is None else learn(alone, extended)
        if found is not None and None not in (begun.alone.prompt_count, reply.prompt_count):
            self._known[answer] = found
        return found

    async def _log_prob_by_count(self, connection: Connection, chat: list[Message], answer: str, reply: Reply) -> float:
        """The same for a server that tells no ids: the prompt alone has so many tokens, the rest are the answer's."""
        alone = await self._persist(lambda: self._create(connection, chat, 1, {"prompt_logprobs": 0}))
        before, tokens = read_tokens(alone.prompt_log_probs), read_tokens(reply.prompt_log_probs) or ()
        if before is not None:
            alike = all(one == other for one, other in zip(map(_id, before), map(_id, tokens), strict=False))
            count = len(tokens) - len(before) if alike else 0
        else:
            is_told = alone.prompt_count is not None and reply.prompt_count == len(tokens)
            count = len(tokens) - (alone.prompt_count or 0) if is_told else 0
        if count <= 0:
            raise BrokenAnswer(f"the answer {answer!r} cannot be told from the prompt by its tokens", permanent=True)
        return log_prob_of_last(tokens, count)

    async def _create(
        self, connection: Connection, chat: list[Message], tokens: int, told: Mapping[str, object]
    ) -> Reply:
        greedy = {"temperature": 0, "frequency_penalty": 0, **self._server.protocol.greedy}
        body = {"model": self._model.name, "messages": chat, "max_tokens": tokens, **greedy, **told}
        return read_reply(await connection.post("chat/completions", body), self._model.replies)

    async def _persist(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        return await persist(ask, retries=self._server.retries, deadline=self._server.timeout_seconds)

    async def _failed(self, connection: Connection, error: Exception) -> Failure:
        """The failure of one request. Raises VLMError where all others would fail as well."""
        if isinstance(error, BadStatus):
            fault = hopeless(connection, error)
            if fault is not None and await self._refusals.is_meant_for_all(error.status):
                raise fault from error
            reason = f"the server says {error.status}: {error.message}"
            return Failure(reason, permanent=not is_retryable(error))
        if isinstance(error, Disconnected | TimeoutError):
            if not await connection.is_there():
                raise VLMError(f"{connection.address} cannot be reached any more") from error
            is_late = isinstance(error, TimeoutError)
            seconds = f"no answer within {self._server.timeout_seconds:g} s (vlm.server.timeout_seconds)"
            return Failure(seconds if is_late else "connection broken")
        return Failure(connection.redact(str(error)), permanent=not is_retryable(error))

    def _chat(self, request: Request) -> list[Message]:
        """The messages of the prompt, with images as data URLs."""
        return [
            {"role": turn["role"], "content": [self._part(part) for part in turn["content"]]}
            for turn in self._prompt.messages(request)
        ]

    def _part(self, part: Message) -> Message:
        return self._image(Path(part["image"])) if part["type"] == "image" else part

    def _image(self, image: Path) -> Message:
        content = file_digest(image)
        part: Message = {"type": "image_url", "image_url": {"url": data_url(image)}}
        return part | {"uuid": content} if self._server.protocol.names_images else part


def load_server(settings: VLMSettings, server: ServerSettings) -> ServerVLM:
    """Ask the server which model it runs. Raises InputError for a recipe that does not fit it, VLMError if it is down.

    The identity holds what the server says of the model, and not where the server is: a completion stays known when
    the server moves.
    """
    if HIDDEN in server.url:
        problem = "has its credentials hidden, as in a run's copy of a recipe: use the recipe itself, or api_key_env"
        raise InputError(problem, field="vlm.server.url")
    key = None if server.api_key_env is None else _key(server.api_key_env)
    model = asyncio.run(find_model(server, key))
    prompt = load_prompt(settings.prompt)
    decoding = f"prompt={prompt.identity} greedy max_new_tokens={settings.max_new_tokens}"
    identity = " ".join(["server", model.name, *model.told, decoding])
    tokens = settings.max_new_tokens
    return ServerVLM(server, prompt, key=key, model=model, identity=identity, max_new_tokens=tokens)


def _id(token: Token | None) -> int | None:
    return None if token is None else token.id


def _key(variable: str) -> str:
    key = os.environ.get(variable, "").strip()
    if not key:
        raise InputError(f"the environment has no {variable}", field="vlm.server.api_key_env")
    if not key.isascii() or not key.isprintable():
        raise InputError(f"what {variable} holds cannot be sent as a key", field="vlm.server.api_key_env")
    return key
