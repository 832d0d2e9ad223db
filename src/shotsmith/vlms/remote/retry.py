"""Ask a server again when it is worth it: with a deadline for each try, exponential backoff and jitter."""

from __future__ import annotations

import asyncio
import email.utils
import math
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

Answer = TypeVar("Answer")

FIRST_PAUSE = 0.5
"""Seconds before the second try; each later pause is twice as long."""
LONGEST_PAUSE = 30.0
"""Seconds; also the most that a server's Retry-After is heeded."""


class BrokenAnswer(Exception):
    """A reply with status 200 that holds no answer: broken JSON, no choices, no text, a refusal."""

    def __init__(self, problem: str, *, permanent: bool = False) -> None:
        super().__init__(problem)
        self.permanent = permanent
        """Whether the same request would get the same again."""


class BadStatus(Exception):
    """A reply with a status other than 2xx."""

    def __init__(self, status: int, message: str, retry_after: str = "") -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message
        """The server's words, made fit to be shown."""
        self.retry_after = retry_after


class Disconnected(Exception):
    """No connection, or one that broke before the reply was whole."""


FAULTS = (BadStatus, BrokenAnswer, Disconnected, TimeoutError)
"""What one try of a request can raise."""


async def persist(ask: Callable[[], Awaitable[Answer]], *, retries: int, deadline: float) -> Answer:
    """What `ask` gives, tried at most 1 + `retries` times, each for at most `deadline` seconds.

    Raises the last of FAULTS. What asking again cannot mend is raised at once.
    """
    for tried in range(retries + 1):
        try:
            async with asyncio.timeout(deadline):
                return await ask()
        except FAULTS as error:
            if tried == retries or not is_retryable(error):
                raise
            pause = _pause(tried, error)
        await asyncio.sleep(pause)
    raise AssertionError("the loop returns or raises")


def is_retryable(error: Exception) -> bool:
    """Whether the same request may be answered later: not where the server says that the request is wrong."""
    if isinstance(error, BadStatus):
        return error.status in (408, 409, 425, 429) or error.status >= 500
    return not (isinstance(error, BrokenAnswer) and error.permanent)


def told_pause(retry_after: str) -> float:
    """Seconds that a Retry-After header asks for, as a number or a date (RFC 9110, 10.2.3); 0 where it says neither."""
    try:
        seconds = float(retry_after)
    except ValueError:
        seconds = _until(retry_after)
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


def _until(date: str) -> float:
    """Seconds until a date; 0 for what is none: the 45th of a month, a zone of 99 hours, a year beyond 9999."""
    try:
        told = email.utils.parsedate_to_datetime(date)
        return (told.replace(tzinfo=told.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0.0


def _pause(tried: int, error: Exception) -> float:
    """Seconds to wait: a random share, at least half, of the backoff, or what the server asks for if that is more."""
    backoff = min(FIRST_PAUSE * 2.0 ** min(tried, 60), LONGEST_PAUSE) * random.uniform(0.5, 1)
    if isinstance(error, BadStatus):
        return max(backoff, min(told_pause(error.retry_after), LONGEST_PAUSE))
    return backoff
