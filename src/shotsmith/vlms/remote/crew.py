"""Workers on a Ray cluster, kept at their number: who dies is replaced, and what it had in hand goes to another.

An answer is had when it has come back from a worker: it is then kept, whatever happens to that worker. Ray holds small
results where they were asked for, so that those of a machine that goes are not lost with it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from shotsmith.errors import InputError, ShotsmithError, VLMError
from shotsmith.records import Request
from shotsmith.vlms.remote.worker import Answered, Ready

_logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
"""How long to wait for Ray at a time: between, it is seen whether the user has stopped the run."""

Part = Sequence[Request]
"""Prompts that one worker answers in one go."""
Hire = Callable[[int], Any]
"""Makes the actor (of `vlms.worker.Worker`) with a number: always of the same settings for the same number."""


@dataclass(eq=False, slots=True)
class _Member:
    number: int
    actor: Any
    is_ready: bool = False
    is_lost: bool = False
    in_hand: int = 0
    """Parts that it was given and has not given back."""


class Crew:
    """Gives parts of the work to workers, each at most `in_flight` at a time."""

    def __init__(self, hire: Hire, workers: int, *, in_flight: int, max_deaths: int, start_seconds: float) -> None:
        self._hire = hire
        self._in_flight = in_flight
        self._max_deaths = max_deaths
        self._start_seconds = start_seconds
        self._members: list[_Member] = []
        self._under_way: dict[Any, tuple[_Member, int | None]] = {}
        """By Ray's reference: who has what in hand, the number of a part or None for loading its VLM."""
        self._failed_starts: Counter[int] = Counter()
        self._why_not: dict[str, None] = {}
        """Why starts failed, each reason once, in the order in which they were met."""
        self._ready: Ready | None = None
        self._alone_since = time.monotonic()
        for number in range(workers):
            self._start(number)

    def ready(self) -> Ready:
        """What the first worker that is ready says of its VLM. Raises as `_load_ended` and `_missed` find faults."""
        while self._ready is None:
            for reference in self._finished():
                member, _ = self._under_way.pop(reference)
                self._load_ended(member, _outcome(reference))
        return self._ready

    def answer(self, parts: Sequence[Part]) -> tuple[dict[int, Answered], ShotsmithError | None]:
        """What was answered, by the number of the part, and why it is not all, where it is not.

        After an error no part is begun any more, but those begun are waited for.
        """
        answered: dict[int, Answered] = {}
        waiting, deaths = deque(range(len(parts))), Counter[int]()
        error: ShotsmithError | None = None
        try:
            while len(answered) < len(parts) and (error is None or self._parts_under_way()):
                if error is None:
                    self._hand_out(waiting, parts)
                try:
                    for reference in self._finished():
                        self._take(reference, answered, waiting, deaths)
                except ShotsmithError as found:
                    error = error or found
        finally:  # also where the user stops the run: nobody waits for these any more
            self._forget_parts()
        return answered, error

    def _take(self, reference: Any, answered: dict[int, Answered], waiting: deque[int], deaths: Counter[int]) -> None:
        """What has come back: an answer, or the news that there will be none from this worker."""
        member, part = self._under_way.pop(reference)
        outcome = _outcome(reference)
        if part is None:
            self._load_ended(member, outcome)
            return
        member.in_hand -= 1
        if isinstance(outcome, Answered):
            answered[part] = outcome
            return
        waiting.append(part)  # last: if it is at fault, all others are answered before it takes the next worker
        deaths[part] += 1
        self._lose(member, outcome)
        if not isinstance(outcome, VLMError):
            raise outcome
        if deaths[part] >= self._max_deaths:
            raise VLMError(f"the same prompts lost their worker {deaths[part]} times (vlm.ray.max_deaths): {outcome}")

    def _load_ended(self, member: _Member, outcome: Any) -> None:
        """Raises InputError for what another worker could not mend, VLMError where no worker is left to hope for."""
        if isinstance(outcome, Ready):
            if self._ready is not None and outcome != self._ready:
                reason = f"worker {member.number} has another VLM than the others"
                raise InputError(f"{reason}: '{outcome.identity}', not '{self._ready.identity}'", field="vlm.ray")
            self._ready = outcome
            self._failed_starts[member.number] = 0
            member.is_ready = True
            return
        self._failed_starts[member.number] += 1
        self._why_not[str(outcome)] = None
        self._lose(member, outcome)
        if not isinstance(outcome, VLMError):
            raise outcome
        if not self._members:
            raise VLMError(f"no worker can be started (vlm.ray.max_deaths): {'; '.join(self._why_not)}")

    def _lose(self, member: _Member, reason: ShotsmithError) -> None:
        """Let a worker go, and take on another in its place, unless that place has failed too often."""
        if member.is_lost:
            return
        member.is_lost = True
        self._members.remove(member)
        if not any(one.is_ready for one in self._members):
            self._alone_since = time.monotonic()
        if not isinstance(reason, VLMError):
            return
        if self._failed_starts[member.number] < self._max_deaths:
            _logger.warning("worker %d is lost and replaced: %s", member.number, reason)
            self._start(member.number)
        else:
            _logger.warning("worker %d is given up: %s", member.number, reason)

    def _start(self, number: int) -> None:
        member = _Member(number, self._hire(number))
        self._members.append(member)
        self._under_way[member.actor.load.remote()] = (member, None)

    def _hand_out(self, waiting: deque[int], parts: Sequence[Part]) -> None:
        """The next parts to those who have the fewest in hand."""
        while waiting:
            free = [one for one in self._members if one.is_ready and one.in_hand < self._in_flight]
            if not free:
                return
            member = min(free, key=lambda one: (one.in_hand, one.number))
            part = waiting.popleft()
            member.in_hand += 1
            self._under_way[member.actor.complete.remote(parts[part])] = (member, part)

    def _finished(self) -> list[Any]:
        """References that have an outcome, after a while at most; maybe none. Raises VLMError after too long alone."""
        done, _ = ray.wait(list(self._under_way), num_returns=1, timeout=_LOOK_SECONDS)
        if not done and not any(one.is_ready for one in self._members):
            alone = time.monotonic() - self._alone_since
            if alone > self._start_seconds:
                raise VLMError(f"no worker was ready within {alone:.0f} s (vlm.ray.start_seconds); {_resources()}")
        return list(done)

    def _parts_under_way(self) -> bool:
        return any(part is not None for _, part in self._under_way.values())

    def _forget_parts(self) -> None:
        for reference, (member, part) in list(self._under_way.items()):
            if part is not None:
                del self._under_way[reference]
                member.in_hand -= 1


def _outcome(reference: Any) -> Any:
    """What a worker returned; a VLMError where it died or failed in a way of Ray's."""
    try:
        return ray.get(reference)
    except RayError as error:
        return VLMError(_in_one_line(error))


def _in_one_line(error: RayError) -> str:
    """The line that tells most: the last of a traceback in the worker's own code, else why Ray says that it died."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if any(line.startswith("File ") for line in lines):
        return lines[-1]
    return next((line for line in lines if "died because" in line), lines[0])


def _resources() -> str:
    """What the cluster has, for someone who wonders why nothing starts there."""
    has: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return f"the cluster has {has.get('CPU', 0):g} CPUs and {has.get('GPU', 0):g} GPUs"
