"""Where embeddings of banks and pictures without files are kept between processes."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "SHOTSMITH_CACHE"
"""Environment variable that names another folder."""


def cache_folder() -> Path:
    """`$SHOTSMITH_CACHE`, or `shotsmith` in the user's cache folder. It can be deleted at any time."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches).expanduser() if caches else Path.home() / ".cache") / "shotsmith"
