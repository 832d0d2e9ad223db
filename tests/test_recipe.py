from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from shotsmith.errors import RecipeError
from shotsmith.recipe import Recipe, dump_recipe, load_recipe, parse_recipe

MINIMAL = {"data": {"world": {}}}
SECTIONS = [name for name, value in parse_recipe(MINIMAL) if isinstance(value, BaseModel) and name != "data"]

KINDS = ("questions", "annotations", "images")


@pytest.fixture
def recipe_file(tmp_path: Path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "recipe.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def test_a_recipe_needs_only_its_data(recipe_file):
    assert load_recipe(recipe_file("data: {world: {}}")) == parse_recipe(MINIMAL)


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_key_names_the_nearest_known_one(section: str):
    for key in getattr(parse_recipe(MINIMAL), section).model_dump():
        typo = key[:-1] + "q"
        with pytest.raises(RecipeError) as caught:
            parse_recipe({**MINIMAL, section: {typo: 1}})
        assert str(caught.value) == f"unknown key '{section}.{typo}' (did you mean '{key}'?)"


def test_unknown_sections_and_keys_two_levels_down_are_named_too():
    with pytest.raises(RecipeError, match=r"unknown key 'gpro' \(did you mean 'grpo'\?\)"):
        parse_recipe({**MINIMAL, "gpro": {}})
    with pytest.raises(RecipeError, match=r"unknown key 'data.world.sed' \(did you mean 'seed'\?\)"):
        parse_recipe({"data": {"world": {"sed": 1}}})


def test_all_faults_are_told_at_once_in_one_line(recipe_file):
    path = recipe_file("data: {world: {train: 0}}\ngrpo: {epoch: 3, beta: high}\npools: {sampler: best}\nseeds: []")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ") and "\n" not in line
    for fault in (
        "data.world.train:",
        "'grpo.epoch' (did you mean 'epochs'?)",
        "grpo.beta:",
        "pools.sampler:",
        "seeds:",
    ):
        assert fault in line


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"data": {}}, "exactly one of 'world' and 'okvqa'"),
        ({}, "data: Field required"),
        ({**MINIMAL, "seeds": [1, 2, 1]}, "seeds must differ"),
        ({**MINIMAL, "beam": {"queries": 801}}, "beam.queries exceeds data.train_queries"),
        ({**MINIMAL, "pools": {"size": 3}}, "4 shots cannot be taken from pools of 3"),
        ({**MINIMAL, "policy": {"hidden_size": 10, "heads": 3}}, "heads .3. must divide hidden_size .10."),
        ({**MINIMAL, "reward": {"vqa_accuracy": 0, "answer_probability": 0}}, "at least one reward weight"),
        ({**MINIMAL, "grpo": {"learning_rate": float("inf")}}, "grpo.learning_rate"),
        ({**MINIMAL, "grpo": {"beta": float("nan")}}, "grpo.beta"),
        ({**MINIMAL, "grpo": {"epochs": True}}, "grpo.epochs"),
        ({**MINIMAL, "evaluation": {"shots": []}}, "evaluation.shots"),
        ({**MINIMAL, "evaluation": {"shots": [0]}}, "evaluation.shots.0"),
        ({**MINIMAL, "data": {"world": {"seed": -1}}}, "data.world.seed"),
        ({**MINIMAL, "name": "../elsewhere"}, "name"),
        ({**MINIMAL, "name": ".."}, "name"),
        ({1: 2, **MINIMAL}, "strings"),
    ],
)
def test_values_that_make_no_sense_are_refused(value: dict, fault: str):
    with pytest.raises(RecipeError, match=fault):
        parse_recipe(value)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("data:\n  world: {}\n grpo: {}", 3),
        ("data: {world: {}}\ngrpo: [1", 2),
        ("data: {world: {}}\ngrpo: {beta: 1}\ngrpo: {beta: 2}", 3),
        ("name: !!python/object:os.system {}", 1),
        ("data: \0", None),
        ("name: 2001-13-45", None),
        ("a: " + "[" * 100_000, None),
    ],
)
def test_bad_yaml_is_named_by_file_and_line(recipe_file, text: str, row: int | None):
    path = recipe_file(text)
    with pytest.raises(RecipeError, match=r"not valid YAML|nested too deeply") as caught:
        load_recipe(path)
    assert (caught.value.file, caught.value.row) == (str(path), row)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "- 1", "just text", "3"])
