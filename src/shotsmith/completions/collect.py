"""Ask the store first, then the VLM, in good batches; every batch is stored before the next is asked.

What is missing is put in a fixed total order (`completions.order`) and cut into batches greedily from the front. The
batches that remain after a crash are therefore the very batches that an uninterrupted run would have gone on with, and
as a batch's composition decides the last bits of its results, a resumed run gets the same completions to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from shotsmith.completions.order import Measured, in_order
from shotsmith.completions.store import Store, request_key
from shotsmith.errors import InputError
from shotsmith.files import is_utf8
from shotsmith.progress import Progress, Silent
from shotsmith.records import Completion, Failure, Request
from shotsmith.vlms.protocol import VLM, Bounded

Asked = tuple[str, Request]
"""A request under its key."""


class Collector:
    """Answers requests from the store, and what the store lacks from the VLM."""

    def __init__(self, store: Store, vlm: VLM, progress: Progress | None = None) -> None:
        self.store = store
        self.vlm = vlm
        self._progress = progress or Silent()

    def ask(self, requests: Sequence[Request], origin: str) -> list[Completion | Failure]:
        """Completions in the order of the requests, each with what its request asks for and no more.

        The VLM is asked once for each distinct prompt, and only for the parts that are not stored; `origin` is on
        record as having paid. Prompts that fail are asked once more at the end where that can help, and come back as
        failures (which the store counts) if they fail again. Raises VLMError, StoreError and DataError; what is stored
        by then stays. Where a prompt exceeds the VLM's context, nothing of `requests` is asked (InputError).
        """
        keys = [request_key(request, self.vlm.identity) for request in requests]
        known = self.store.get_many(keys)
        missing: list[Measured] = []
        if lacking := _missing(zip(keys, requests, strict=True), known):
            missing = in_order(lacking, dict(zip(keys, requests, strict=True)), self.vlm)
            _check_context(missing, self.vlm)
        failed: dict[str, Failure] = {}
        if missing:
            with self._progress.task(origin, len(missing), "prompt") as advance:
                for batch in self._batches(missing):
                    failed |= self._answer(batch, origin)
                    advance(len(batch))
            again = {key for key, failure in failed.items() if not failure.permanent}
            for batch in self._batches([measured for measured in missing if measured[1] in again]):
                for key, _ in batch:
                    del failed[key]
                failed |= self._answer(batch, origin)
            known |= self.store.get_many(key for _, key, _ in missing)
        return [
            _part(known.get(key, Completion(None)), request) or failed[key]
            for key, request in zip(keys, requests, strict=True)
        ]

    def _batches(self, ordered: Sequence[Measured]) -> Iterator[list[Asked]]:
        """Cut at the VLM's token budget, counted as if all were padded to the longest and nothing were shared.

        A prompt beyond the budget is a batch of its own.
        """
        batch: list[Asked] = []
        longest = 0
        for length, key, request in ordered:
            longest = max(longest, length)
            if batch and (len(batch) + 1) * longest > self.vlm.batch_tokens:
                yield batch
                batch, longest = [], length
            batch.append((key, request))
        if batch:
            yield batch

    def _answer(self, batch: Sequence[Asked], origin: str) -> dict[str, Failure]:
        """Have one batch answered and stored; returns what failed."""
        results = self.vlm.complete([request for _, request in batch])
        answered = [(key, _storable(result)) for (key, _), result in zip(batch, results, strict=True)]
        self.store.put_many(answered, origin)
        return {key: result for key, result in answered if isinstance(result, Failure)}


def _storable(result: Completion | Failure) -> Completion | Failure:
    """The result, or a failure where it is no answer that a store could keep: the others of its batch are kept."""
    if isinstance(result, Failure):
        return result
    if not all(map(is_utf8, (result.text or "", *result.log_probs))):
        return Failure("the text holds half a character (a lone surrogate)")
    if not all(map(math.isfinite, result.log_probs.values())):
        return Failure("a log-probability is not finite")
    return result


def _missing(asked: Iterator[Asked], known: Mapping[str, Completion]) -> dict[str, Request]:
    """For each key what is not known yet of all that is asked under it, as one request."""
    missing: dict[str, Request] = {}
    for key, request in asked:
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


def _check_context(missing: Sequence[Measured], vlm: VLM) -> None:
    most = vlm.most_tokens if isinstance(vlm, Bounded) else None
    if most is None:
        return
    for length, _, request in missing:
        if length > most:
            raise InputError(
                f"the prompt of query {request.query.id} with {len(request.demonstrations)} demonstrations has "
                f"{length:,} tokens, and the VLM's context holds {most:,} with room for the answer: set "
                f"vlm.prompt.max_tokens={most} to leave out demonstrations where a prompt is longer, or show fewer",
                field="vlm.prompt.max_tokens",
            )


def _part(known: Completion, request: Request) -> Completion | None:
    """Exactly what a request asks for; None where it is not all there."""
    log_probs = {answer: known.log_probs[answer] for answer in request.answers if answer in known.log_probs}
    if len(log_probs) < len(set(request.answers)) or (request.text and known.text is None):
        return None
    return Completion(known.text if request.text else None, log_probs, request.text and known.truncated)
