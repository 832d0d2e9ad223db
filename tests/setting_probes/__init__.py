"""Probes that show whether a setting has an effect: each maps a recipe to something that can be compared.

Everything is small, but it is the real thing that a recipe is turned into; only the VLM and the embeddings are made up
where they are not what is asked about. The settings and their probes are listed in the modules called `*_table`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from shotsmith.recipe import Recipe

Probe = Callable[[Recipe, Path], object]
"""(recipe, an empty folder) -> what came of it."""

OTHERS = object()
"""Every other value that the setting can have, one after the other."""
