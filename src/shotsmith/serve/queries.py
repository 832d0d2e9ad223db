"""Queries as the selector takes them, from queries as requests give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shotsmith.library.selector import Query
from shotsmith.serve.log import query_digest
from shotsmith.serve.pictures import Picture, Pictures
from shotsmith.serve.wire import QueryBody


@dataclass(frozen=True, slots=True)
class Given:
    """The queries of one request."""

    queries: tuple[Query, ...]
    digests: tuple[str, ...]
    """What the selections log calls them."""
    pictures: tuple[Picture | None, ...]

    def urls(self) -> list[str | None]:
        """Their images as data URLs."""
        return [None if picture is None else picture.url for picture in self.pictures]


def taken(asked: Sequence[QueryBody], pictures: Pictures, params: Sequence[str]) -> Given:
    """Check the images of queries and write them into the request's folder.

    Raises Refused naming one of `params`, the fields of the images.
    """
    queries, digests, found = [], [], []
    for one, param in zip(asked, params, strict=True):
        picture = None if one.image is None else pictures.take(one.image, param)
        file = None if picture is None else pictures.file(picture)
        queries.append(Query(one.question, file, tuple(one.exclude)))
        digests.append(query_digest(one.question, None if picture is None else picture.content))
        found.append(picture)
    return Given(tuple(queries), tuple(digests), tuple(found))
