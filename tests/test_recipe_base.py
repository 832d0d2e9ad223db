"""Recipes that build on others."""

from __future__ import annotations

from pathlib import Path

import pytest

from shotsmith.errors import RecipeError
from shotsmith.recipe import PolicySettings, load_recipe, parse_recipe


@pytest.fixture
def recipes(tmp_path: Path):
    def write(**texts: str) -> Path:
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return tmp_path / f"{name}.yaml"

    return write


def test_what_stands_in_a_recipe_goes_key_by_key_on_top_of_its_base(recipes):
    recipe = load_recipe(
        recipes(
            ground="data: {world: {seed: 3}}\ngrpo: {beta: 0.5, advantage: {min_std: 0.02, clip: 0.3}}\nname: ground",
            middle="base: ground.yaml\ngrpo: {shots: [2], advantage: {min_std: 0.03}}\nname: middle",
            top="base: middle.yaml\ngrpo: {shots: [1, 3]}",
        ),
        ["grpo.advantage.clip=0.4"],
    )
    assert recipe.data.world is not None and recipe.data.world.seed == 3
    assert (recipe.name, recipe.grpo.beta, recipe.grpo.shots) == ("middle", 0.5, (1, 3))
    assert (recipe.grpo.advantage.min_std, recipe.grpo.advantage.clip) == (0.03, 0.4)


def test_a_base_is_found_beside_the_recipe_that_names_it(tmp_path: Path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "ground.yaml").write_text("data: {world: {seed: 3}}")
    (tmp_path / "inner" / "top.yaml").write_text("base: ../ground.yaml")
    assert (
        load_recipe(tmp_path / "inner" / "top.yaml").data.world
        == parse_recipe({"data": {"world": {"seed": 3}}}).data.world
    )


def test_a_preset_replaces_what_the_base_said_of_the_policy(recipes):
    ground = "data: {world: {}}\npolicy: {memory: gru, layers: 3, feed_forward: true}"
    recipe = load_recipe(recipes(ground=ground, top="base: ground.yaml\npolicy: {preset: v4-5, layers: 2}"))
    assert recipe.policy == PolicySettings(preset="v4-5", layers=2)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("base: nowhere.yaml", "nowhere.yaml: no such recipe"),
        ("base: [a, b]", "base"),
        ("base: top.yaml", "recipes build on each other"),
        ("base: bad.yaml", "bad.yaml: row 1: is not valid YAML|not valid YAML"),
        ("base: list.yaml", "list.yaml: a recipe is a mapping"),
        ("base: ground.yaml\ngrpo: {bata: 1}", r"top.yaml: unknown key 'grpo.bata' \(did you mean 'beta'\?\)"),
    ],
)
def test_a_bad_base_is_explained(recipes, text: str, fault: str):
    with pytest.raises(RecipeError, match=fault):
        load_recipe(recipes(ground="data: {world: {}}", bad="data: [", list="- 1", top=text))


TEXTS = {"texts": {"train": "a.tsv", "test": "b.tsv"}}


@pytest.mark.parametrize("bank", ["", ", bank: {table: {file: bank.jsonl}}"])
def test_a_source_of_data_replaces_that_of_the_base(recipes, bank: str):
    ground = f"data: {{world: {{seed: 3}}, train_queries: 50{bank}}}"
    top = "base: ground.yaml\ndata: {texts: {train: a.tsv, test: b.tsv}, bank: {texts: {file: c.tsv}}}"
    recipe = load_recipe(recipes(ground=ground, top=top))
    assert (
        recipe.data == parse_recipe({"data": {**TEXTS, "bank": {"texts": {"file": "c.tsv"}}, "train_queries": 50}}).data
    )


def test_a_source_of_data_in_overrides_replaces_that_of_the_recipe(recipes):
    path = recipes(top="data: {world: {seed: 3}, bank: {table: {file: bank.jsonl}}, seed: 2}")
    texts = ["data.texts.train=a.tsv", "data.texts.test=b.tsv", "data.bank.texts={file: c.tsv}"]
    expected = {**TEXTS, "bank": {"texts": {"file": "c.tsv"}}, "seed": 2}
    assert load_recipe(path, texts).data == parse_recipe({"data": expected}).data
    assert load_recipe(path, ["data.bank=null"]).data.bank is None


def test_two_sources_in_one_recipe_are_refused_whatever_its_base(recipes):
    top = "base: ground.yaml\ndata: {world: {}, texts: {train: a.tsv, test: b.tsv}}"
    with pytest.raises(RecipeError, match="exactly one of 'world'"):
        load_recipe(recipes(ground="data: {world: {}}", top=top))


def test_an_override_opens_a_section_that_is_null(recipes):
    assert load_recipe(recipes(top="data: {world: {}}\npools: null"), ["pools.size=9"]).pools.size == 9
