"""Changes of the bank by requests: all of a request is done, or nothing."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from shotsmith.data.pictures import write_picture
from shotsmith.errors import InputError, ShotsmithError
from shotsmith.library.selector import Selector
from shotsmith.serve.faults import Refused, as_refused
from shotsmith.serve.pictures import Pictures
from shotsmith.serve.queries import take_all
from shotsmith.serve.settings import ServeSettings
from shotsmith.serve.wire import IndexBody
from shotsmith.serve.worker import Worker


class Changes:
    """Adds examples to a bank and removes others. Their images are kept as long as the server runs."""

    def __init__(self, settings: ServeSettings, worker: Worker) -> None:
        """`worker` is whose selector has the bank."""
        self._settings = settings
        self._worker = worker
        self._folder = tempfile.TemporaryDirectory(prefix="shotsmith-added-")

    def close(self) -> None:
        """Delete the images."""
        self._folder.cleanup()

    async def make(self, body: IndexBody) -> dict[str, Any]:
        """The answer of `/index`. Raises Refused where nothing was changed."""
        if self._settings.read_only:
            raise Refused(403, "this server does not change its bank (it was started with --read-only)")
        if max(len(body.add), len(body.remove)) > self._settings.max_queries:
            raise Refused(422, f"a request adds and removes at most {self._settings.max_queries} examples")
        rows = await asyncio.to_thread(self._rows, body)
        try:
            return await self._worker.change(lambda selector: _change(selector, rows, body.remove))
        except ShotsmithError as error:
            raise as_refused(error, "add") from error

    def _rows(self, body: IndexBody) -> list[dict[str, Any]]:
        rows = []
        with Pictures(self._settings) as pictures:
            for number, one in enumerate(body.add):
                row: dict[str, Any] = {"question": one.question, "answers": one.answers}
                if one.id is not None:
                    row["id"] = one.id
                if one.image is not None:
                    taken = take_all(one.image, pictures, f"add[{number}].image")
                    folder = Path(self._folder.name)
                    row["image"] = [folder / write_picture(folder, picture.content) for picture in taken]
                rows.append(row)
        return rows


def _change(selector: Selector, rows: list[dict[str, Any]], remove: list[int | str]) -> dict[str, Any]:
    for one in remove:
        selector.bank.row(one)
    before = len(selector)
    added = selector.add(rows) if rows else ()
    if remove:
        try:
            selector.remove(remove)
        except InputError:
            if added:
                selector.remove(added)
            raise
    return {"added": list(added), "removed": before + len(added) - len(selector), "examples": len(selector)}
