"""Queries as the selector takes them, from queries as requests give them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shotsmith.evaluation.served import query_digest
from shotsmith.library.queries import Query
from shotsmith.serve.pictures import Picture, Pictures
from shotsmith.serve.wire import QueryBody


@dataclass(frozen=True, slots=True)
class Given:
    """The queries of one request."""

    queries: tuple[Query, ...]
    digests: tuple[str, ...]
    """What the selections log calls them."""
    pictures: tuple[tuple[Picture, ...], ...]
    """Their images."""

    def urls(self) -> list[list[str]]:
        """Their images as data URLs, upright and without metadata."""
        return [[picture.url for picture in some] for some in self.pictures]


def taken(asked: Sequence[QueryBody], pictures: Pictures, params: Sequence[str]) -> Given:
    """Check the images of queries and write them into the request's folder.

    Raises Refused naming one of `params`, the fields of the images.
    """
    queries, digests, found = [], [], []
    for one, param in zip(asked, params, strict=True):
        own = take_all(one.image, pictures, param)
        queries.append(Query(one.question, [pictures.file(picture) for picture in own], tuple(one.exclude)))
        digests.append(query_digest(one.question, [picture.content for picture in own]))
        found.append(own)
    return Given(tuple(queries), tuple(digests), tuple(found))


def take_all(given: str | list[str] | None, pictures: Pictures, param: str) -> tuple[Picture, ...]:
    """Check one image, several or none. Raises Refused naming the field."""
    if given is None or isinstance(given, str):
        return () if given is None else (pictures.take(given, param),)
    return tuple(pictures.take(one, f"{param}[{place}]") for place, one in enumerate(given))
