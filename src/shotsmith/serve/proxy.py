"""Chat completions of an upstream server, with demonstrations before the last user turn."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from shotsmith.errors import ShotsmithError
from shotsmith.library.selection import Selection
from shotsmith.serve.chat import Asked, asked_in, inserted, messages_of
from shotsmith.serve.faults import Refused, as_refused
from shotsmith.serve.messages import messages_with
from shotsmith.serve.metrics import Metrics
from shotsmith.serve.pictures import Pictures
from shotsmith.serve.queries import taken
from shotsmith.serve.settings import MAX_IMAGES, MAX_SHOTS, ServeSettings
from shotsmith.serve.upstream import Upstream
from shotsmith.serve.wire import QueryBody
from shotsmith.serve.worker import Wanted, Worker

SELECTION = "x-shotsmith-selection"
"""Header of an answer: the ids that were shown, who chose them, and whether the query was unfamiliar, as JSON."""
SHOTS = "x-shotsmith-shots"
"""Header of a request: how many demonstrations to insert, or 'auto'."""
_LONGEST_QUESTION = 20_000


class Proxy:
    """Inserts demonstrations and passes chats on."""

    def __init__(self, settings: ServeSettings, worker: Worker, upstream: Upstream, metrics: Metrics) -> None:
        """`worker` selects, `upstream` completes."""
        self._settings = settings
        self._worker = worker
        self._upstream = upstream
        self._metrics = metrics

    async def models(self, request: Request) -> Response:
        """The upstream server's list of models."""
        return await self._upstream.pass_on(request, "models")

    async def complete(self, request: Request) -> Response:
        """The upstream server's completion. Raises Refused where the chat is none, or no answer comes."""
        shots = self._shots(request)
        try:
            body: Any = json.loads(await request.body())
        except (ValueError, RecursionError) as error:
            raise Refused(400, "the body is not JSON") from error
        messages = messages_of(body)
        asked = asked_in(messages)
        if asked is None:
            self._metrics.passed_on.inc()
            told: dict[str, Any] = {"ids": [], "chosen_by": None, "unfamiliar": False}
        else:
            selection, urls = await self._select(asked, shots)
            prompt = await asyncio.to_thread(messages_with, selection, urls)
            body = {**body, "messages": inserted(messages, asked.with_images(urls), prompt)}
            told = {
                "ids": list(selection.ids),
                "chosen_by": selection.chosen_by,
                "unfamiliar": selection.unfamiliar,
            }
        try:
            sent = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        except ValueError as error:  # half of a character, or a number that is not JSON
            raise Refused(400, "the body is not JSON in UTF-8") from error
        return await self._upstream.pass_on(request, "chat/completions", sent, {SELECTION: json.dumps(told)})

    async def _select(self, asked: Asked, shots: int | Literal["auto"]) -> tuple[Selection, list[str]]:
        param = f"messages[{asked.place}].content"
        if len(asked.question) > _LONGEST_QUESTION:
            raise Refused(400, f"has more than {_LONGEST_QUESTION:,} characters", param)
        if len(asked.images) > MAX_IMAGES:
            raise Refused(400, f"has more than {MAX_IMAGES} images", param)
        if not _is_text(asked.question):
            raise Refused(400, "is not text in UTF-8", param)
        query = QueryBody.model_construct(question=asked.question, image=list(asked.images), exclude=[])
        with Pictures(self._settings) as pictures:
            given = await asyncio.to_thread(taken, [query], pictures, [f"messages[{asked.place}].images"])
            wanted = Wanted(shots, unfamiliar=self._settings.unfamiliar)
            try:
                (selection,) = await self._worker.select(given.queries, given.digests, wanted, pictures.pixels)
            except ShotsmithError as error:
                raise as_refused(error, "messages") from error
        (urls,) = await asyncio.to_thread(given.urls)
        return selection, urls

    def _shots(self, request: Request) -> int | Literal["auto"]:
        given = request.headers.get(SHOTS)
        if given is None:
            return self._settings.shots
        if given == "auto":
            return "auto"
        if not (given.isascii() and given.isdigit() and len(given) < 4 and int(given) <= MAX_SHOTS):
            raise Refused(400, f"is neither a number of at most {MAX_SHOTS} nor 'auto'", SHOTS)
        return int(given)


def _is_text(text: str) -> bool:
    """Whether it can be encoded: JSON may hold half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
