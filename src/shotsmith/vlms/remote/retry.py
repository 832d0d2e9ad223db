"""Ask a server again when it is worth it: with a deadline for each try, exponential backoff and jitter."""

from __future__ import annotations

import asyncio
import email.utils
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import openai

Answer = TypeVar("Answer")

FIRST_PAUSE = 0.5
"""Seconds before the second try; each later pause is twice as long."""
LONGEST_PAUSE = 30.0
"""Seconds; also the most that a server's Retry-After is heeded."""


class BrokenAnswer(Exception):
    """A reply with status 200 that holds no answer: broken JSON, no choices, no text."""


async def persist(ask: Callable[[], Awaitable[Answer]], *, retries: int, deadline: float) -> Answer:
    """What `ask` gives, tried at most 1 + `retries` times, each for at most `deadline` seconds.

    Raises the last error: `openai.APIError`, TimeoutError or BrokenAnswer. What asking again cannot mend is raised
    at once.
    """
    for tried in range(retries + 1):
        try:
            async with asyncio.timeout(deadline):
                return await ask()
        except (openai.APIError, TimeoutError, BrokenAnswer) as error:
            if tried == retries or not worth_another_try(error):
                raise
            pause = _pause(tried, error)
        await asyncio.sleep(pause)
    raise AssertionError("the loop returns or raises")


def worth_another_try(error: Exception) -> bool:
    """Whether the same request may be answered later: not so where the server says that the request is wrong."""
    if isinstance(error, openai.APIStatusError) and not isinstance(error, openai.APIResponseValidationError):
        return error.status_code in (408, 409, 425, 429) or error.status_code >= 500
    return True


def told_pause(retry_after: str) -> float:
    """Seconds that a Retry-After header asks for, as a number or a date (RFC 9110, 10.2.3); 0 where it says neither."""
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            date = email.utils.parsedate_to_datetime(retry_after)
        except ValueError:
            return 0.0
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    return seconds if seconds > 0 else 0.0  # neither the past nor a NaN


def _pause(tried: int, error: Exception) -> float:
    """Seconds to wait: a random share, at least half, of the backoff, or what the server asks for if that is more."""
    backoff = min(FIRST_PAUSE * 2.0**tried, LONGEST_PAUSE) * random.uniform(0.5, 1)
    if isinstance(error, openai.APIStatusError):
        return max(backoff, min(told_pause(error.response.headers.get("retry-after", "")), LONGEST_PAUSE))
    return backoff
