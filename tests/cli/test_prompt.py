"""`shotsmith prompt`: what an evaluation would send, of a recipe or a run, and no weights loaded for it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from shotsmith.builtin import VLM_PATH
from shotsmith.builtin.processor import load_processor
from shotsmith.cli import app
from shotsmith.experiment.parts import Parts
from shotsmith.progress import Silent
from shotsmith.recipe import load_recipe
from shotsmith.records import Request
from shotsmith.runs import Run
from shotsmith.selectors.training_free import TRAINING_FREE
from shotsmith.vlms.prompting.prompts import messages

RECIPE = {
    "name": "small",
    "data": {
        "world": {"seed": 3, "bank": 30, "train": 12, "val": 6, "test": 8},
        "train_queries": 10,
        "val_queries": 4,
        "test_queries": 5,
    },
    "pools": {"size": 8},
    "beam": {"queries": 2},
}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "small.yaml"
    path.write_text(yaml.safe_dump(RECIPE))
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["prompt", *map(str, arguments)], env={"COLUMNS": "100"})


def told(*arguments: object) -> dict[str, object]:
    result = call(*arguments, "--json", "--ids")
    assert result.exit_code == 0, result.stderr
    value: dict[str, object] = json.loads(result.stdout)
    return value


def sent(recipe: Path, folder: Path, selector: str, shots: int, overrides: Sequence[str] = ()) -> list[Request]:
    """The requests an evaluation makes of this selector on the test split."""
    loaded = load_recipe(recipe, overrides)
    with Parts(loaded, Run.create(folder, loaded), Silent()) as parts:
        parts.make_data()
        tasks = parts.tasks("test")
        sequences = TRAINING_FREE[selector]().select(tasks, shots)
    pairs = zip(tasks.queries, sequences, strict=True)
    return [Request(query, tasks.demonstrations(n, chosen)) for n, (query, chosen) in enumerate(pairs)]


@pytest.mark.parametrize(
    ("selector", "shots", "overrides"),
    [
        ("random", 4, ()),
        ("mixed", 2, ()),
        ("zero_shot", 3, ()),
        ("random", 4, ["pools=null"]),
        ("mixed", 16, ["pools=null"]),
        ("diverse", 2, ["pools=null"]),
    ],
)
def test_it_is_what_an_evaluation_sends(
    recipe: Path, tmp_path: Path, selector: str, shots: int, overrides: Sequence[str]
) -> None:
    request = sent(recipe, tmp_path / "run", selector, shots, overrides)[3]
    assert len(request.demonstrations) == (0 if selector == "zero_shot" else shots)
    changes = [part for override in overrides for part in ("--set", override)]
    shown = told(recipe, "--query", 3, "--shots", shots, "--selector", selector, *changes)
    assert shown["query"] == request.query.id
    assert shown["demonstrations"] == [example.id for example in request.demonstrations]
    processor = load_processor(VLM_PATH)
    chat = messages(request)
    assert shown["text"] == processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    (ids,) = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=True)
    assert shown["ids"] == ids
    assert shown["tokens"] == len(ids)


def test_a_run_is_read_and_left_as_it_is(recipe: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert CliRunner().invoke(app, ["pools", str(recipe), "--out", str(folder), "--quiet"]).exit_code == 0
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    shown = told(folder, "--query", 1, "--selector", "image_similar")
    assert shown["text"] == told(recipe, "--query", 1, "--selector", "image_similar")["text"]
    assert str(folder) in str(shown["images"])
    other = told(folder, "--query", 1, "--set", "pools.seed=5", "--set", "vlm.prompt.layout=multi_turn")
    assert other["demonstrations"] != told(folder, "--query", 1)["demonstrations"]
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_it_reads_well(recipe: Path) -> None:
    result = call(recipe, "--shots", 1, "--set", "vlm.prompt.system=Be [b]brief[/b].")
    assert "<|im_start|>system\nBe [b]brief[/b].<|im_end|>" in result.stdout
    assert "tokens, of which 8 are of images" in result.stdout
    assert result.stdout.count("2 x 2") == 2


def test_the_budget_leaves_out_the_farthest_demonstrations_and_says_so(recipe: Path) -> None:
    arguments = ("--query", 1, "--shots", 6, "--selector", "mixed")
    whole, two = told(recipe, *arguments), told(recipe, *arguments, "--set", "vlm.prompt.max_images=3")
    assert two["demonstrations"] == whole["demonstrations"][4:]  # type: ignore[index]
    assert (whole["left_out"], two["left_out"], two["without_image"]) == (0, 4, 0)
    bare = ("--set", "vlm.prompt.max_images=3", "--set", "vlm.prompt.over_budget=show_without_image")
    shown = told(recipe, *arguments, *bare)
    assert shown["demonstrations"] == whole["demonstrations"]
    assert (shown["left_out"], shown["without_image"], len(shown["images"])) == (0, 4, 3)  # type: ignore[arg-type]
    short = told(recipe, *arguments, "--set", f"vlm.prompt.max_tokens={whole['tokens'] - 1}")  # type: ignore[operator]
    assert short["left_out"] == 1 and short["tokens"] < whole["tokens"]  # type: ignore[operator]
    assert whole["most_tokens"] == 1024 - 5, "the context of the built-in VLM, without the answer"
    assert "The budget left out 4 more" in call(recipe, *arguments, "--set", "vlm.prompt.max_images=3").stdout


def test_more_than_sixteen_demonstrations_are_shown(recipe: Path) -> None:
    assert len(told(recipe, "--shots", 20, "--set", "pools=null")["demonstrations"]) == 20  # type: ignore[arg-type]


def test_a_server_is_shown_its_messages(recipe: Path) -> None:
    served = ["--set", "vlm.server.url=http://x/v1", "--set", "supervised.epochs=0"]
    shown = told(recipe, "--shots", 1, *served, "--set", "reward.answer_probability=0")
    assert [turn["role"] for turn in shown["messages"]] == ["user"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--query", 5], "the test split has the queries 0 to 4"),
        (["--query", -1], "queries 0 to 4"),
        (["--shots", 9], "between 0 and 8"),
        (["--shots", 13, "--set", "pools=null", "--set", "data.world.bank=12"], "between 0 and 12"),
        (["--selector", "oracle"], "random, image_similar"),
        (["--split", "dev"], "train, val, test"),
        (["--set", "vlm.prompt.template=nothing"], "no such template"),
    ],
)
def test_what_is_not_there_is_an_error_that_says_what_is(recipe: Path, arguments: list[object], said: str) -> None:
    result = call(recipe, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
