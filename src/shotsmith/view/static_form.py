"""The page as a folder that opens from disk, without a server: its files, what the routes answer, and pictures.

Each answer is a script `data/NAME.js` that calls `shotsmith.loaded(path, value)`: pages opened from disk may load
scripts, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from fastapi import FastAPI

from shotsmith.errors import InputError
from shotsmith.files import replacing_folder
from shotsmith.records import Example
from shotsmith.reports.language import LANGUAGES
from shotsmith.runs import Run
from shotsmith.view.app import PAGE, make_app
from shotsmith.view.pictures import Size, encoded
from shotsmith.view.run_data import RunData, run_data

FOLDER = "explorer"
"""The folder's name beside the report."""
MOST_BYTES = 64_000_000
"""Bytes that the queries which can be opened, and their pictures, take at most."""
_OTHER_PANELS = (
    "runs/{name}/live",
    "runs/{name}/live/curves",
    *(f"runs/{{name}}/live/{part}?lang={code}" for part in ("outcome", "findings") for code in LANGUAGES),
    "runs/{name}/demonstrations",
)
_SAFE = re.compile(rb"[A-Za-z0-9.-]")


@dataclass(frozen=True, slots=True)
class Explorer:
    """What was written."""

    index: Path
    """The page to open."""
    bytes: int
    """Of the whole folder."""
    queries: int
    """Queries that can be opened."""
    left_out: int
    """Queries that are listed only: with them the folder would have become too large."""


def write_explorer(run: Run, folder: Path, most_bytes: int = MOST_BYTES) -> Explorer:
    """Write the page of an evaluated run into a folder, in the place of an earlier one.

    All test queries are listed. They can be opened as long as they and their pictures take no more than `most_bytes`,
    those that the last phase fixed, broke and left unchanged in turn. Raises InputError where the run is not evaluated
    or the folder holds something else, DataError for damaged data.
    """
    data = run_data(run)
    _ = data.results
    name = run.folder.resolve().name or "run"
    with replacing_folder(folder, own=_own(folder)) as temporary:
        writer = _Writer(temporary, make_app({name: run}), name)
        writer.write_page()
        opened = writer.write_queries(data, most_bytes)
        writer.write_others(most_bytes)
        size = sum(file.stat().st_size for file in temporary.rglob("*") if file.is_file())
    return Explorer(folder / "index.html", size, opened, len(data.queries) - opened)


def file_of(path: str) -> str:
    """The name of the script that holds what a path answers; `fileOf` in shell.js is the same."""
    parts = (bytes([one]) for one in path.encode())
    return "".join(one.decode() if _SAFE.match(one) else f"_{one[0]:02x}" for one in parts) + ".js"


