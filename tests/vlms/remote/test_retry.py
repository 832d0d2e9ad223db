"""When to ask a server again, and how long to wait before."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shotsmith.vlms.remote import retry
from shotsmith.vlms.remote.retry import BrokenAnswer, persist, told_pause


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, none of which takes time."""
    made: list[float] = []

    async def sleep(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr(retry.asyncio, "sleep", sleep)
    return made


@pytest.mark.parametrize(
    ("told", "seconds"), [("7", 7.0), ("1.5", 1.5), ("-3", 0.0), ("nan", 0.0), ("soon", 0.0), ("", 0.0)]
)
def test_retry_after_as_a_number_is_seconds_and_what_is_none_is_nothing(told: str, seconds: float) -> None:
    assert told_pause(told) == seconds


def test_retry_after_as_a_date_is_the_time_until_then() -> None:
    now = datetime.now(UTC)
    assert 50 < told_pause(format_datetime(now + timedelta(seconds=60), usegmt=True)) <= 60
    assert told_pause(format_datetime(now - timedelta(seconds=60), usegmt=True)) == 0


def test_pauses_double_up_to_the_longest_less_at_most_half(pauses: list[float]) -> None:
    async def ask() -> None:
        raise BrokenAnswer("always")

    with pytest.raises(BrokenAnswer):
        asyncio.run(persist(ask, retries=9, deadline=1.0))
    longest = [min(retry.FIRST_PAUSE * 2**tried, retry.LONGEST_PAUSE) for tried in range(9)]
    assert len(pauses) == 9
    assert all(most / 2 <= pause <= most for pause, most in zip(pauses, longest, strict=True))


def test_each_try_has_the_whole_deadline_and_no_more(pauses: list[float]) -> None:
    async def ask() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(persist(ask, retries=2, deadline=0.02))
    assert len(pauses) == 2
