"""The documents tell the truth: recipes load, commands exist, examples run, settings are real."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
import yaml
from plain_vlm import CHAT_LEADS
from pydantic import BaseModel
from small_families import FAMILIES
from small_matching import Matching, small_policy, small_run
from typer.main import get_command

from shotsmith.cli import app
from shotsmith.embeddings.load import BY_FILE, BY_MODEL_TYPE
from shotsmith.recipe import (
    PRESETS,
    EncoderSettings,
    GrpoSettings,
    OptimizerSettings,
    PolicySettings,
    RceSettings,
    Recipe,
    RewardSettings,
    RolloutSettings,
    SupervisedSettings,
    VLMSettings,
    load_recipe,
)
from shotsmith.recipe.cluster import ClusterSettings, RaySettings
from shotsmith.recipe.models import DECODING, Layout, PromptSettings, VisionCacheSettings
from shotsmith.recipe.policy import GAINS, IndexSettings
from shotsmith.recipe.servers import SERVER_KINDS
from shotsmith.records import Rollout
from shotsmith.training.groups import from_beams, from_rollouts
from shotsmith.training.grpo import train_grpo
from shotsmith.training.imitation import SupervisedData, train_rce, train_supervised
from shotsmith.training.validation import Validation
from shotsmith.vlms.prompting.template import TEMPLATES

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TRAINING, POLICIES, SCHEMES = (ROOT / "docs" / f"{name}.md" for name in ("training", "policies", "schemes"))
ENCODERS = ROOT / "docs" / "encoders.md"
VLMS = ROOT / "docs" / "vlms.md"
SCALE = ROOT / "docs" / "scale.md"
SERVERS = ROOT / "docs" / "servers.md"
NEED_A_RUN = {"scale.md", "serving.md", "tutorial.md"}
"""Pages whose examples are run in tests/library (test_milvus.py, test_docs_examples.py) and tests/test_tutorial.py."""
OPTIONAL = {"dspy", "langchain_core"}
"""Libraries that examples may need and that need not be installed."""
YOURS = {"mine.yaml", "NAME.yaml"}
"""Recipes that the reader is to write."""
VERBS = set(get_command(app).list_commands(None))  # type: ignore[attr-defined]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.S)


def section(page: Path, heading: str) -> str:
    """What stands under a heading, up to the next."""
    text = page.read_text(encoding="utf-8")
    assert text.count(f"\n{heading}\n") == 1, heading
    return re.split(r"\n#+ ", text.split(f"\n{heading}\n")[1])[0]


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the tables under a heading, without their first two lines."""
    lines = [line for line in section(page, heading).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines][2:]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_recipes_in_the_documents_are_valid(page: Path, tmp_path: Path) -> None:
    for block in blocks(page, "yaml"):
        value = yaml.safe_load(block)
        if "base" in value:
            value["base"] = str(ROOT / "recipes" / value["base"])
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(value), encoding="utf-8")
        load_recipe(tmp_path / "recipe.yaml")


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in NEED_A_RUN], ids=lambda page: page.name)
def test_examples_in_the_documents_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOTSMITH_CACHE", str(tmp_path))
    missing = {name for name in OPTIONAL if importlib.util.find_spec(name) is None}
    left_out = set()
    for block in blocks(page, "python"):
        if needed := missing & set(re.findall(r"^(?:import|from) (\w+)", block, re.M)):
            left_out |= needed
        else:
            exec(compile(block, str(page), "exec"), {"__name__": "example"})
    if left_out:
        pytest.skip(f"the examples that need {', '.join(sorted(left_out))} were left out: not installed")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_documents_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for verb in re.findall(r"(?:`|bin/|\$ )shotsmith ([a-z]+)", text):
        assert verb in VERBS, verb
    for target in re.findall(r"^make ([a-z-]+)", "\n".join(blocks(page, "sh")), re.M):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M), target
    for module in re.findall(r"python -m (shotsmith[.\w]*)", text):
        assert (ROOT / "src" / (module.replace(".", "/") + ".py")).exists(), module
    for script in re.findall(r"python (benchmarks/\w+\.py)", text):
        assert (ROOT / script).exists(), script
    for recipe in re.findall(r"recipes/[\w./]+\.yaml", text):
        assert (ROOT / recipe).exists() or Path(recipe).name in YOURS, recipe
    for override in re.findall(r"--set ([\w.]+=[^\s`，]+)", text):
        load_recipe(ROOT / "recipes" / "grpo.yaml", [override])


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "README.zh-CN.md"], ids=lambda page: page.name)
def test_the_readme_shows_a_recipe_and_both_commands(page: Path) -> None:
    assert "data" in yaml.safe_load(blocks(page, "yaml")[0])
    assert {"make demo", "make test"} <= {line.split("#")[0].strip() for line in blocks(page, "sh")[0].splitlines()}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_named_with_their_section_exist(page: Path) -> None:
    sections = "|".join(Recipe.model_fields)
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for name in re.findall(rf"`((?:{sections})(?:\.[a-z_]\w*)+)(?=[`:=])", text):
        if name.rsplit(".", 1)[-1] not in {"py", "yaml", "json"}:
            assert is_setting(Recipe, name.split(".")), name


