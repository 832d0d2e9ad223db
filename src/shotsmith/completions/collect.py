"""Complete requests from the store first, then from the VLM in batches; each batch is stored before the next is sent.

Missing requests are put in a fixed total order and cut into batches greedily from the front. The batches that remain
after a crash are therefore exactly those that an uninterrupted run would have sent next. The composition of a batch
affects the last bits of its results, so this makes the completions of a resumed run equal to the last bit.

The order groups prompts that begin with the same demonstrations, and otherwise puts short prompts first. The local VLM
computes a shared beginning once, and a server finds it in its prefix cache. Prompts of equal length need no padding
and fewer forward passes, which gains more where few prompts share a beginning. A server reports length 1 for every
prompt, so that the demonstrations alone decide.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from shotsmith.completions.prompts import PromptLog
from shotsmith.completions.store import Store, request_key
from shotsmith.errors import InputError
from shotsmith.files import is_utf8
from shotsmith.progress import Progress, Silent
from shotsmith.records import Completion, Example, Failure, Request, images_digest
from shotsmith.vlms.protocol import VLM, Bounded

_MIN_SAVING = 1 / 16
"""The share of a batch's tokens that a shared beginning must save for its prompts to be grouped."""

Content = tuple[str, str, str]
"""Hash of the images, question and answer of a demonstration."""
Prefix = tuple[Content, ...]
"""The first demonstrations of a prompt."""


class PendingRequest(NamedTuple):
    """A request to send to the VLM, with its prompt length in tokens and its key in the store."""

    length: int
    key: str
    request: Request


class Collector:
    """Completes requests from the store, and sends what the store lacks to the VLM."""

    def __init__(self, store: Store, vlm: VLM, progress: Progress | None = None, log: PromptLog | None = None) -> None:
        """`log` is given every prompt that is asked for, the stored ones included."""
        self.store = store
        self.vlm = vlm
        self._progress = progress or Silent()
        self._log = log

    def ask(self, requests: Sequence[Request], origin: str) -> list[Completion | Failure]:
        """Return completions in the order of the requests, each with exactly the parts its request asks for.

        Each distinct prompt is sent once, for the parts that are not stored; the calls are recorded under `origin`.
        Prompts with a failure that is not permanent are sent once more at the end. A prompt that fails again is
        returned as a Failure and counted by the store. Raises VLMError, StoreError and DataError; what is stored by
        then is kept. Raises InputError before sending anything if a prompt exceeds the VLM's context.
        """
        keys = [request_key(request, self.vlm.identity) for request in requests]
        if self._log is not None:
            self._log.add(keys, requests, origin)
        known = self.store.get_many(keys)
        pending: list[PendingRequest] = []
        if missing := _missing(zip(keys, requests, strict=True), known):
            pending = order_requests(missing, dict(zip(keys, requests, strict=True)), self.vlm)
            _check_context(pending, self.vlm)
        failed: dict[str, Failure] = {}
        if pending:
            with self._progress.task(origin, len(pending), "prompt") as advance:
                for batch in self._batches(pending):
                    failed |= self._complete(batch, origin)
                    advance(len(batch))
            retryable = {key for key, failure in failed.items() if not failure.permanent}
            for batch in self._batches([one for one in pending if one.key in retryable]):
                for one in batch:
                    del failed[one.key]
                failed |= self._complete(batch, origin)
            known |= self.store.get_many(one.key for one in pending)
        return [
            _requested_parts(known.get(key, Completion(None)), request) or failed[key]
            for key, request in zip(keys, requests, strict=True)
        ]

    def _batches(self, pending: Iterable[PendingRequest]) -> Iterator[list[PendingRequest]]:
        """Cut at the VLM's token budget, counting every prompt as padded to the longest of its batch.

        A prompt that exceeds the budget is a batch by itself.
        """
        batch: list[PendingRequest] = []
        longest = 0
        for one in pending:
            longest = max(longest, one.length)
            if batch and (len(batch) + 1) * longest > self.vlm.batch_tokens:
                yield batch
                batch, longest = [], one.length
            batch.append(one)
        if batch:
            yield batch

    def _complete(self, batch: Sequence[PendingRequest], origin: str) -> dict[str, Failure]:
        """Send one batch to the VLM and store its results; returns the failures by key."""
        results = self.vlm.complete([one.request for one in batch])
        keyed = [(one.key, _storable(result)) for one, result in zip(batch, results, strict=True)]
        self.store.put_many(keyed, origin)
        return {key: result for key, result in keyed if isinstance(result, Failure)}


