"""A VLM behind an OpenAI-compatible server (vLLM, SGLang, `transformers serve`, hosted)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import math
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import openai
from PIL import Image, UnidentifiedImageError

from shotsmith.errors import DataError, InputError, VLMError
from shotsmith.files import file_digest
from shotsmith.recipe import VLMSettings
from shotsmith.recipe.models import ServerSettings
from shotsmith.records import Completion, Failure, Request
from shotsmith.vlms.prompting.prompts import Prompt, load_prompt
from shotsmith.vlms.remote.retry import Answer, BrokenAnswer, persist

_IMAGES_KEPT = 2000
"""Data URLs in memory: at 200 kB an image about half a gigabyte."""
_BATCHES = 4
"""Requests in a call of `complete`, in multiples of those in flight: few wait for the last, few are lost in a crash."""
_NO_LOG_PROBS = (
    "this server is not asked for log-probabilities of given answers, which the beam data (InfoScore) and the rewards "
    "answer_probability, log_prob_gain and the predecessor's modes need. Use a vLLM server with vlm.server.kind=vllm, "
    "or the local VLM"
)
_GREEDY: Mapping[str, Mapping[str, object]] = {"openai": {}, "vllm": {"repetition_penalty": 1.0}}
"""What overrules a checkpoint's own penalty, by kind of server; `transformers serve` takes frequency_penalty for it."""
_HOPELESS = {401: "refuses the key", 403: "forbids this", 404: "knows no such model or address"}

Message = dict[str, Any]


