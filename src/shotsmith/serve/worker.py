"""The one thread that uses the selector. Requests that wait together are selected for together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from shotsmith.errors import ShotsmithError
from shotsmith.library.bank import Id
from shotsmith.library.queries import Query
from shotsmith.library.selection import Selection
from shotsmith.library.selector import Selector
from shotsmith.serve.log import SelectionsLog, log_row
from shotsmith.serve.metrics import Metrics
from shotsmith.serve.settings import ServeSettings

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for, beside the queries."""

    shots: int | Literal["auto"]
    pool: tuple[Id, ...] | None = None
    max_tokens: int | None = None
    unfamiliar: Literal["flag", "fallback"] = "flag"


@dataclass(slots=True, eq=False)
class _Job:
    """One request that waits."""

    queries: tuple[Query, ...]
    digests: tuple[str, ...]
    wanted: Wanted
    pixels: int
    begun: float = field(default_factory=time.perf_counter)
    outcome: list[Selection] | ShotsmithError | None = None

    @property
    def together(self) -> Hashable:
        """Jobs with the same value may be selected for in one call, with the results that each has alone.

        'auto' is bounded by what the queries of a call have left, so that exclusions of one would reach the others.
        """
        bounded = self.wanted.shots == "auto" and any(query.exclude for query in self.queries)
        return id(self) if bounded else self.wanted


class Worker:
    """Selections and changes of the bank, one call of the selector at a time."""

    def __init__(
        self, selector: Selector, settings: ServeSettings, metrics: Metrics, log: SelectionsLog | None
    ) -> None:
        """Made and used within one event loop; `close` ends the thread."""
        self._selector = selector
        self._settings = settings
        self._metrics = metrics
        self._log = log
        self._waiting: list[_Job] = []
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "selector")

    async def select(
        self, queries: tuple[Query, ...], digests: tuple[str, ...], wanted: Wanted, pixels: int
    ) -> list[Selection]:
        """The selections of one request. `digests` name the queries in the log; `pixels` are those of its images.

        Whoever has the turn selects for all that wait. Raises what `Selector.select_many` raises.
        """
        job = _Job(queries, digests, wanted, pixels)
        self._waiting.append(job)
        try:
            async with self._turn:
                if job.outcome is None:
                    jobs = self._take(job)
                    outcomes = await self._in_thread(lambda: self._select(jobs))
                    for one, outcome in zip(jobs, outcomes, strict=True):
                        one.outcome = outcome
        finally:
            if job in self._waiting:
                self._waiting.remove(job)
        if isinstance(job.outcome, ShotsmithError):
            raise job.outcome
        assert job.outcome is not None
        return job.outcome

    async def change(self, work: Callable[[Selector], Result]) -> Result:
        """Do other work with the selector in the thread, and return or raise what it does."""
        async with self._turn:
            return await self._in_thread(lambda: work(self._selector))

    def close(self) -> None:
        """Finish what is under way, and end the thread."""
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _take(self, first: _Job) -> list[_Job]:
        """A job, with the waiting ones that may be selected for together with it."""
        taken, queries, pixels = [first], len(first.queries), first.pixels
        for other in self._waiting:
            if other is first or other.together != first.together:
                continue
            queries, pixels = queries + len(other.queries), pixels + other.pixels
            if queries > self._settings.batch or pixels > self._settings.max_pixels:
                break
            taken.append(other)
        self._waiting = [job for job in self._waiting if job not in taken]
        return taken

    def _select(self, jobs: list[_Job]) -> list[list[Selection] | ShotsmithError]:
        try:
            return [*self._select_together(jobs)]
        except ShotsmithError as error:
            if len(jobs) == 1:
                return [error]
            return [outcome for job in jobs for outcome in self._select([job])]  # only one of them is at fault

    def _select_together(self, jobs: list[_Job]) -> list[list[Selection]]:
        started, wanted = time.perf_counter(), jobs[0].wanted
        queries = [query for job in jobs for query in job.queries]
        found = self._selector.select_many(
            queries,
            shots=wanted.shots,
            pool=wanted.pool,
            max_tokens=wanted.max_tokens,
            unfamiliar=wanted.unfamiliar,
        )
        if wanted.max_tokens is not None:
            for one in found:
                _ = one.tokens  # counted while the images are there
        self._metrics.select_seconds.observe(time.perf_counter() - started)
        self._metrics.batch.observe(len(queries))
        self._metrics.selections.inc(len(queries))
        self._metrics.unfamiliar.inc(sum(one.unfamiliar for one in found))
        left = iter(found)
        by_job = [[next(left) for _ in job.queries] for job in jobs]
        if self._log is not None:
            for job, own in zip(jobs, by_job, strict=True):
                self._write_down(self._log, job, own)
        return by_job

    def _write_down(self, log: SelectionsLog, job: _Job, found: list[Selection]) -> None:
        spent = 1000 * (time.perf_counter() - job.begun)
        try:
            bank, shots = self._selector.bank, job.wanted.shots
            log.write(log_row(one, query, shots, bank, spent) for one, query in zip(found, job.digests, strict=True))
        except OSError:
            self._metrics.log_failures.inc(len(found))
