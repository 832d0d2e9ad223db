"""The recipes in `recipes/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from shotsmith.recipe import load_recipe

SHIPPED = Path(__file__).parent.parent / "recipes"


@pytest.mark.parametrize("path", sorted(SHIPPED.rglob("*.yaml")), ids=lambda path: str(path.relative_to(SHIPPED)))
def test_a_shipped_recipe_is_valid_and_says_what_it_is(path: Path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem or path.stem == "base"
    assert path.read_text().startswith("# ")


def test_the_predecessors_schemes_are_shipped_and_no_two_are_the_same():
    folder = SHIPPED / "predecessor"
    schemes = {name: load_recipe(folder / f"scheme{name}.yaml") for name in "5 6 7 7.1 7.2 8 9 10".split()}
    nameless = {repr(recipe.model_copy(update={"name": ""})) for recipe in schemes.values()}
    alike = {"7", "7.1", "7.2"}
    """Where the KL term is dropped its coefficient makes no difference."""
    assert len(nameless) == len(schemes) - len(alike) + 1
    assert len({repr(schemes[name].model_copy(update={"name": ""})) for name in alike}) == 1
    for recipe in schemes.values():
        assert recipe.grpo.sampling.keep_top == (3, 5)
        assert recipe.grpo.dropout
        assert recipe.grpo.sampling.source == "recorded"


def left_to_defaults(section: BaseModel, place: str) -> Iterator[str]:
    """The fields that a recipe does not set, of sections below too."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if name not in section.model_fields_set:
            yield f"{place}.{name}"
        elif isinstance(value, BaseModel):
            yield from left_to_defaults(value, f"{place}.{name}")


TRAINING = ("pools", "beam", "supervised", "rollouts", "rce", "grpo")


@pytest.mark.parametrize("section", TRAINING)
def test_the_predecessors_schemes_do_not_depend_on_defaults(section: str):
    """Better defaults must not change what they do."""
    recipe = load_recipe(SHIPPED / "predecessor" / "base.yaml")
    # With pools, beam search tries whole pools.
    assert {*left_to_defaults(getattr(recipe, section), section)} <= {"beam.candidates", "rollouts.imported"}


def test_the_predecessors_schemes_choose_from_pools_in_the_first_world():
    recipe = load_recipe(SHIPPED / "predecessor" / "scheme6.yaml")
    assert recipe.pools is not None and (recipe.pools.sampler, recipe.pools.size) == ("random", 64)
    world = recipe.data.world
    assert world is not None and (world.bank, world.artefacts, world.train) == (None, "few", 20_000)
    sizes = recipe.data.train_queries, recipe.data.val_queries, recipe.data.test_queries, recipe.beam.queries
    assert sizes == (640, 300, 800, 340)


def test_the_recipe_of_ok_vqa_names_only_data_and_models():
    """A default is the recommendation."""
    recipe = load_recipe(SHIPPED / "okvqa.yaml")
    assert recipe.model_fields_set == {"name", "data", "vlm", "encoder"}
    assert recipe.data.model_fields_set == {"okvqa"}