class ServerVLM:
    """Asks for many prompts at a time; fulfils `shotsmith.vlms.protocol.VLM`."""

    def __init__(
        self, server: ServerSettings, prompt: Prompt, *, key: str, model: str, identity: str, max_new_tokens: int
    ) -> None:
        self.identity = identity
        self._prompt = prompt
        self.batch_tokens = _BATCHES * server.concurrency
        self._server = server
        self._key = key
        self._model = model
        self._max_new_tokens = max_new_tokens
        self._begun: dict[Request, Completion] = {}
        """What has been answered of requests that failed in a later part."""

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
        if self._server.kind != "vllm" and any(request.answers for request in requests):
            raise VLMError(_NO_LOG_PROBS)
        return asyncio.run(self._complete(requests))

    async def _complete(self, requests: Sequence[Request]) -> list[Completion | Failure]:
        free = asyncio.Semaphore(self._server.concurrency)
        ended: list[VLMError] = []
        chats = [self._chat(request) for request in requests]  # a damaged image is found before anything is asked

        async def complete(request: Request, chat: list[Message]) -> Completion | Failure:
            async with free:
                if ended:
                    return Failure(str(ended[0]))
                try:
                    return await self._completion(client, request, chat)
                except VLMError as error:
                    ended.append(error)
                    return Failure(str(error))

        async with _client(self._server, self._key) as client:
            results = await asyncio.gather(*map(complete, requests, chats))
        if ended and not any(isinstance(result, Completion) for result in results):
            raise ended[0]
        return results

    async def _completion(
        self, client: openai.AsyncOpenAI, request: Request, chat: list[Message]
    ) -> Completion | Failure:
        begun = self._begun.pop(request, Completion(None))
        text, log_probs = begun.text, dict(begun.log_probs)
        try:
            if request.text and text is None:
                text = await self._text(client, chat)
            for answer in request.answers:
                if answer not in log_probs:
                    log_probs[answer] = await self._log_prob(client, chat, answer)
            return Completion(text, log_probs)
        except (openai.APIError, TimeoutError, BrokenAnswer) as error:
            self._begun[request] = Completion(text, log_probs)
            return Failure(await self._explained(client, error))

    async def _text(self, client: openai.AsyncOpenAI, chat: list[Message]) -> str:
        async def ask() -> str:
            return _text_of(await self._create(client, chat, self._max_new_tokens))

        return self._prompt.cut(await self._persist(ask))

    async def _log_prob(self, client: openai.AsyncOpenAI, chat: list[Message], answer: str) -> float:
        """vLLM tells the log-probabilities of a prompt's own tokens: the answer is put at its end."""
        told = {"prompt_logprobs": 0, "add_generation_prompt": False, "continue_final_message": True}
        given = [*chat, {"role": "assistant", "content": answer}]

        async def ask() -> Any:
            reply = await self._create(client, given, 1, **told)
            _text_of(reply)
            return getattr(reply, "prompt_logprobs", None)

        tokens = await self._persist(ask)
        if tokens is None:
            raise VLMError(f"{self._server.url} gives no prompt_logprobs: it is no vLLM server. {_NO_LOG_PROBS}")
        return answer_log_prob(tokens, answer)

    async def _create(self, client: openai.AsyncOpenAI, chat: Any, tokens: int, **told: object) -> Any:
        greedy: Any = {"temperature": 0, "frequency_penalty": 0, "extra_body": {**_GREEDY[self._server.kind], **told}}
        try:
            return await client.chat.completions.create(model=self._model, messages=chat, max_tokens=tokens, **greedy)
        except ValueError as error:
            raise BrokenAnswer(f"the server's reply is no JSON: {error}") from error

    async def _persist(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        return await persist(ask, retries=self._server.retries, deadline=self._server.timeout_seconds)

    async def _explained(self, client: openai.AsyncOpenAI, error: Exception) -> str:
        """Why one request failed for good. Raises VLMError where all others would fail as well."""
        if isinstance(error, openai.APIStatusError):
            _raise_if_hopeless(self._server, error)
            return f"the server says {error.status_code}: {error.message}"
        if isinstance(error, openai.APIConnectionError | TimeoutError):
            await _check_alive(client, self._server)
            return f"no answer within {self._server.timeout_seconds:g} s" if _is_late(error) else "connection broken"
        return str(error)

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
        part: Message = {"type": "image_url", "image_url": {"url": _data_url(image, content)}}
        return part | {"uuid": content} if self._server.kind == "vllm" else part


def load_server(settings: VLMSettings, server: ServerSettings) -> ServerVLM:
    """Ask the server which model it runs. Raises InputError for a recipe that does not fit it, VLMError if it is down.

    The identity holds what the server says of the model, and not where the server is: a completion stays known when
    the server moves.
    """
    key = "none"
    if server.api_key_env is not None:
        key = os.environ.get(server.api_key_env, "")
        if not key:
            raise InputError(f"the environment has no {server.api_key_env}", field="vlm.server.api_key_env")
    model, told = asyncio.run(_model(server, key))
    prompt = load_prompt(settings.prompt)
    decoding = f"prompt={prompt.identity} greedy max_new_tokens={settings.max_new_tokens}"
    identity = " ".join(["server", model, *told, decoding])
    tokens = settings.max_new_tokens
    return ServerVLM(server, prompt, key=key, model=model, identity=identity, max_new_tokens=tokens)


def answer_log_prob(tokens: Any, answer: str) -> float:
    """Sum over the answer's tokens: the last of a prompt, as `prompt_logprobs` gives them (one mapping a token).

    Raises BrokenAnswer where the answer does not begin at the start of a token.
    """
    total, text = 0.0, ""
    for told in reversed(tokens):
        if not isinstance(told, dict) or len(told) != 1 or len(text) > len(answer):
            break
        (token,) = told.values()
        text = f"{token['decoded_token']}{text}"
        total += float(token["logprob"])
        if answer and text.lstrip() == answer and math.isfinite(total):
            return total
    raise BrokenAnswer(f"the answer {answer!r} cannot be told from the prompt by its tokens")


def _client(server: ServerSettings, key: str) -> openai.AsyncOpenAI:
    """A client for one event loop; `persist` retries, and so the client itself does not."""
    return openai.AsyncOpenAI(base_url=server.url, api_key=key, timeout=server.timeout_seconds, max_retries=0)


async def _model(server: ServerSettings, key: str) -> tuple[str, list[str]]:
    """The model's name, and what the server says of it. Raises InputError where it has no such model."""
    async with _client(server, key) as client:
        try:
            listed = {str(model.id): model for model in await _listed(client, server)}
            name = server.model or (next(iter(listed)) if len(listed) == 1 else None)
            refusal = "name one" if name is None else "" if name in listed else await _refusal(client, server, name)
        except openai.APIStatusError as error:
            _raise_if_hopeless(server, error)
            raise VLMError(f"{server.url} says {error.status_code}: {error.message}") from error
        except (openai.APIError, TimeoutError, BrokenAnswer) as error:
            raise VLMError(f"{server.url} does not say which models it has: {error}") from error
    if name is None or refusal:
        some = ", ".join(list(listed)[:10]) or "none"
        raise InputError(f"must be a model that the server has: it lists {some}; {refusal}", field="vlm.server.model")
    model = listed.get(name)
    return name, [f"{part}={getattr(model, part)}" for part in ("root", "revision") if getattr(model, part, None)]


async def _listed(client: openai.AsyncOpenAI, server: ServerSettings) -> list[Any]:
    async def ask() -> list[Any]:
        try:
            return list((await client.models.list()).data or [])
        except (ValueError, AttributeError) as error:
            raise BrokenAnswer("its list of models cannot be read") from error

    return await persist(ask, retries=server.retries, deadline=server.timeout_seconds)


async def _refusal(client: openai.AsyncOpenAI, server: ServerSettings, model: str) -> str:
    """What a server says against a model that it does not list; nothing where it has it all the same.

    `transformers serve` lists what lies in the hub's cache, and not a folder that it serves.
    """

    async def ask() -> None:
        with contextlib.suppress(ValueError):  # no JSON, but no refusal
            await client.chat.completions.create(model=model, messages=[{"role": "user", "content": "?"}], max_tokens=1)

    try:
        await persist(ask, retries=server.retries, deadline=server.timeout_seconds)
    except openai.APIStatusError as error:
        if error.status_code not in (400, 404, 422):
            raise
        return f"it says {error.status_code} to {model}: {error.message}"
    return ""


async def _check_alive(client: openai.AsyncOpenAI, server: ServerSettings) -> None:
    """Raises VLMError where no connection is to be had, as opposed to a request that ends connections."""
    try:
        async with asyncio.timeout(server.timeout_seconds):
            await client.models.list()
    except (openai.APIConnectionError, TimeoutError) as error:
        raise VLMError(f"{server.url} cannot be reached any more") from error
    except (openai.APIError, ValueError):
        return


def _raise_if_hopeless(server: ServerSettings, error: openai.APIStatusError) -> None:
    if error.status_code in _HOPELESS:
        raise VLMError(f"{server.url} {_HOPELESS[error.status_code]}: {error.message}") from error


def _is_late(error: Exception) -> bool:
    return isinstance(error, TimeoutError | openai.APITimeoutError)


def _text_of(reply: Any) -> str:
    choices = getattr(reply, "choices", None)
    message = getattr(choices[0], "message", None) if isinstance(choices, list) and choices else None
    text = getattr(message, "content", None)
    if not isinstance(text, str):
        raise BrokenAnswer("the server's reply holds no text")
    return text


@lru_cache(maxsize=_IMAGES_KEPT)
def _data_url(image: Path, content: str) -> str:
    """The file as it is, in base64; `content` is its digest, so that a changed file is read anew."""
    try:
        with Image.open(image) as opened:
            kind = Image.MIME[str(opened.format)]
        return f"data:{kind};base64,{base64.b64encode(image.read_bytes()).decode()}"
    except (UnidentifiedImageError, OSError, ValueError, KeyError, Image.DecompressionBombError) as error:
        raise DataError(f"is not a usable image: {error}", file=image) from error
