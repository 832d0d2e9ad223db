from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from shotsmith.errors import RecipeError
from shotsmith.recipe import PRESETS, PolicySettings, Recipe, dump_recipe, load_recipe, parse_recipe

MINIMAL = {"data": {"world": {}}}
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


def keys_of(model: type[BaseModel], place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key, sections included."""
    for name, field in model.model_fields.items():
        yield (*place, name)
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from keys_of(part, (*place, name))


NESTED = [keys for keys in keys_of(Recipe) if len(keys) > 1]


@pytest.mark.parametrize("keys", NESTED, ids=".".join)
def test_an_unknown_key_names_the_nearest_known_one(keys: tuple[str, ...]):
    *sections, key = keys
    typo = key[:-1] + "q"
    value: dict = {typo: 1}
    for section in reversed(sections):
        value = {section: value}
    with pytest.raises(RecipeError) as caught:
        parse_recipe(MINIMAL | value)
    place = ".".join(sections)
    assert f"unknown key '{place}.{typo}' (did you mean '{key}'?)" in str(caught.value)


def test_unknown_sections_and_keys_three_levels_down_are_named_too():
    with pytest.raises(RecipeError, match=r"unknown key 'gpro' \(did you mean 'grpo'\?\)"):
        parse_recipe({**MINIMAL, "gpro": {}})
    with pytest.raises(RecipeError, match=r"unknown key 'grpo.kl.controler' \(did you mean 'controller'\?\)"):
        parse_recipe({**MINIMAL, "grpo": {"kl": {"controler": "fixed"}}})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"grpo": {"lr": 1}}, "'grpo.lr' (did you mean 'learning_rate'?)"),
        ({"grpo": {"rate": 1}}, "'grpo.rate' (did you mean 'learning_rate'?)"),
        ({"version": 2}, "unknown key 'version' (there are name, seeds, "),
        ({"grpo": {"kl": {"q": 1}}}, "unknown key 'grpo.kl.q' (there are estimator, "),
    ],
    ids=str,
)
def test_a_key_like_no_other_gets_no_far_fetched_suggestion(value: dict, said: str):
    with pytest.raises(RecipeError) as caught:
        parse_recipe(MINIMAL | value)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("typo", "key"), [({"policy": {"presets": "v3"}}, "preset"), ({"bas": "demo.yaml"}, "base")], ids=["preset", "base"]
)
def test_keys_that_stand_for_settings_are_known_too(typo: dict, key: str):
    with pytest.raises(RecipeError, match=rf"did you mean '{key}'\?"):
        parse_recipe(MINIMAL | typo)


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
        ({"data": {}}, "exactly one of 'world', 'okvqa', 'table', 'captions', 'texts', 'hub' and 'reader'"),
        ({}, "data: Field required"),
        ({**MINIMAL, "seeds": [1, 2, 1]}, "seeds must differ"),
        ({**MINIMAL, "beam": {"queries": 801}, "supervised": {"epochs": 1}}, "beam.queries exceeds data.train_queries"),
        ({**MINIMAL, "pools": {"size": 3}}, "4 shots cannot be taken from pools of 3"),
        ({**MINIMAL, "policy": {"hidden_size": 10, "heads": 3}}, "heads .3. must divide hidden_size .10."),
        (
            {**MINIMAL, "reward": {"vqa_accuracy": 0, "answer_probability": 0, "answer_rouge_l": 0}},
            "at least one reward weight",
        ),
        ({**MINIMAL, "grpo": {"learning_rate": float("inf")}}, "grpo.learning_rate"),
        ({**MINIMAL, "grpo": {"beta": float("nan")}}, "grpo.beta"),
        ({**MINIMAL, "grpo": {"epochs": True}}, "grpo.epochs"),
        ({**MINIMAL, "evaluation": {"shots": []}}, "evaluation.shots"),
        ({**MINIMAL, "evaluation": {"shots": [0]}}, "evaluation.shots.0"),
        ({**MINIMAL, "data": {"world": {"seed": -1}}}, "data.world.seed"),
        ({**MINIMAL, "name": "../elsewhere"}, "name"),
        ({**MINIMAL, "name": ".."}, "name"),
        ({**MINIMAL, "policy": {"gains": ["mmr", "mmr"]}}, "a gain can be added once"),
        ({**MINIMAL, "policy": {"gains": ["novelty"]}}, "policy.gains.0"),
        ({**MINIMAL, "policy": {"decoding": "parallel"}}, "blind to earlier choices"),
        ({**MINIMAL, "policy": {"top_m": 1}}, "policy.top_m"),
        ({**MINIMAL, "reward": {"mode": "best"}}, "reward.mode"),
        ({**MINIMAL, "grpo": {"dual_clip": 3.0}}, "grpo: 'dual_clip' is no setting any more: .*null"),
        ({**MINIMAL, "grpo": {"num_generations": 1}}, "grpo.num_generations"),
        ({**MINIMAL, "grpo": {"curriculum": {"share": 0.0}}}, "begins with a share above 0"),
        ({**MINIMAL, "grpo": {"curriculum": {"epochs": 0}}}, "grpo.curriculum.epochs"),
        ({**MINIMAL, "grpo": {"sampling": {"keep_top": [1]}}}, "grpo.sampling.keep_top.0"),
        ({**MINIMAL, "grpo": {"sampling": {"keep_top": [3], "distinct": True}}}, "keep_top cuts them"),
        ({**MINIMAL, "grpo": {"sampling": {"temperature": 0.0}}}, "grpo.sampling.temperature"),
        ({**MINIMAL, "grpo": {"advantage": {"estimator": "z"}}}, "grpo.advantage.estimator"),
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


@pytest.mark.parametrize(
    "override",
    [
        'vlm.api_key="hunter2: [',
        "vlm.api_key=*hunter2",
        "vlm.api_key=!hunter2",
        "name={hunter2: 1, hunter2: 2}",
        "vlm.server.url=[http://someone:hunter2@host/v1",
        "vlm.server.url=http://someone:hunter2@host:port/v1",
        "vlm.server.url=ftp://someone:hunter2@host/v1",
        "vlm.server={url: 'http://h', 'https://someone:hunter2@host': 1}",
        "vlm.server={url: 'http://h', api_key_env: 'sk-hunter2'}",
        "grpo.beta=hunter2",
        "data.metric=hunter2",
        "seeds=hunter2",
        "name.first=hunter2",
        "hunter2",
        "https://someone:hunter2@host/v1?a=b",
        "https://someone:hunter2@host/v1",
    ],
)
def test_no_message_repeats_the_value_of_an_override(recipe_file, override: str):
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe_file("data: {world: {}}\nname: demo"), ["grpo.beta=0.1", override])
    assert "hunter2" not in str(caught.value) and "someone" not in str(caught.value)
    assert any(told in str(caught.value) for told in ("override 2", override.partition("=")[0], "https://***@host"))


# Presets


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_stands_for_its_settings_with_others_on_top(name: str):
    plain = parse_recipe({**MINIMAL, "policy": {"preset": name}}).policy
    assert plain == PolicySettings(preset=name)
    found = plain.model_dump(mode="json")
    assert {key: found[key] for key in PRESETS[name]} == PRESETS[name]
    assert (plain.hidden_size, plain.heads, plain.dropout, plain.attention_dropout) == (256, 1, 0.5, 0.1)
    assert (plain.projections, plain.temperature) == ("random", 0.1)
    changed = PolicySettings(preset=name, hidden_size=64, dropout=0.0)
    assert changed == plain.model_copy(update={"hidden_size": 64, "dropout": 0.0})


def test_a_setting_beside_a_preset_wins_over_the_presets_own():
    assert PolicySettings(preset="v4-2").memory == "gru"
    assert PolicySettings(preset="v4-2", memory="none").memory == "none"


def test_all_presets_but_those_that_name_a_training_differ():
    settings = {name: PolicySettings(preset=name) for name in PRESETS}
    same = [name for name in settings if settings[name] == settings["v3"]]
    assert same == ["v2", "v3", "v4-1"]
    assert len(set(map(repr, settings.values()))) == len(PRESETS) - 2


@pytest.mark.parametrize("name", ["v5", "V3", 3, None, ["v3"]])
def test_an_unknown_preset_lists_those_that_there_are(name: object):
    with pytest.raises(RecipeError) as caught:
        parse_recipe({**MINIMAL, "policy": {"preset": name}, "seeds": []})
    message = str(caught.value)
    assert f"policy: no preset is called '{name}'; the presets are v0, v1, v2, v3, v4-1" in message
    assert "seeds:" in message


def test_a_dumped_preset_is_written_out(recipe_file):
    recipe = load_recipe(recipe_file("data: {world: {}}"), ["policy.preset=v4-9", "policy.top_m=8"])
    written = yaml.safe_load(dump_recipe(recipe))["policy"]
    assert "preset" not in written
    assert (written["decoding"], written["top_m"], written["hidden_size"]) == ("two_stage", 8, 256)
    assert parse_recipe(yaml.safe_load(dump_recipe(recipe))) == recipe


# What a recipe sets itself


def test_a_field_is_set_where_the_recipe_says_it_even_as_its_default(recipe_file):
    recipe = load_recipe(recipe_file("data: {world: {}, val_queries: 200}"))
    assert recipe.data.is_set("val_queries")
    assert not recipe.data.is_set("test_queries")
    assert not recipe.beam.is_set("queries")


def test_in_a_resolved_recipe_what_differs_from_its_default_is_set(recipe_file):
    recipe = load_recipe(recipe_file("data: {world: {}, val_queries: 100}"))
    resolved = load_recipe(recipe_file(dump_recipe(recipe)))
    assert resolved.data.model_fields_set == set(type(recipe.data).model_fields)
    assert resolved.data.is_set("val_queries")
    assert not resolved.data.is_set("test_queries")


def test_the_default_of_beam_queries_follows_the_training_queries():
    assert parse_recipe({"data": {"world": {}, "train_queries": 9}}).beam.queries == 200
    with pytest.raises(RecipeError, match=r"beam.queries exceeds data.train_queries"):
        parse_recipe({"data": {"world": {}, "train_queries": 9}, "beam": {"queries": 10}, "supervised": {"epochs": 1}})


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


OPENAI = {"server": {"url": "http://localhost:8000/v1"}}
WITHOUT = {"supervised": {"epochs": 0}, "reward": {"answer_probability": 0}}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"supervised": {"epochs": 3}}, "beam data"),
        ({"reward": {"answer_probability": 1}}, "the reward"),
        ({"reward": {"mode": "legacy"}}, "the reward"),
        ({"evaluation": {"beam_width": 2}}, "evaluation.beam_width"),
    ],
)
def test_a_server_without_log_probabilities_is_refused_where_they_are_needed(change: dict, named: str):
    parse_recipe({**MINIMAL, **WITHOUT, "vlm": OPENAI})
    with pytest.raises(RecipeError, match=named):
        parse_recipe({**MINIMAL, **WITHOUT, **change, "vlm": OPENAI})
    parse_recipe({**MINIMAL, **WITHOUT, **change, "vlm": {"server": {**OPENAI["server"], "kind": "vllm"}}})