def order_requests(missing: Mapping[str, Request], requests: Mapping[str, Request], vlm: VLM) -> list[PendingRequest]:
    """Order the missing requests (by key). The order is determined by all `requests`, completed ones included.

    The requests that are missing after a crash therefore keep their order, as long as `requests` are the same.
    """
    prompts = _demonstrations(requests)
    counts = Counter(prompt[:length] for prompt in prompts.values() for length in range(1, len(prompt) + 1))
    min_saving = _MIN_SAVING * vlm.batch_tokens
    rows = []
    for key, request in missing.items():
        prompt, length = prompts[key], vlm.length(request)
        rows.append((_shared_prefix(prompt, length, counts, min_saving), length, prompt, key, request))
    rows.sort(key=lambda row: row[:4])
    return [PendingRequest(length, key, request) for _, length, _, key, request in rows]


def _demonstrations(requests: Mapping[str, Request]) -> dict[str, Prefix]:
    """Return the content of all demonstrations of each request, by key."""
    contents: dict[int, Content] = {}  # by identity: many prompts share an example, whose hash is computed once
    for request in requests.values():
        for example in request.demonstrations:
            if id(example) not in contents:
                contents[id(example)] = _content(example)
    return {key: tuple(contents[id(one)] for one in request.demonstrations) for key, request in requests.items()}


def _content(example: Example) -> Content:
    return images_digest(example), example.question, example.answer


def _shared_prefix(prompt: Prefix, length: int, counts: Mapping[Prefix, int], min_saving: float) -> Prefix:
    """Return the longest beginning of a prompt whose sharing saves at least `min_saving` tokens; empty if none does.

    The tokens of a prompt are taken to be spread evenly over its demonstrations and its query.
    """
    tokens_each = length / (len(prompt) + 1)
    for shots in range(len(prompt), 0, -1):
        if (counts[prompt[:shots]] - 1) * shots * tokens_each >= min_saving:
            return prompt[:shots]
    return ()


def _storable(result: Completion | Failure) -> Completion | Failure:
    """Return the result, or a Failure for a completion that cannot be stored; the rest of its batch is stored."""
    if isinstance(result, Failure):
        return result
    if not all(map(is_utf8, (result.text or "", *result.log_probs))):
        return Failure("the text holds half a character (a lone surrogate)")
    if not all(map(math.isfinite, result.log_probs.values())):
        return Failure("a log-probability is not finite")
    return result


def _missing(requests: Iterable[tuple[str, Request]], known: Mapping[str, Completion]) -> dict[str, Request]:
    """Return, for each key, one request for the parts that any of the requests asks for and the store lacks."""
    missing: dict[str, Request] = {}
    for key, request in requests:
        before = missing.get(key)
        stored = known.get(key, Completion(None))
        answers = [answer for answer in request.answers if answer not in stored.log_probs]
        text = request.text and stored.text is None
        if before is not None:
            answers = list(dict.fromkeys((*before.answers, *answers)))
            text = text or before.text
        if text or answers:
            missing[key] = Request(request.query, request.demonstrations, tuple(answers), text)
    return missing


def _check_context(pending: Sequence[PendingRequest], vlm: VLM) -> None:
    """Raise InputError for the first prompt that is longer than the context of the VLM."""
    most = vlm.most_tokens if isinstance(vlm, Bounded) else None
    if most is None:
        return
    for length, _, request in pending:
        if length > most:
            raise InputError(
                f"the prompt of query {request.query.id} with {len(request.demonstrations)} demonstrations has "
                f"{length:,} tokens, and the VLM's context holds {most:,} with room for the answer: set "
                f"vlm.prompt.max_tokens={most} to leave out demonstrations where a prompt is longer, or show fewer",
                field="vlm.prompt.max_tokens",
            )


def _requested_parts(known: Completion, request: Request) -> Completion | None:
    """Return the parts of a completion that a request asks for; None where some are missing."""
    log_probs = {answer: known.log_probs[answer] for answer in request.answers if answer in known.log_probs}
    if len(log_probs) < len(set(request.answers)) or (request.text and known.text is None):
        return None
    return Completion(known.text if request.text else None, log_probs, request.text and known.truncated)
