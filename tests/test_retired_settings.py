"""Recipes, runs and checkpoints of earlier versions are read where they give a retired setting its former default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from shotsmith.errors import RecipeError
from shotsmith.recipe import GrpoSettings, Recipe, SupervisedSettings, parse_recipe
from shotsmith.recipe.retired import RETIRED, former_json

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


def test_the_settings_that_a_state_belongs_to_are_the_same_in_every_version() -> None:
    """Training that an earlier version began goes on: the fingerprint of its state is made of this text."""
    assert former_json(SupervisedSettings(epochs=2)).decode() == (
        '{"epochs":2,"learning_rate":0.001,"warmup_steps":20,"schedule":"cosine","final_learning_rate_share":0.1,'
        '"weight_decay":0.01,"average_decay":0.95,"max_grad_norm":1.0,"queries_per_step":32,"patience":0,'
        '"best_by":"val_reward","label_smoothing":0.0}'
    )
    nested = former_json(GrpoSettings()).decode()
    for name in ("kl", "reference", "curriculum"):
        assert f'"{name}":{{' in nested
    assert '"controller":"fixed","target":0.1,"horizon":10000.0,"factor":1.5,"low":0.01,"high":0.1' in nested
    assert '"epsilon_high":0.28,"dual_clip":null,"importance_level":"step"' in nested
