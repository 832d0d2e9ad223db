"""Every setting of a recipe has an effect: each is changed, and something must come out different.

A new setting fails here until the table says how it shows.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel
from setting_probes import OTHERS, Probe, data_table, learning_table, models_table, stages_table
from setting_probes.files import prepare_files

from shotsmith import plugins
from shotsmith.recipe import Recipe, parse_recipe
from shotsmith.recipe.rewards import MODES
from shotsmith.recipe.servers import SERVER_KINDS

BASE: dict[str, Any] = {
    "name": "run",
    "seeds": [0],
    "data": {
        "world": {"seed": 1, "bank": 40, "train": 40, "val": 8, "test": 10},
        "train_queries": 8,
        "val_queries": 4,
        "test_queries": 6,
    },
    "pools": {"size": 8},
    "beam": {"queries": 3, "width": 2, "shots": 2},
    "policy": {"hidden_size": 16, "top_m": 4, "topics": 4, "dpp_rank": 4},
    "supervised": {"epochs": 2, "queries_per_step": 5, "learning_rate": 3e-3, "warmup_steps": 0},
    "rollouts": {"sampled": 3, "random": 2, "shots": [2]},
    "rce": {"epochs": 2, "queries_per_step": 5, "learning_rate": 3e-3, "warmup_steps": 0},
    "grpo": {
        "epochs": 2,
        "steps_per_epoch": 2,
        "num_generations": 4,
        "queries_per_step": 4,
        "shots": [1, 2],
        "learning_rate": 1e-2,
        "warmup_steps": 0,
        "beta": 0.01,
    },
    "evaluation": {"shots": [1, 2], "random_draws": 1, "oracle_tries": 2, "resamples": 100},
}


TABLE = {**data_table.TABLE, **models_table.TABLE, **learning_table.TABLE, **stages_table.TABLE}


def settings_of(model: type[BaseModel], place: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """All settings by their full names, and their types."""
    for name, field in model.model_fields.items():
        inner = [part for part in (field.annotation, *get_args(field.annotation)) if _is_section(part)]
        if inner:
            yield from settings_of(inner[0], (*place, name))
        else:
            yield ".".join((*place, name)), field.annotation


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


SETTINGS = dict(settings_of(Recipe))


def recipe_of(changes: Mapping[str, Any], here: Path, folder: Path) -> Recipe:
    value = json.loads(json.dumps(BASE))
    for name, new in changes.items():
        *sections, key = name.split(".")
        section = value
        for part in sections:
            section = section.setdefault(part, {})
        section[key] = new.format(here=here, folder=folder) if isinstance(new, str) else new
    return parse_recipe(value)


def value_in(recipe: Recipe, name: str) -> object:
    return functools.reduce(getattr, name.split("."), recipe)


def parts_of(value: object) -> Iterator[object]:
    """What an outcome is made of, in order."""
    if isinstance(value, Mapping):
        value = list(value.items())
    if isinstance(value, list | tuple):
        yield len(value)
        for part in value:
            yield from parts_of(part)
    else:
        yield value


def same(one: object, other: object) -> bool:
    """Equal but for rounding."""
    pairs = itertools.zip_longest(parts_of(one), parts_of(other))
    return all(
        math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-7) if isinstance(a, float) and isinstance(b, float) else a == b
        for a, b in pairs
    )


class Workshop:
    """Has probes done; what a base gives is found once."""

    def __init__(self, here: Path) -> None:
        self.here, self.count = here, 0
        self.found: dict[tuple[object, str], object] = {}
        prepare_files(here)

    def outcome(self, look: Probe, changes: Mapping[str, Any]) -> object:
        folder = self.here / f"probe-{self.count}"
        folder.mkdir()
        self.count += 1
        return look(recipe_of(changes, self.here, folder), folder)

    def base(self, look: Probe, context: Mapping[str, Any]) -> object:
        key = (look, repr(context))
        if key not in self.found:
            self.found[key] = self.outcome(look, context)
        return self.found[key]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parent / "added_package")  # has readers, gains and backends
        forget()
        yield Workshop(tmp_path_factory.mktemp("workshop"))
    forget()


def forget() -> None:
    """What packages add is looked up anew."""
    plugins._entry_points.cache_clear()
    plugins._added.cache_clear()


def probe_of(name: str) -> tuple[Probe, dict[str, Any]]:
    """The probe that shows a setting, and its context."""
    _, look, *context = TABLE[name]
    return look, {**context[0]} if context else {}


NAMES = {"reward.mode": MODES, "vlm.server.kind": SERVER_KINDS}
"""Settings that name an entry of a table."""


def changes() -> Iterator[Any]:
    """Every setting with every value it is changed to."""
    for name in TABLE.keys() & SETTINGS.keys():
        values = [TABLE[name][0]]
        if values == [OTHERS]:
            assert name in NAMES or get_origin(SETTINGS[name]) is Literal
            base = value_in(recipe_of(probe_of(name)[1], Path(), Path()), name)
            values = [option for option in NAMES.get(name) or get_args(SETTINGS[name]) if option != base]
        yield from (pytest.param(name, value, id=f"{name}={value}") for value in values)


def test_the_table_names_every_setting_and_no_other():
    assert sorted(TABLE) == sorted(SETTINGS)


@pytest.mark.parametrize(("name", "value"), sorted(changes(), key=lambda parameters: parameters.id))
def test_a_setting_has_an_effect(workshop: Workshop, name: str, value: object):
    look, context = probe_of(name)
    assert not same(workshop.outcome(look, context | {name: value}), workshop.base(look, context))


@pytest.mark.parametrize("look", dict.fromkeys(probe_of(name)[0] for name in TABLE), ids=lambda look: look.__name__)
def test_a_probe_shows_nothing_but_the_settings(workshop: Workshop, look: Probe):
    """The same recipe gives the same outcome: what differs above is the setting's doing."""
    context = next(context for other, context in map(probe_of, TABLE) if other is look)
    assert same(workshop.outcome(look, context), workshop.base(look, context))
