"""Pictures as messages hold them."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from shotsmith.errors import InputError
from shotsmith.recipe.urls import without_credentials


def picture_of(value: Any) -> Any:
    """The encoded file of a data URL in base64; anything else as it is, '' as None.

    Raises InputError for another URL: nothing is fetched.
    """
    if not isinstance(value, str):
        return value
    if value.startswith(("http://", "https://", "gs://")):
        told = without_credentials(value)[:60]
        raise InputError(f"is a URL, which is not fetched ({told}): give a path, bytes or a data URL", field="image")
    if not value.startswith("data:"):
        return value or None
    header, _, content = value.partition(",")
    try:
        if not header.endswith(";base64"):
            raise binascii.Error("is not in base64")
        return base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise InputError(f"is no data URL of an image: {error}", field="image") from error
