"""Recipes, runs and checkpoints of earlier versions are read where they give a retired setting its former default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from shotsmith.errors import RecipeError
from shotsmith.recipe import Recipe, parse_recipe
from shotsmith.recipe.retired import RETIRED

MINIMAL: dict[str, Any] = {"data": {"world": {}}}
NEEDED: dict[str, Any] = {"pools": {"sampler": "random"}}
"""Sections that a recipe has only where it names them."""


def sections(model: type[BaseModel] = Recipe, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type]]:
    """Every section of a recipe, with its place."""
    yield place, model
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from sections(kind, (*place, name))


CASES = [
    (place, name, only)
    for place, model in sections()
    for kind in model.__mro__
    for name, only in RETIRED.get(kind.__name__, {}).items()
]


def recipe_with(place: tuple[str, ...], name: str, value: object) -> Recipe:
    whole = {**MINIMAL, **{key: dict(NEEDED[key]) for key in place[:1] if key in NEEDED}}
    section = whole
    for key in place:
        section = section.setdefault(key, {})
    section[name] = value
    return parse_recipe(whole)


def test_every_retired_setting_belongs_to_a_section() -> None:
    assert {name for _, name, _ in CASES} == {name for names in RETIRED.values() for name in names}
    for place, model in sections():
        assert not {name for at, name, _ in CASES if at == place} & model.model_fields.keys()


@pytest.mark.parametrize(("place", "name", "only"), CASES, ids=[".".join((*place, name)) for place, name, _ in CASES])
def test_a_retired_setting_is_read_at_its_former_default_alone(place: tuple[str, ...], name: str, only: object) -> None:
    base = parse_recipe({**MINIMAL, **{key: NEEDED[key] for key in place[:1] if key in NEEDED}})
    assert recipe_with(place, name, only) == base
    for other in ("another", 17.5, not only if isinstance(only, bool) else True):
        with pytest.raises(RecipeError, match=f"'{name}' is no setting any more"):
            recipe_with(place, name, other)