def is_setting(model: type[BaseModel] | None, path: list[str]) -> bool:
    if model is None or path[0] not in model.model_fields:
        return False
    return len(path) == 1 or is_setting(section_of(model, path[0]), path[1:])


def section_of(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    annotation = model.model_fields[name].annotation
    candidates = get_args(annotation) or (annotation,)
    return next((each for each in candidates if isinstance(each, type) and issubclass(each, BaseModel)), None)


def own(model: type[BaseModel]) -> dict[str, object]:
    """Fields a model declares itself, with their defaults, but for sections inside it."""
    return {
        name: model.model_fields[name].default
        for name in inspect.get_annotations(model)
        if name in model.model_fields and not isinstance(model.model_fields[name].default, BaseModel)
    }


def tables_of_settings() -> Iterator[tuple[Path, str, type[BaseModel], set[str]]]:
    """Page, heading, the settings its table is of, and those that have another table."""
    yield TRAINING, "### All three phases", OptimizerSettings, {"epochs"}
    sections: dict[str, type[BaseModel]] = {
        "supervised": SupervisedSettings,
        "rollouts": RolloutSettings,
        "rce": RceSettings,
        "reward": RewardSettings,
        "grpo": GrpoSettings,
    }
    for name, model in sections.items():
        yield TRAINING, f"### `{name}`", model, set()
    for name, field in GrpoSettings.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield TRAINING, f"### `grpo.{name}`", type(field.default), set()
    yield POLICIES, "### `policy`", PolicySettings, set()
    yield POLICIES, "### `policy.index`", IndexSettings, set()
    yield ENCODERS, "### `encoder`", EncoderSettings, set()
    yield VLMS, "### `vlm`", VLMSettings, {"server", "ray", "backend"}
    yield SCALE, "#### Workers", ClusterSettings, set()
    yield SCALE, "#### `vlm.ray`", RaySettings, set()
    yield VLMS, "### `vlm.prompt`", PromptSettings, set()
    yield VLMS, "### `vlm.vision_cache`", VisionCacheSettings, set()


def named(value: object) -> str:
    """The same in every process, which the order of a set is not."""
    return " ".join(sorted(value)) if isinstance(value, set) else str(value)


@pytest.mark.parametrize(("page", "heading", "model", "elsewhere"), list(tables_of_settings()), ids=named)
def test_the_tables_of_settings_name_all_of_them_with_their_defaults(
    page: Path, heading: str, model: type[BaseModel], elsewhere: set[str]
) -> None:
    documented = {quoted(row[0])[0]: yaml.safe_load(quoted(row[1])[0]) for row in rows(page, heading)}
    expected = {name: list(value) if isinstance(value, tuple) else value for name, value in own(model).items()}
    assert documented == {name: value for name, value in expected.items() if name not in elsewhere}


@pytest.mark.parametrize(("page", "heading", "model", "_elsewhere"), list(tables_of_settings()), ids=named)
def test_every_choice_of_a_setting_is_named(
    page: Path, heading: str, model: type[BaseModel], _elsewhere: set[str]
) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    words = {word for code in quoted(text) for word in re.findall(r"\w+", code)}
    for name, field in model.model_fields.items():
        if get_origin(field.annotation) is Literal:
            assert set(get_args(field.annotation)) <= words, name


def test_every_gain_and_every_kind_of_server_is_on_its_page() -> None:
    for page, names in ((POLICIES, GAINS), (SERVERS, SERVER_KINDS)):
        words = {word for code in quoted(page.read_text(encoding="utf-8")) for word in re.findall(r"\w+", code)}
        assert set(names) <= words


def test_every_family_of_encoders_is_on_the_page() -> None:
    families = {name for row in rows(ENCODERS, "## Families") for name in quoted(row[1])}
    assert families == BY_MODEL_TYPE.keys() | BY_FILE.keys()


def test_the_table_of_presets_is_that_of_the_code() -> None:
    shared = yaml.safe_load("\n".join(code for code in quoted(section(POLICIES, "## Presets")) if is_network(code)))
    for (name, settings, _), (preset, expected) in zip(rows(POLICIES, "## Presets"), PRESETS.items(), strict=True):
        assert name == preset
        said = yaml.safe_load("\n".join(quoted(settings)))
        assert said == {name: expected[name] for name in said}
        assert PolicySettings(**(shared | said)) == PolicySettings.model_validate({"preset": preset})


def is_network(code: str) -> bool:
    """Whether it is one of the settings that all presets have."""
    sizes = ("hidden_size", "heads", "projections", "dropout", "attention_dropout", "temperature")
    return ": " in code and code.split(": ")[0] in ("start", "order", "feed_forward", *sizes)


def test_the_table_of_decodings_is_that_of_the_code() -> None:
    said = {quoted(row[0])[0]: yaml.safe_load("\n".join(quoted(row[1]))) for row in rows(VLMS, "## Decoding")}
    assert said == {name: DECODING[name] for name in said}
    assert said.keys() | {"predecessor"} == DECODING.keys()  # which is on the page of its schemes


def test_every_template_and_every_family_that_is_tested_is_on_the_page() -> None:
    prompts, families = rows(VLMS, "## Prompts"), rows(VLMS, "## Families")
    named = {quoted(row[0])[0] for row in prompts if row[0].startswith("`")}
    layouts = set(get_args(Layout))
    assert named - layouts == {path.stem for path in TEMPLATES.glob("*.yaml")}
    assert layouts <= named
    assert {quoted(row[1])[0] for row in families} == FAMILIES.keys()
    assert {quoted(row[2])[0] for row in families} <= named
    assert {quoted(row[1])[0]: " " * (row[3] == "a space") for row in families} == {
        family: CHAT_LEADS.get(family, "") for family in FAMILIES
    }


def schemes() -> Iterator[tuple[str, str]]:
    """Every scheme, with the settings the page says it has."""
    shared = quoted("".join(row[1] for row in rows(SCHEMES, "## What they share")))
    for name, _, settings in rows(SCHEMES, "## What each changes"):
        yield from ((name, setting) for setting in quoted(settings))
    yield from (("6", setting) for setting in shared)


@pytest.mark.parametrize(("scheme", "setting"), list(schemes()))
def test_the_schemes_have_the_settings_that_are_said_of_them(scheme: str, setting: str) -> None:
    recipe = ROOT / "recipes" / "predecessor" / f"scheme{scheme}.yaml"
    key, value = setting.split(": ", 1)
    assert load_recipe(recipe, [f"{key}={value}"]) == load_recipe(recipe)


def test_every_scheme_is_on_the_page() -> None:
    recipes = {path.stem.removeprefix("scheme") for path in (ROOT / "recipes" / "predecessor").glob("scheme*.yaml")}
    assert {row[0] for row in rows(SCHEMES, "## What each changes")} == recipes


@pytest.mark.parametrize(("page", "name"), [(POLICIES, "policies"), (SCHEMES, "schemes")])
def test_the_results_have_their_place(page: Path, name: str) -> None:
    assert re.search(rf"<!-- {name} table -->\n.*?<!-- end -->", page.read_text(encoding="utf-8"), re.S)


def logged_metrics(folder: Path) -> set[str]:
    """The names in the rows of a small run of every phase."""
    task = Matching.draw(30, seed=0)
    rollouts = from_rollouts(Rollout(q, (p,), task.reward(q, (p,))) for q in range(30) for p in range(4))
    validation = Validation(task.inputs, rollouts, task.validation().answered)
    beams = from_beams({q: [(q % 5, 6), (7, q % 3)] for q in range(30)})
    supervised, rce = SupervisedSettings(epochs=1), RceSettings(epochs=1)
    grpo = GrpoSettings(epochs=1, steps_per_epoch=2, queries_per_step=6, num_generations=4, shots=(1, 2))
    policy, data = small_policy(), SupervisedData(task.inputs, beams)
    logged = [
        *train_supervised(policy, data, validation, supervised, small_run(folder, "supervised")),
        *train_rce(policy, task.inputs, rollouts, validation, rce, small_run(folder, "rce")),
        *train_grpo(policy, task.inputs, task.score, validation, grpo, small_run(folder, "grpo")),
    ]
    return {name for row in logged for name in row}


def test_the_glossary_explains_every_logged_metric_and_no_other(tmp_path: Path) -> None:
    explained = [name for row in rows(TRAINING, "## Every metric") for name in quoted(row[0])]
    # The figures that need a VLM are logged by the experiment.
    source = (ROOT / "src" / "shotsmith" / "experiment" / "material.py").read_text(encoding="utf-8")
    answered = set(re.findall(r'"((?:val|vlm)/\w+)"', source)) - {"rollouts/val"} | {"val/METRIC"}
    assert 'f"val/{tasks.measure.name}"' in source
    # Those of shortlists are logged where queries choose from a bank.
    source = (ROOT / "src" / "shotsmith" / "policies" / "shortlists.py").read_text(encoding="utf-8")
    of_a_bank = set(re.findall(r'"(shortlist/\w+)"', source))
    assert sorted(explained) == sorted(logged_metrics(tmp_path) | answered | of_a_bank)
