"""Words without their endings: a table of irregular forms, then Porter's rules ("An algorithm for suffix stripping").

"races" and "racing" are "race"; "leaves" is "leaf", which no rule says.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from shotsmith.metrics.plurals import singular


@lru_cache(maxsize=200_000)
def stemmed(text: str) -> str:
    """The text with every word cut to its stem. Words are what spaces part, and are taken to be lower case."""
    return " ".join(_porter().stemWords([singular(word) for word in text.split()]))


@lru_cache
def _porter() -> Any:
    import snowballstemmer  # reads the stemmers of all its languages

    return snowballstemmer.stemmer("porter")
