"""A plan bounds what any run asks for, and equals what a finished run asked for where it is made like it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from small_experiment import small_bank_recipe, small_recipe
from typer.testing import CliRunner

from shotsmith import experiment
from shotsmith.cli import app
from shotsmith.cli.plan import plan_table
from shotsmith.completions.store import Store
from shotsmith.errors import InputError
from shotsmith.experiment.parts import Parts
from shotsmith.planning.bounds import Part, bounds
from shotsmith.planning.measured import measured_in
from shotsmith.planning.plan import Plan, Speed, make_plan
from shotsmith.planning.sizes import Sizes, assumed_sizes, read_sizes
from shotsmith.progress import Silent
from shotsmith.recipe import Recipe, parse_recipe
from shotsmith.runs import Run

ASSUMED = ["train=9009", "test=5046"]

Changes = dict[str, Any]


def changed(recipe: Recipe, changes: Changes) -> Recipe:
    """The recipe with other settings; those of a section are merged into it."""
    value = recipe.model_dump(mode="json")
    for name, change in changes.items():
        merged = isinstance(change, dict) and isinstance(value[name], dict)
        value[name] = {**value[name], **change} if merged else change
    return parse_recipe(value)


def most(recipe: Recipe, sizes: Sizes | None = None) -> dict[Part, float]:
    """The bound on calls, by part."""
    found: dict[Part, float] = {}
    for each in bounds(recipe, sizes or assumed_sizes(recipe, ASSUMED)):
        found[each.part] = found.get(each.part, 0.0) + each.calls
    return found


@pytest.fixture(scope="module")
def sizes(recipe: Recipe) -> Sizes:
    return read_sizes(recipe)


NOTHING = {"epochs": 0}
KINDS: dict[str, tuple[Callable[[], Recipe], Changes]] = {
    "groups over a bank, which are drawn again": (
        small_bank_recipe,
        {"supervised": NOTHING, "rce": NOTHING, "grpo": {"epochs": 1, "steps_per_epoch": 1}},
    ),
    "a policy that stops, with two seeds": (
        small_bank_recipe,
        {
            "seeds": [0, 1],
            "policy": {"length": "stop", "start": "random"},
            "supervised": NOTHING,
            "rce": NOTHING,
            "grpo": {"epochs": 1, "steps_per_epoch": 0, "curriculum": {"kind": "continuous", "epochs": 1}},
        },
    ),
    "a curriculum, gains in log-probability, beam search, no oracle": (
        small_recipe,
        {
            "supervised": {"epochs": 1},
            "rce": NOTHING,
            "rollouts": {"beam": 2},
            "reward": {"log_prob_gain": 1.0},
            "grpo": {"epochs": 2, "steps_per_epoch": 0, "curriculum": {"kind": "staged", "epochs": 1}},
            "evaluation": {"oracle_tries": 0, "beam_width": 1, "controls": ["blank_image", "shuffled_order"]},
        },
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(KINDS))
def test_no_part_of_a_run_asks_for_more_than_its_bound(kind: str, tmp_path: Path) -> None:
    make, changes = KINDS[kind]
    recipe = changed(make(), changes)
    run = Run.create(tmp_path / "run", recipe)
    experiment.run(recipe, run, Silent())
    assert_bounded(run)


def test_no_part_of_a_run_with_every_phase_asks_for_more_than_its_bound(finished: Run) -> None:
    assert_bounded(finished)


def assert_bounded(run: Run) -> None:
    sizes = read_sizes(run.recipe)
    plan = make_plan(run.recipe, sizes)
    for part, share in measured_in(run, bounds(run.recipe, sizes)).shares.items():
        assert 0 <= share <= 1, part
    for row in run.stages():
        total = plan.total(row["name"]).most
        assert row["vlm_calls"] + row["cache_hits"] <= total.requests, row["name"]
        assert row["vlm_calls"] <= total.calls, row["name"]


def test_beam_search_and_validation_are_bounded_exactly(recipe: Recipe, finished: Run, sizes: Sizes) -> None:
    asked = {row["name"]: row["vlm_calls"] + row["cache_hits"] for row in finished.stages()}
    plan = make_plan(recipe, sizes)
    assert plan.total("beam").most.requests == asked["beam"]
    parts = {part.part: part.most.requests for part in plan.parts}
    for phase in ("supervised", "rce"):
        real = sum(row["vlm/requests"] for row in finished.epochs() if row["phase"] == phase)
        assert parts[f"{phase} validation"] == real


def test_a_plan_like_a_run_of_its_recipe_expects_what_the_run_asked_for_and_took(
    recipe: Recipe, finished: Run, sizes: Sizes
) -> None:
    measured = measured_in(finished, bounds(recipe, sizes))
    plan = make_plan(recipe, sizes, measured)
    for row in finished.stages():
        if row["vlm_calls"]:
            expected = plan.total(row["name"]).expected
            assert expected is not None and expected.calls == pytest.approx(row["vlm_calls"])
            assert expected.device_hours == pytest.approx(row["seconds"] / 3600)
    with Store.open(finished.completions) as store:
        assert plan.total().expected.calls == pytest.approx(store.count())  # type: ignore[union-attr]


def test_a_plan_like_a_run_of_another_recipe_scales_with_the_bounds(
    recipe: Recipe, finished: Run, sizes: Sizes
) -> None:
    measured = measured_in(finished, bounds(recipe, sizes))
    longer = changed(recipe, {"grpo": {"epochs": 6}})
    once, twice = (groups_of(make_plan(one, sizes, measured)) for one in (recipe, longer))
    assert twice == pytest.approx(2 * once)


def groups_of(plan: Plan) -> float:
    (part,) = (part for part in plan.parts if part.part == "GRPO groups")
    assert part.expected is not None and part.expected.calls is not None
    return part.expected.calls


def test_what_was_not_measured_is_expected_at_its_bound(recipe: Recipe, finished: Run, sizes: Sizes) -> None:
    measured = measured_in(finished, bounds(recipe, sizes))
    for part in make_plan(recipe, sizes, replace(measured, shares={})).parts:
        assert part.expected is not None and part.expected.calls == part.most.calls


def test_without_a_measurement_there_is_no_estimate(recipe: Recipe, sizes: Sizes) -> None:
    plan = make_plan(recipe, sizes)
    assert plan.estimated_from is None and plan.total().expected is None
    assert {value["expected"] for value in plan.total().as_json().values() if isinstance(value, dict)} == {None}


def test_a_run_that_asked_for_nothing_measures_nothing(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no stage of it has asked the VLM"):
        measured_in(Run.create(tmp_path / "run", recipe), [])


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"supervised": NOTHING}, ("beam", "search")),
        ({"grpo": {"sampling": {"source": "recorded"}}}, ("train", "GRPO groups")),
        ({"rce": NOTHING}, ("train", "rollouts")),
        ({"evaluation": {"oracle_tries": 0}}, ("evaluate", "oracle")),
        ({"evaluation": {"fixed_tries": 0}}, ("evaluate", "fixed on validation")),
    ],
)
def test_what_a_recipe_leaves_out_is_no_part_of_its_plan(recipe: Recipe, changes: Changes, part: Part) -> None:
    assert part in most(recipe) and part not in most(changed(recipe, changes))


@pytest.mark.parametrize(
    ("changes", "part", "factor"),
    [
        ({"grpo": {"advantage": {"zero_variance": "keep"}}}, ("train", "GRPO groups"), 1 / 4),
        ({"grpo": {"advantage": {"max_resamples": 1}}}, ("train", "GRPO groups"), 2 / 4),
        ({"seeds": [0, 1, 2]}, ("train", "GRPO groups"), 3),
        ({"evaluation": {"oracle_tries": 3}}, ("evaluate", "oracle"), 1 / 2),
        ({"pools": None}, ("evaluate", "free on validation"), None),
    ],
)
def test_a_bound_follows_the_settings_it_depends_on(
    recipe: Recipe, changes: Changes, part: Part, factor: float | None
) -> None:
    before, after = most(recipe)[part], most(changed(recipe, changes))[part]
    assert after == factor * before if factor is not None else after < before


def test_the_start_is_validated_once_per_phase_and_asked_for_in_the_first(recipe: Recipe) -> None:
    greedy = recipe.data.val_queries * len(recipe.evaluation.shots)
    for start, asked in (("similarity", (3, 1, 3)), ("random", (2, 1, 3))):
        found = most(changed(recipe, {"policy": {"start": start}}))
        assert asked == tuple(found["train", f"{phase} validation"] / greedy for phase in ("supervised", "rce", "grpo"))


def test_defaults_that_ask_for_more_than_there_is_mean_all(recipe: Recipe) -> None:
    value = recipe.model_dump(mode="json", exclude_unset=True)
    for name in ("train_queries", "val_queries", "test_queries"):
        value["data"].pop(name)
    whole = parse_recipe(value)
    found = most(whole, assumed_sizes(whole, ["train=100", "test=30"]))
    assert found["evaluate", "oracle"] == 30 * recipe.evaluation.oracle_tries * 2
    with pytest.raises(InputError, match=r"data.test_queries: 31 queries are wanted"):
        assumed_sizes(changed(recipe, {"data": {"test_queries": 31}}), ["train=1000", "test=30"])


def test_without_embeddings_of_images_no_selector_by_image_is_counted(recipe: Recipe, tmp_path: Path) -> None:
    np.savez(tmp_path / "both.npz", ids=[1], embeddings=np.ones((1, 64)))
    texts = {"precomputed": {"texts": str(tmp_path / "both.npz")}}
    free = [most(changed(recipe, change))["evaluate", "selectors"] for change in ({}, {"encoder": texts})]
    assert free[1] < free[0]


@pytest.mark.parametrize("bound", [{}, {"max_images": 2}, {"max_images": 1, "over_budget": "show_without_image"}])
def test_tokens_are_those_of_the_prompts_that_a_run_sends(recipe: Recipe, tmp_path: Path, bound: Changes) -> None:
    bounded = changed(recipe, {"vlm": {"prompt": bound}})
    tokens = read_sizes(bounded).tokens
    assert tokens is not None and len(tokens) == bounded.longest + 1
    with Parts(bounded, Run.create(tmp_path / "run", bounded), Silent()) as parts:
        tasks = parts.tasks("train")
        requests = [tasks.request(row, (0, 5)) for row in range(len(tasks.queries))]
        real = sum(map(parts.collector.vlm.length, requests)) / len(requests)
    assert sum(tokens[2]) == pytest.approx(real, rel=0.05)


def test_a_server_without_a_processor_leaves_tokens_unknown(recipe: Recipe) -> None:
    server = {"path": "some-model", "server": {"url": "http://127.0.0.1:9/v1", "kind": "vllm"}}
    there = changed(recipe, {"vlm": server})
    found = read_sizes(there)
    plan = make_plan(there, found, speed=Speed.given(100.0, None)).total()
    assert found.tokens is None and plan.most.text_tokens is None and plan.most.calls
    assert plan.most.device_hours == pytest.approx(plan.most.calls / 360_000)
    assert make_plan(there, found, speed=Speed.given(None, 100.0)).total().most.device_hours is None


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["train=10"], "test is missing"),
        (["train=ten", "test=1"], "'ten' is no number"),
        (["train=10", "test=-1"], "'-1' is no size"),
        (["train=10.5", "test=1"], "'10.5' is no size"),
        (["rows=10"], "nothing is called 'rows'"),
        (["train=10", "test=10"], "data.train_queries: 24 queries are wanted"),
    ],
)
def test_assumptions_that_cannot_be_are_refused(recipe: Recipe, settings: Sequence[str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        assumed_sizes(recipe, settings)


@pytest.mark.parametrize(("prompts", "tokens"), [(1.0, 1.0), (0.0, None), (None, float("inf"))])
def test_speeds_that_cannot_be_are_refused(prompts: float | None, tokens: float | None) -> None:
    with pytest.raises(InputError):
        Speed.given(prompts, tokens)


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_and_shows_every_part(recipe: Recipe, finished: Run, sizes: Sizes, width: int) -> None:
    made = make_plan(recipe, sizes, measured_in(finished, bounds(recipe, sizes)))
    console = Console(file=io.StringIO(), width=width)
    console.print(plan_table(made, width))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert all(len(line) <= width and "…" not in line for line in lines)
    assert {part.part for part in made.parts} - {"search"} <= {line.strip().split("  ")[0] for line in lines[1:]}


def call(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["plan", *arguments], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    return " ".join(done.stdout.split())


def test_the_command_calls_an_estimate_an_estimate(recipe: Recipe, finished: Run, sizes: Sizes) -> None:
    printed = json.loads(call(str(finished.recipe_file), "--prompts-per-second", "50", "--json"))
    assert printed["total"] == make_plan(recipe, sizes, speed=Speed.given(50.0, None)).total().as_json()
    bound = call(str(finished.recipe_file))
    assert "Estimate" not in bound and "cannot be more than" in bound
    like = call(str(finished.recipe_file), "--like", str(finished.folder))
    assert "Estimate" in like and f"are an estimate from the run {finished.folder}" in like


def test_a_plan_needs_no_data_where_sizes_are_given(tmp_path: Path) -> None:
    recipe = tmp_path / "far.yaml"
    recipe.write_text(
        "data: {okvqa: {train_questions: a.json, train_images: a, test_questions: b.json, test_images: b}}\n"
        "vlm: {path: no/where}\nencoder: {path: no/where}\n"
    )
    assert "cannot be more than" in call(str(recipe), "--assume", "train=9009", "--assume", "test=5046")
    assert CliRunner().invoke(app, ["plan", str(recipe)]).exit_code == 2
