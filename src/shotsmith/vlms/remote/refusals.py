"""Whether a status is meant for all prompts: some servers refuse a single one as forbidden or not found."""

from __future__ import annotations

import asyncio

_IN_A_ROW = 8
"""Prompts refused one after another, after which it is meant for all."""


class Refusals:
    """What has become of the prompts so far; `begin` is called for every batch, within its event loop."""

    def __init__(self) -> None:
        self._ever_answered = False
        self._in_a_row = 0

    def begin(self, prompts: int, concurrency: int) -> None:
        """A batch of so many prompts begins, of which `concurrency` are under way at a time."""
        self._changed = asyncio.Condition()
        self._concurrency = concurrency
        self._unsettled = prompts
        self._refused = 0

    async def settle(self, *, is_answered: bool) -> None:
        """A prompt of the batch has been answered or has failed."""
        async with self._changed:
            self._unsettled -= 1
            if is_answered:
                self._ever_answered, self._in_a_row = True, 0
            self._changed.notify_all()

    async def is_meant_for_all(self, status: int) -> bool:
        """Whether no prompt will be answered any more.

        A refused key is. As long as nothing has been answered, those under way beside a refused prompt are waited for:
        it is meant for all where none of them is answered.
        """
        self._in_a_row += 1
        if status == 401:
            return True
        if self._ever_answered:
            return self._in_a_row >= _IN_A_ROW
        async with self._changed:
            self._refused += 1
            self._changed.notify_all()
            await self._changed.wait_for(
                lambda: self._ever_answered or self._refused >= min(self._concurrency, self._unsettled)
            )
        return not self._ever_answered
