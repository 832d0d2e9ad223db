"""Reading and writing recipes: YAML, overrides, and faults told all at once with the nearest known key."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from shotsmith.errors import RecipeError
from shotsmith.recipe.bounded_yaml import MOST_BYTES, read_text, read_yaml
from shotsmith.recipe.data import BANK_SOURCES, SOURCES, WorldSettings
from shotsmith.recipe.experiment import Recipe
from shotsmith.recipe.models import VLMSettings
from shotsmith.recipe.places import placed
from shotsmith.recipe.policy import PolicySettings
from shotsmith.recipe.rewards import RewardSettings, further_metrics
from shotsmith.recipe.urls import hiding_credentials

_MAX_BASES = 8
_NONE = object()
_MOST_FAULTS = 50
"""So many faults are told."""
_MAX_DEPTH = 16
_LONGEST_NAME = 100
"""Characters of a key that are told, and compared with the known keys."""
_ALIKE = 0.6
"""From this likeness on a key is taken for a slip of the pen; `version` is no `evaluation`."""
_QUOTES = """a text with one of : # [ ] { } , & * ! | > ' " % @ needs quotes of its own: --set 'name="a: b"'"""
_NO_SETTINGS: Mapping[type[BaseModel], Sequence[str]] = {
    Recipe: ("base",),
    PolicySettings: ("preset",),
    WorldSettings: ("preset",),
    VLMSettings: ("decoding",),
    RewardSettings: further_metrics(),
}
"""The keys that stand for settings and are none themselves."""
_ALTERNATIVES: Mapping[tuple[str, ...], tuple[str, ...]] = {("data",): SOURCES, ("data", "bank"): BANK_SOURCES}
"""Section -> the keys of which it holds one."""


def load_recipe(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe; `overrides` are 'section.key=value' with YAML values.

    Relative paths start from the working directory; those that are only found from the recipe's folder start there.
    `base: FILE` (beside the recipe) takes over that recipe; what stands here goes on top, key by key. A preset or
    another source of data replaces what it is an alternative to, in overrides too. Raises RecipeError listing every
    fault at once, with the nearest known key for each unknown one.
    """
    value = _read_with_base(path, _MAX_BASES)
    for number, override in enumerate(overrides, start=1):
        _apply(value, override, number)
    return parse_recipe(value, path)


def _read_with_base(path: Path, depth: int, left: int = MOST_BYTES) -> dict[str, Any]:
    """The recipe on its bases, which have at most so many characters in all."""
    text = read_text(path)
    if len(text) > left:
        raise RecipeError(f"has more than {MOST_BYTES:,} bytes with the recipes that build on it", file=path)
    value = read_yaml(text, "is", path)
    if not isinstance(value, dict):
        raise RecipeError("a recipe is a mapping of sections", file=path)
    base = value.pop("base", _NONE)
    value = placed(value, Recipe, path)
    if base is _NONE:
        return value
    if not isinstance(base, str) or not base:
        raise RecipeError("is the name of a recipe file", file=path, field="base")
    if not depth:
        raise RecipeError(f"more than {_MAX_BASES} recipes build on each other, perhaps in a circle", file=path)
    below = path.parent / base
    try:
        irregular = below.exists() and not below.is_file()
    except OSError as error:
        raise RecipeError(f"cannot be read: {error.strerror}", file=path, field="base") from error
    if irregular:
        raise RecipeError("is no regular file", file=below)
    return _on_top(_read_with_base(below, depth - 1, left - len(text)), value)


def _on_top(below: Mapping[str, Any], above: Mapping[str, Any], place: tuple[str, ...] = ()) -> dict[str, Any]:
    """Both, mappings merged key by key; `place` is the section they stand in.

    A preset replaces what was said of its section before, and a source of data another source.
    """
    if "preset" in above:
        return dict(above)
    merged = dict(below)
    for key, value in above.items():
        if value is not None:
            _drop_alternatives(merged, place, key)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[key] = _on_top(old, value, (*place, key))
        else:
            merged[key] = value
    return merged


def _drop_alternatives(section: dict[str, Any], place: tuple[str, ...], key: str) -> None:
    """Take out of the section at this place what the key is an alternative to."""
    alternatives = _ALTERNATIVES.get(place, ())
    for other in alternatives if key in alternatives else ():
        if other != key:
            section.pop(other, None)


def parse_recipe(value: Mapping[str, Any], file: Path | str | None = None) -> Recipe:
    """Check a recipe given as plain values. Raises RecipeError listing every fault."""
    try:
        return Recipe.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        told = [_fault(fault) for fault in faults[:_MOST_FAULTS]]
        if len(faults) > _MOST_FAULTS:
            told.append(f"and {len(faults) - _MOST_FAULTS} more")
        raise RecipeError(hiding_credentials("; ".join(told)), file=file) from error


def dump_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every default written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _apply(value: dict[str, Any], override: str, number: int) -> None:
    """Set what the override says. Messages name its key and never its value, which may be a password."""
    name, equals, text = override.partition("=")
    keys = name.strip().split(".")
    told = f"override '{name.strip()}'" if keys[0] in Recipe.model_fields else f"override {number}"
    if not equals or not all(keys):
        raise RecipeError(f"{told} is not of the form section.key=value")
    try:
        new = read_yaml(text, f"{told}: the value is")
    except RecipeError:
        raise RecipeError(f"{told}: the value is not valid YAML of a recipe ({_QUOTES})") from None
    for depth, key in enumerate(keys):
        if new is not None:
            _drop_alternatives(value, tuple(keys[:depth]), key)
        if depth < len(keys) - 1:
            value[key] = {} if value.get(key) is None else value[key]
            value = value[key]
            if not isinstance(value, dict):
                raise RecipeError(f"{told}: '{'.'.join(keys[: depth + 1])}' is not a section")
    value[keys[-1]] = new


def _fault(fault: Mapping[str, Any]) -> str:
    location: Sequence[str | int] = fault["loc"]
    name = ".".join(str(part)[:_LONGEST_NAME] for part in location[:_MAX_DEPTH]) or "recipe"
    if fault["type"] == "extra_forbidden":
        known = _keys_at(location[:-1])
        near = _nearest(str(location[-1])[:_LONGEST_NAME], known)
        if near is None:
            return f"unknown key '{name}'" + (f" (there are {', '.join(known)})" if known else "")
        return f"unknown key '{name}' (did you mean '{near}'?)"
    return f"{name}: {fault['msg'].removeprefix('Value error, ')}"


def _nearest(given: str, known: Sequence[str]) -> str | None:
    """The known key that is meant: one that is spelled alike, that `given` abbreviates, or that holds it as a word."""
    initials = (key for key in known if "_" in key and "".join(word[0] for word in key.split("_")) == given.lower())
    if short := next(initials, None):
        return short
    # Of two letters one is enough.
    if alike := difflib.get_close_matches(given, known, n=1, cutoff=_ALIKE if len(given) > 2 else 0.5):
        return alike[0]
    return next((key for key in known if given.lower() in key.split("_")), None)


def _keys_at(location: Sequence[str | int]) -> list[str]:
    model: type[BaseModel] = Recipe
    for part in location:
        inner = _model_in(model.model_fields[str(part)].annotation) if part in model.model_fields else None
        if inner is None:
            return []
        model = inner
    return [*model.model_fields, *_NO_SETTINGS.get(model, ())]


def _model_in(annotation: object) -> type[BaseModel] | None:
    candidates = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)