def test_a_file_that_is_no_mapping_is_refused(recipe_file, content: str):
    with pytest.raises(RecipeError, match="mapping of sections"):
        load_recipe(recipe_file(content))


def test_a_missing_or_unreadable_recipe_is_named(tmp_path: Path, recipe_file):
    with pytest.raises(RecipeError, match="no such recipe"):
        load_recipe(tmp_path / "absent.yaml")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path)
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(recipe_file(b"\xff\xfe\xfa"))


def test_overrides_replace_values_and_make_sections(recipe_file):
    path = recipe_file("data: {world: {seed: 1}}\ngrpo: {beta: 0.5}")
    overrides = [
        "grpo.learning_rate=2e-5",
        "data.world.seed=7",
        "policy.memory=none",
        "seeds=[3, 4]",
        "vlm.path=models/a=b",
    ]
    recipe = load_recipe(path, overrides)
    assert recipe.grpo.learning_rate == 2e-5
    assert recipe.grpo.beta == 0.5
    assert recipe.data.world is not None and recipe.data.world.seed == 7
    assert recipe.policy.memory == "none"
    assert recipe.seeds == (3, 4)
    assert recipe.vlm.path == "models/a=b"


def test_of_two_overrides_of_one_key_the_later_wins(recipe_file):
    assert load_recipe(recipe_file("data: {world: {}}"), ["grpo.beta=1", "grpo.beta=2"]).grpo.beta == 2


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("grpo.beta", "not of the form"),
        ("=3", "not of the form"),
        ("grpo..beta=3", "not of the form"),
        ("name.first=3", "'name' is not a section"),
        ("grpo.beta=[1", "not valid YAML"),
        ("name=2001-13-45", "not valid YAML"),
        ("grpo.bata=1", "did you mean 'beta'"),
        ("grpo.beta=-1", "grpo.beta"),
    ],
)
def test_a_bad_override_is_explained(recipe_file, override: str, problem: str):
    with pytest.raises(RecipeError, match=problem):
        load_recipe(recipe_file("data: {world: {}}\nname: demo"), [override])


NUMBERS = st.floats(min_value=1e-8, max_value=1e8)


@given(rate=NUMBERS, beta=NUMBERS, seeds=st.lists(st.integers(0, 2**40), min_size=1, max_size=4, unique=True))
def test_a_dumped_recipe_loads_as_itself_to_the_last_bit(rate: float, beta: float, seeds: list[int]):
    recipe = parse_recipe({**MINIMAL, "grpo": {"learning_rate": rate, "beta": beta}, "seeds": seeds})
    assert parse_recipe(yaml.safe_load(dump_recipe(recipe))) == recipe


def test_a_dumped_recipe_keeps_paths_and_writes_every_default(tmp_path: Path, recipe_file):
    paths = {f"{split}_{kind}": f"数据/{split} {kind}" for split in ("train", "test") for kind in KINDS}
    recipe = parse_recipe({"data": {"okvqa": paths}})
    text = dump_recipe(recipe)
    assert load_recipe(recipe_file(text)) == recipe
    assert "数据/train questions" in text
    assert set(yaml.safe_load(text)) == set(Recipe.model_fields)
    assert yaml.safe_load(text)["grpo"]["epsilon_high"] == 0.28


def test_a_recipe_cannot_be_changed_after_it_was_checked():
    recipe = parse_recipe(MINIMAL)
    with pytest.raises(ValueError, match="frozen"):
        recipe.grpo.beta = -1


def test_checking_a_recipe_loads_nothing_heavy():
    script = "import sys, shotsmith.recipe; sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_every_shipped_recipe_is_valid():
    shipped = sorted((Path(__file__).parent.parent / "recipes").glob("*.yaml"))
    assert "demo.yaml" in [path.name for path in shipped]
    for path in shipped:
        load_recipe(path)
