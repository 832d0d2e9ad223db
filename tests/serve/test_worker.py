"""Requests that wait together are selected for together, with the results that each has alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import shotsmith
from shotsmith.errors import InputError
from shotsmith.library.queries import Query
from shotsmith.records import Example
from shotsmith.serve.metrics import Metrics
from shotsmith.serve.settings import ServeSettings
from shotsmith.serve.worker import Wanted, Worker

World = tuple[list[Example], list[Example]]


class Watched:
    """A selector that waits for a signal before its first call, and remembers how many queries each call had."""

    def __init__(self, selector: shotsmith.Selector) -> None:
        self.selector = selector
        self.go = threading.Event()
        self.calls: list[int] = []

    def select_many(self, queries: list[Query], **more: Any) -> Any:
        self.go.wait(10)
        self.calls.append(len(queries))
        return self.selector.select_many(queries, **more)


def together(
    selector: shotsmith.Selector, jobs: list[tuple[tuple[Query, ...], Wanted, int]], **settings: Any
) -> tuple[list[Any], list[int]]:
    """What jobs that wait together get, and the queries of each call. The first has the turn before the rest come."""
    watched = Watched(selector)

    async def work() -> list[Any]:
        worker = Worker(watched, ServeSettings(**settings), Metrics(), None)  # type: ignore[arg-type]
        tasks = []
        for queries, wanted, pixels in jobs:
            tasks.append(asyncio.create_task(worker.select(queries, ("",) * len(queries), wanted, pixels)))
            await asyncio.sleep(0)
        watched.go.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        worker.close()
        return found

    return asyncio.run(work()), watched.calls


def query_of(example: Example) -> Query:
    return Query(example.question, example.image)


FOUR = Wanted(4)


def test_results_are_those_of_each_alone(shared: shotsmith.Selector, world: World) -> None:
    queries = [query_of(one) for one in world[1][:9]]
    found, calls = together(shared, [((one,), FOUR, 1) for one in queries])
    assert calls == [1, 8]
    for one, (selection,) in zip(queries, found, strict=True):
        alone = shared.select_many([one])[0]
        assert (selection.ids, selection.query.question) == (alone.ids, one.question)
        assert selection.scores == pytest.approx(alone.scores)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"batch": 1}, [1] * 7), ({"batch": 3}, [1, 3, 3]), ({"max_pixels": 25}, [1, 2, 2, 2]), ({}, [1, 6])],
)
def test_batches_have_limits(
    shared: shotsmith.Selector, world: World, settings: dict[str, Any], expected: list[int]
) -> None:
    _, calls = together(shared, [((query_of(world[1][0]),), FOUR, 10)] * 7, **settings)
    assert calls == expected


def test_only_like_requests_are_selected_for_together(shared: shotsmith.Selector, world: World) -> None:
    query, ids = query_of(world[1][0]), shared.bank.ids
    wanted = [FOUR, FOUR, Wanted(2), Wanted(4, pool=ids[:5]), FOUR, Wanted(2), Wanted(4, unfamiliar="fallback")]
    found, calls = together(shared, [((query,), one, 1) for one in wanted])
    assert sorted(calls) == [1, 1, 1, 2, 2]
    assert [len(selection.ids) for (selection,) in found] == [4, 4, 2, 4, 4, 2, 4]
    assert set(found[3][0].ids) <= set(ids[:5])


def test_a_request_at_fault_does_not_spoil_the_others(shared: shotsmith.Selector, world: World, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"no picture")
    jobs = [((query_of(one),), FOUR, 1) for one in world[1][:5]]
    jobs[2] = ((Query("q?", tmp_path / "bad.png"),), FOUR, 1)
    jobs[4] = ((Query("q?", exclude=("nobody",)),), FOUR, 1)
    found, _ = together(shared, jobs)
    assert [isinstance(one, InputError) for one in found] == [False, False, True, False, True]
    assert found[1][0].ids == shared.select_many([query_of(world[1][1])])[0].ids


def test_an_unexpected_error_reaches_its_request_and_the_worker_goes_on(
    shared: shotsmith.Selector, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    original: Callable[..., Any] = shared.select_many

    def broken(queries: list[Query], **more: Any) -> Any:
        if any(one.question == "break" for one in queries):
            raise ZeroDivisionError
        return original(queries, **more)

    monkeypatch.setattr(shared, "select_many", broken)
    good = ((query_of(world[1][0]),), FOUR, 1)
    found, _ = together(shared, [good, ((Query("break"),), FOUR, 1), good, good])
    assert isinstance(found[1], ZeroDivisionError)
    assert len(found[0]) == len(found[2]) == len(found[3]) == 1


def test_a_request_that_is_given_up_is_not_selected_for(shared: shotsmith.Selector, world: World) -> None:
    watched = Watched(shared)

    async def work() -> None:
        worker = Worker(watched, ServeSettings(), Metrics(), None)  # type: ignore[arg-type]
        one = ((query_of(world[1][0]),), ("",), FOUR, 1)
        tasks = [asyncio.create_task(worker.select(*one)) for _ in range(3)]
        await asyncio.sleep(0.05)
        tasks[1].cancel()
        await asyncio.sleep(0)
        watched.go.set()
        await asyncio.gather(tasks[0], tasks[2])
        worker.close()

    asyncio.run(work())
    assert watched.calls == [1, 1]