class _Writer:
    def __init__(self, folder: Path, app: FastAPI, name: str) -> None:
        self._folder = folder
        self._app = app
        self._name = quote(name, safe="")
        self._pictures: set[tuple[str, int, int]] = set()
        """Split, example and number of those that are written."""
        self._bytes = 0
        """Of opened queries and pictures."""

    def write_page(self) -> None:
        """The files of the page, told that there is no server."""
        for file in sorted(PAGE.iterdir()):
            if file.is_file():
                shutil.copyfile(file, self._folder / file.name)
        index = self._folder / "index.html"
        live = index.read_text(encoding="utf-8")
        index.write_text(live.replace('data-form="live"', 'data-form="static"'), encoding="utf-8")
        self.write("runs", [{**one, "folder": one["title"]} for one in self._get("runs")])

    def write_queries(self, data: RunData, most_bytes: int) -> int:
        """The list, and as many queries as there is room for; returns their number."""
        listed = self._get(f"runs/{self._name}/queries")
        answered = {shots: self._get(f"runs/{self._name}/queries/shots/{shots}") for shots in listed["shots"]}
        for shots, columns in answered.items():
            self.write(f"runs/{self._name}/queries/shots/{shots}", columns)
        view = listed["default"]
        opened: dict[int, Any] = {}
        for place in _in_turn(listed, answered[view["shots"]]):
            query = self._get(f"runs/{self._name}/queries/{listed['id'][place]}")
            example = data.queries[data.number_of(query["id"])]
            self._bytes += len(json.dumps(query))
            shown = {
                number
                for one in query["tries"]
                if one["shots"] == view["shots"] and one["selector"] in (view["a"], view["b"])
                for number in one["sequence"]
            }
            self._draw(data, "test", [example], "large")
            self._draw(data, "bank", _entries(data, shown), "small")
            if self._bytes > most_bytes:
                break
            opened[place] = query
        for query in opened.values():
            for number in query["examples"]:
                if self._bytes < most_bytes:
                    self._draw(data, "bank", _entries(data, [int(number)]), "small")
        for query in opened.values():
            self.write(f"runs/{self._name}/queries/{query['id']}", query)
        listed["kept"] = [int(place in opened) for place in range(len(listed["id"]))]
        self.write(f"runs/{self._name}/queries", listed)
        return len(opened)

    def write_others(self, most_bytes: int) -> None:
        """The other panels; entries of the bank can be opened where their pictures are kept, and there is room."""
        for path in _OTHER_PANELS:
            self._copy(path.format(name=self._name))
        for split, number, place in sorted(self._pictures):
            if (split, place) == ("bank", 0) and self._bytes < most_bytes:
                self._copy(f"runs/{self._name}/demonstrations/{number}")
        kept = [f"{split}-{number}-{place}" for split, number, place in sorted(self._pictures)]
        self.write(f"runs/{self._name}/pictures", kept)

    def _copy(self, path: str) -> None:
        """What the server answers to a path; nothing where it answers with an error, such as for what is absent."""
        status, value = asyncio.run(_answer(self._app, f"/api/{path}"))
        if status == 200:
            self.write(path, value)
            self._bytes += len(json.dumps(value))

    def write(self, path: str, value: object) -> None:
        """A script that brings the value."""
        file = self._folder / "data" / file_of(path)
        file.parent.mkdir(exist_ok=True)
        told = ", ".join(json.dumps(one, allow_nan=False, separators=(",", ":")) for one in (path, value))
        file.write_text(f"shotsmith.loaded({told});\n", encoding="ascii")

    def _draw(self, data: RunData, split: str, examples: Sequence[Example], size: Size) -> None:
        """Pictures of examples, once each. Raises DataError where one is missing or damaged."""
        for example in examples:
            for number, file in enumerate(example.images):
                if (split, example.id, number) in self._pictures:
                    continue
                self._pictures.add((split, example.id, number))
                picture = self._folder / "pictures" / f"{split}-{example.id}-{number}.webp"
                picture.parent.mkdir(exist_ok=True)
                self._bytes += picture.write_bytes(encoded(file, size))

    def _get(self, path: str) -> Any:
        """What the server answers to a path. Raises InputError where that is an error."""
        status, told = asyncio.run(_answer(self._app, f"/api/{path}"))
        if status != 200:
            raise InputError(told["error"]["message"])
        return told


def _entries(data: RunData, numbers: Sequence[int] | set[int]) -> list[Example]:
    rows = (data.bank_rows.get(number) for number in numbers)
    return [data.splits.bank[row] for row in rows if row is not None]


def _in_turn(listed: Mapping[str, Any], answered: Mapping[str, Any]) -> Iterator[int]:
    """Places of queries: fixed, broken and unchanged ones in turn, then those without an answer."""
    view, values = listed["default"], [*answered["values"], None]
    columns = (answered["selectors"][view[side]]["value"] for side in ("a", "b"))
    piles: dict[str, list[int]] = {"fixed": [], "broken": [], "unchanged": [], "none": []}
    for place, (before, after) in enumerate(zip(*columns, strict=True)):
        one, other = values[before], values[after]  # the last, None, stands at NONE
        change = "none" if one is None or other is None else "fixed" if other > one else "broken" if other < one else ""
        piles[change or "unchanged"].append(place)
    last = piles.pop("none")
    turns = chain.from_iterable(zip_longest(*piles.values()))
    yield from (place for place in turns if place is not None)
    yield from last


async def _answer(app: FastAPI, path: str) -> tuple[int, Any]:
    """Status and JSON that the application answers to a GET."""
    place, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
    }
    scope |= {"path": unquote(place), "raw_path": place.encode(), "query_string": query.encode(), "root_path": ""}
    scope |= {"headers": [(b"host", b"localhost")], "client": None, "server": None}
    status, body = 500, b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")

    await app(scope, receive, send)
    return status, json.loads(body)


def _own(folder: Path) -> set[str]:
    """What an earlier page left in the folder."""
    index = folder / "index.html"
    ours = index.exists() and 'data-form="static"' in index.read_text(encoding="utf-8", errors="replace")
    return {entry.name for entry in folder.iterdir()} if ours else set()
