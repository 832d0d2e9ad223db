"""Queries as an application gives them, and as examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shotsmith.embeddings.cached import pooled
from shotsmith.embeddings.embedded import Embedded, Encoder
from shotsmith.errors import InputError
from shotsmith.library.bank import Id
from shotsmith.library.pictures import Pictures, picture_files
from shotsmith.records import Example


@dataclass(frozen=True)
class Query:
    """A question about an image, about several, or about none."""

    question: str
    image: Pictures = None
    exclude: tuple[Id, ...] = ()
    """Examples of the bank that must not be shown."""

    @classmethod
    def of(cls, query: Query | Mapping[str, Any], number: int) -> Query:
        """A query from a mapping with `question` and perhaps `image` (or `images`) and `exclude`.

        `number` is named in errors. Raises InputError.
        """
        if isinstance(query, Query):
            return query
        if not isinstance(query, Mapping) or "question" not in query:
            raise InputError("is neither a Query nor a mapping with a question", row=number)
        return cls(query["question"], query.get("image", query.get("images")), tuple(query.get("exclude", ())))

    def example(self, number: int, folder: Path) -> Example:
        """The example of the query; images in memory are written into `folder`. Raises InputError (DataError)."""
        if not isinstance(self.question, str) or not self.question.strip():
            raise InputError("is empty", row=number, field="question")
        try:
            images = picture_files(self.image, folder)
        except InputError as error:
            raise InputError(error.problem, file=error.file, row=number, field="image") from error
        return Example(number, images, number, self.question, ("",))


def embed_few(examples: Sequence[Example], encoder: Encoder, like: Embedded) -> Embedded:
    """Embeddings that are kept nowhere, as wide as `like`."""
    images = np.zeros((len(examples), like.images.shape[1]), dtype=np.float32)
    paths = {image: row for row, image in enumerate(dict.fromkeys(i for one in examples for i in one.images))}
    if paths and like.has_images:
        embedded = encoder.embed_images(list(paths))
        images = pooled(embedded, [[paths[image] for image in example.images] for example in examples])
    return Embedded(images, encoder.embed_texts([example.question for example in examples]), like.averaged)
