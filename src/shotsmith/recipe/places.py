"""Where the relative paths of a recipe start: from the working directory, or else from the recipe's own folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from shotsmith.errors import RecipeError

_NAMED = frozenset({"vlm.path", "encoder.path"})
"""Settings that hold a folder, or a name that is none."""
_WRITTEN = frozenset({"store"})
"""Settings that name what a run writes: these start from the working directory."""


def placed(value: dict[str, Any], model: type[BaseModel], recipe: Path, place: str = "") -> dict[str, Any]:
    """The values of a recipe, each relative path that is only found from the recipe's folder made absolute.

    Raises RecipeError for one that names something from both places.
    """
    if (recipe.parent / "environment.json").exists():  # a run's copy: its paths are settled
        return value
    found = dict(value)
    for key, given in value.items():
        field, name = model.model_fields.get(key), f"{place}{key}"
        if field is None:
            continue
        kinds = tuple(_kinds(field.annotation))
        inner = next((kind for kind in kinds if issubclass(kind, BaseModel)), None)
        if inner is not None and isinstance(given, dict):
            found[key] = placed(given, inner, recipe, f"{name}.")
        elif isinstance(given, str) and given and (name in _NAMED or (Path in kinds and name not in _WRITTEN)):
            found[key] = _placed(given, recipe, name)
    return found


def _placed(given: str, recipe: Path, name: str) -> str:
    here, there = Path(given).expanduser(), recipe.parent / given
    try:
        if here.is_absolute() or not there.exists():
            return given
        if not here.exists():
            return str(there.absolute())
        if here.samefile(there):
            return given
    except (OSError, ValueError):  # a name that no file has
        return given
    problem = (
        f"'{given}' is found both from the working directory ({Path.cwd()}) and from the recipe's folder "
        f"({recipe.parent.absolute()}): write the whole path"
    )
    raise RecipeError(problem, file=recipe, field=name)


def _kinds(annotation: object) -> Iterator[type]:
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    yield from (part for part in parts if isinstance(part, type))
