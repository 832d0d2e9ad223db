"""The plan of a small run says exactly what is wanted where that is known, and nearly what is paid for."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from shotsmith.cli import app
from shotsmith.cli.plan import plan_table
from shotsmith.completions.store import Store
from shotsmith.embeddings.load import embedding_widths
from shotsmith.errors import InputError
from shotsmith.experiment.parts import Parts
from shotsmith.planning import speed
from shotsmith.planning.behaviour import USUAL
from shotsmith.planning.draws import drawn_alike, drawn_at_random, drawn_in_turn
from shotsmith.planning.evaluation import evaluation
from shotsmith.planning.like import corrections_of
from shotsmith.planning.plan import Plan, make_plan
from shotsmith.planning.prompts import STAGES, Prompts
from shotsmith.planning.sizes import Assumed, Sizes, assumed_sizes, read_assumed, readable_splits, sampled_sizes
from shotsmith.planning.stored import bytes_per_completion
from shotsmith.planning.training import Setting
from shotsmith.progress import Silent
from shotsmith.recipe import Recipe, parse_recipe
from shotsmith.records import Request
from shotsmith.runs import Run

SIZES = Assumed(train=9009, test=5046)


def changed(recipe: Recipe, **sections: dict[str, object]) -> Recipe:
    value = recipe.model_dump(mode="json")
    return parse_recipe({**value, **{name: {**value[name], **changes} for name, changes in sections.items()}})


def changed_to(recipe: Recipe, **sections: object) -> Recipe:
    return parse_recipe({**recipe.model_dump(mode="json"), **sections})


def plan_of(recipe: Recipe) -> Plan:
    return make_plan(recipe, assumed_sizes(recipe, SIZES))


def expected(plan: Plan, stage: str, part: str) -> float:
    (found,) = (each for each in plan.parts if (each.stage, each.part) == (stage, part))
    return found.expected.requests


def test_where_options_decide_their_log_probabilities_are_planned_and_no_text(recipe: Recipe):
    texts, options = (prompts_of_evaluation(recipe, options) for options in (0.0, 4.0))
    assert texts and len(texts) == len(options)
    for one, other in zip(texts, options, strict=True):
        assert (one.part, one.calls, one.most) == (other.part, other.calls, other.most)
        assert one.text and not other.text and other.answers == one.answers + 4


def prompts_of_evaluation(recipe: Recipe, options: float) -> list[Prompts]:
    return list(evaluation(Setting(recipe, USUAL, 100, options=options)))


@pytest.fixture(scope="module")
def sizes(recipe: Recipe) -> Sizes:
    with readable_splits(recipe) as splits:
        return sampled_sizes(recipe, splits)


def test_what_the_recipe_decides_is_exact(recipe: Recipe, finished: Run) -> None:
    asked = {row["name"]: row["vlm_calls"] + row["cache_hits"] for row in finished.stages()}
    plan = plan_of(recipe)
    assert plan.total("beam").expected.requests == asked["beam"]
    for phase in ("supervised", "rce"):
        real = sum(row["vlm/requests"] for row in finished.epochs() if row["phase"] == phase)
        assert expected(plan, "train", f"{phase} validation") == real


def test_no_part_pays_for_more_than_the_most(recipe: Recipe, finished: Run, sizes: Sizes) -> None:
    most = {(part.stage, part.part): part.most_calls for part in make_plan(recipe, sizes).parts}
    with Store.open(finished.completions) as store:
        paid = {
            ("train", "validation rollouts"): store.count("rollouts/val"),
            ("train", "rollouts"): store.count("seed-0/rollouts"),
            ("train", "GRPO groups"): store.count("seed-0/grpo/epoch"),
            ("evaluate", "free on validation"): store.count("evaluation/validation"),
            ("evaluate", "fixed on validation"): store.count("evaluation/fixed"),
        }
        for phase in ("supervised", "rce", "grpo"):
            paid["train", f"{phase} validation"] = store.count(f"seed-0/{phase}/validation")
    assert {part: count for part, count in paid.items() if count > most[part]} == {}
    for row in finished.stages():
        if row["vlm_calls"]:
            total = make_plan(recipe, sizes).total(row["name"])
            assert 0.3 * total.most_calls < row["vlm_calls"] <= total.most_calls, row["name"]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pools": None},
        {"pools": None, "seeds": [0, 1]},
        {"evaluation": {"controls": ["shuffled_order", "blank_image"]}},
    ],
)
def test_an_estimate_is_never_above_the_most(recipe: Recipe, changes: dict[str, object], sizes: Sizes) -> None:
    for part in make_plan(parse_recipe({**recipe.model_dump(mode="json"), **changes}), sizes).parts:
        assert part.expected.calls <= part.most_calls * (1 + 1e-9), part


def test_controls_are_planned_for_the_last_phase_and_the_best_free_selector(recipe: Recipe) -> None:
    controlled = changed(recipe, evaluation={"controls": ["blank_image", "shuffled_order"]})
    (part,) = (part for part in plan_of(controlled).parts if part.part == "controls")
    shots, queries = len(recipe.evaluation.shots), recipe.data.test_queries
    assert part.expected.requests == pytest.approx(2 * shots * queries * 2)  # two controls of two selectors
    assert part.expected.calls < part.expected.requests  # an order of one demonstration is its own
    assert not any(part.part == "controls" for part in plan_of(recipe).parts)


def test_without_pools_searches_try_the_nearest_entries_of_the_bank(recipe: Recipe, sizes: Sizes) -> None:
    def calls(**changes: object) -> float:
        value = recipe.model_dump(mode="json") | {"pools": None} | changes
        return make_plan(parse_recipe(value), sizes).total("beam").most_calls

    beam = recipe.beam
    pooled = make_plan(recipe, sizes).total("beam").most_calls
    assert calls(beam={**beam.model_dump(), "candidates": recipe.pools.size}) == pooled
    assert calls(beam={**beam.model_dump(), "candidates": 10_000}) == calls(
        beam={**beam.model_dump(), "candidates": sizes.bank}
    )
    assert not any(part.stage == "pools" for part in plan_of(changed_to(recipe, pools=None)).parts)


def test_grpo_alone_records_no_rollouts(recipe: Recipe) -> None:
    alone = changed(recipe, supervised={"epochs": 0}, rce={"epochs": 0})
    parts = {part.part for part in plan_of(alone).parts if part.stage == "train"}
    assert parts == {"files", "grpo validation", "GRPO groups"}


def test_the_start_is_validated_once_per_phase_and_paid_for_in_the_first(recipe: Recipe) -> None:
    def validation(policy: dict[str, object], phase: str) -> tuple[float, float]:
        (part,) = (p for p in plan_of(changed(recipe, policy=policy)).parts if p.part == f"{phase} validation")
        return part.expected.requests, part.most_calls

    greedy = recipe.data.val_queries * len(recipe.evaluation.shots)
    for phase, epochs, paid in (("supervised", 2, 3), ("rce", 1, 1), ("grpo", 3, 3)):
        assert validation({"start": "similarity"}, phase) == (greedy * (epochs + 1), greedy * paid)
        assert validation({"start": "random"}, phase) == (greedy * epochs, greedy * epochs)


def test_defaults_that_ask_for_more_than_there_is_mean_all(recipe: Recipe) -> None:
    value = recipe.model_dump(mode="json", exclude_unset=True)
    for name in ("train_queries", "val_queries", "test_queries"):
        value["data"].pop(name)
    few = assumed_sizes(parse_recipe(value), Assumed(train=100, test=30))
    assert (
        make_plan(parse_recipe(value), few).total("beam").expected.requests
        == plan_of(recipe).total("beam").expected.requests
    )
    with pytest.raises(InputError, match=r"data.test_queries: 31 queries are wanted"):
        assumed_sizes(changed(recipe, data={"test_queries": 31}), Assumed(train=1000, test=30))


def test_prompt_tokens_are_those_of_the_prompts(recipe: Recipe, finished: Run, sizes: Sizes) -> None:
    with Parts(recipe, finished, Silent()) as parts:
        tasks = parts.tasks("train")
        requests = [Request(query, tasks.demonstrations(row, (0, 5))) for row, query in enumerate(tasks.queries)]
        real = sum(map(parts.collector.vlm.length, requests)) / len(requests)
    query = sizes.queries["train"]
    assert query.text + query.image + 2 * (sizes.text + sizes.image) == pytest.approx(real, rel=0.05)


@pytest.mark.parametrize("over_budget", ["leave_out", "show_without_image"])
def test_a_budget_bounds_the_tokens_of_every_prompt(recipe: Recipe, sizes: Sizes, over_budget: str) -> None:
    query = max(size.text + size.image for size in sizes.queries.values())
    most = round(query + 0.7 * (sizes.text + sizes.image))
    for bound in ({"max_tokens": most}, {"max_images": 1}):
        bounded = make_plan(changed(recipe, vlm={"prompt": {**bound, "over_budget": over_budget}}), sizes)
        for part, whole in zip(bounded.parts, make_plan(recipe, sizes).parts, strict=True):
            text, image, calls = part.expected.text_tokens, part.expected.image_tokens, part.expected.calls
            assert (
                calls == whole.expected.calls
                and text + image <= whole.expected.text_tokens + whole.expected.image_tokens
            )
            if "max_tokens" in bound:
                assert text + image <= calls * most * (1 + 1e-9)
            else:
                assert image <= calls * max(size.image for size in sizes.queries.values()) * (1 + 1e-9)
                assert over_budget == "leave_out" or text == whole.expected.text_tokens


def test_stored_bytes_are_those_of_the_store(recipe: Recipe, finished: Run, sizes: Sizes, tmp_path: Path) -> None:
    """Given the calls of the run, so that only the size of a completion is planned; an empty store has a size too."""
    with Store.open(tmp_path / "empty.sqlite"):
        pass
    empty = (tmp_path / "empty.sqlite").stat().st_size
    made = make_plan(recipe, sizes, corrections=corrections_of(finished, sizes))
    planned = sum(part.expected.stored_bytes for part in made.parts if part.expected.calls)
    assert empty + planned == pytest.approx(finished.completions.stat().st_size, rel=0.1)


def test_embeddings_and_pools_are_as_large_as_planned(recipe: Recipe, finished: Run, sizes: Sizes) -> None:
    made = make_plan(recipe, sizes)
    for stage, folder in (("embed", "embeddings"), ("pools", "pools")):
        files = list((finished.folder / folder).iterdir())
        real = sum(file.stat().st_size for file in files)
        headers = 384 * len(files)
        assert real - headers <= made.total(stage).expected.stored_bytes <= real
    checkpoints = sum(file.stat().st_size for file in finished.folder.glob("seed-*/**/*.safetensors"))
    (written,) = (part for part in made.parts if part.part == "files")
    assert written.expected.stored_bytes == pytest.approx(checkpoints, rel=0.1)


def test_a_finished_run_corrects_the_plan_of_its_own_recipe_to_what_it_paid(
    recipe: Recipe, finished: Run, sizes: Sizes
) -> None:
    made = make_plan(recipe, sizes, speed.of_run(finished), corrections=corrections_of(finished, sizes))
    for row in finished.stages():
        if row["vlm_calls"]:
            total = made.total(row["name"]).expected
            assert total.calls == pytest.approx(row["vlm_calls"])
            assert 3600 * total.device_hours == pytest.approx(row["seconds"])


def test_epochs_and_seeds_multiply_what_they_repeat(recipe: Recipe) -> None:
    once = plan_of(recipe)
    longer = plan_of(changed(recipe, supervised={"epochs": 6}))
    part = ("train", "supervised validation")
    assert expected(longer, *part) == (1 + 6) / (1 + 2) * expected(once, *part)
    seeds = plan_of(parse_recipe({**recipe.model_dump(mode="json"), "seeds": [0, 1, 2]}))
    for part in ("rollouts", "GRPO groups", "grpo validation"):
        assert expected(seeds, "train", part) == pytest.approx(3 * expected(once, "train", part))
    assert seeds.total("train").expected.calls < 3 * once.total("train").expected.calls


@pytest.mark.parametrize(
    ("changes", "stage", "part"),
    [
        ({"supervised": {"epochs": 0}}, "beam", "search"),
        ({"grpo": {"sampling": {"source": "recorded"}}}, "train", "GRPO groups"),
        ({"rce": {"epochs": 0}}, "train", "rollouts"),
        ({"evaluation": {"oracle_tries": 0}}, "evaluate", "oracle"),
    ],
)
def test_what_is_left_out_costs_nothing(
    recipe: Recipe, changes: dict[str, dict[str, object]], stage: str, part: str
) -> None:
    assert (stage, part) in {(each.stage, each.part) for each in plan_of(recipe).parts}
    assert (stage, part) not in {(each.stage, each.part) for each in plan_of(changed(recipe, **changes)).parts}


def test_resampling_costs_up_to_its_bound(recipe: Recipe) -> None:
    kept, resampled = (
        expected(plan_of(changed(recipe, grpo={"advantage": {"zero_variance": kind}})), "train", "GRPO groups")
        for kind in ("keep", "resample")
    )
    assert kept < resampled < 4 * kept


@given(st.integers(1, 40), st.floats(0.01, 0.99))
def test_different_draws_are_between_one_and_all(draws: int, alike: float) -> None:
    found = drawn_alike(draws, alike)
    assert 1 <= found <= draws + 1e-9
    assert drawn_alike(draws + 1, alike) - found <= 1 + 1e-9
    assert drawn_alike(draws + 0.5, alike) == pytest.approx((found + drawn_alike(draws + 1, alike)) / 2)


def test_of_very_many_sequences_random_draws_are_all_different() -> None:
    assert drawn_at_random(3, 443_757, 4) == pytest.approx(3)
    assert drawn_at_random(3, 1, 1) == 1


@given(st.integers(0, 30), st.integers(2, 12), st.integers(1, 2))
def test_random_draws_are_as_many_as_counted(draws: int, pool: int, length: int) -> None:
    kinds = math.perm(pool, length)
    assert drawn_at_random(draws, pool, length) == pytest.approx(kinds * (1 - ((kinds - 1) / kinds) ** draws))


def test_two_draws_that_agree_half_the_time_are_one_and_a_half() -> None:
    assert drawn_alike(2, 0.5) == pytest.approx(1.5)
    assert drawn_in_turn(1, 2, 2, 0.5) == pytest.approx(0.75)


@pytest.mark.parametrize("answers", [0, 1, 3])
def test_a_completion_takes_more_room_with_more_in_it(answers: int) -> None:
    plain = bytes_per_completion("beam", 0, answers, 6)
    assert 32 < plain < bytes_per_completion("beam", 12, answers, 6) < bytes_per_completion("beam", 12, answers + 1, 6)


def test_devices_share_the_prompts_of_a_round(recipe: Recipe) -> None:
    sizes, speeds = assumed_sizes(recipe, SIZES), speed.given(100.0, None)
    one, eight, many = (make_plan(recipe, sizes, speeds, devices).total().expected for devices in (1, 8, 10**6))
    assert one.device_hours == eight.device_hours == pytest.approx(one.calls / 100 / 3600)
    assert one.wall_hours == pytest.approx(one.device_hours, rel=0.05)
    assert one.wall_hours / 8 <= eight.wall_hours < one.wall_hours
    assert many.wall_hours > 0


def test_tokens_cost_what_is_told(recipe: Recipe) -> None:
    total = make_plan(recipe, assumed_sizes(recipe, SIZES), speed.given(None, 500.0)).total().expected
    assert 3600 * 500 * total.device_hours == pytest.approx(total.text_tokens + total.image_tokens)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (["train=10"], "test is missing"),
        (["train=ten", "test=1"], "'ten' is no number"),
        (["train=10", "test=-1"], "'-1' is no size"),
        (["rows=10"], "nothing is called 'rows'"),
        (["train=10", "test=10"], "data.train_queries: 24 queries are wanted"),
    ],
)
def test_assumptions_that_cannot_be_are_refused(recipe: Recipe, settings: Sequence[str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        assumed_sizes(recipe, read_assumed(settings))


@pytest.mark.parametrize("width", [80, 130])
def test_the_table_fits_and_shows_every_part(recipe: Recipe, width: int) -> None:
    made = make_plan(recipe, assumed_sizes(recipe, SIZES), speed.given(0.01, None), 8)
    console = Console(file=io.StringIO(), width=width)
    console.print(plan_table(made, 8, width))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert all(len(line) <= width and "…" not in line for line in lines)
    assert {part.part for part in made.parts if part.part} - {"search"} <= {line.split("  ")[1] for line in lines[1:]}


def call(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["plan", *arguments], env={"COLUMNS": "160"})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_prints_what_the_plan_says(recipe: Recipe, finished: Run, sizes: Sizes) -> None:
    printed = json.loads(call(str(finished.recipe_file), "--prompts-per-second", "50", "--json"))
    assert printed["total"] == make_plan(recipe, sizes, speed.given(50.0, None)).as_json()["total"]
    table = call(str(finished.recipe_file), "--prompts-per-second", "50", "--devices", "4")
    assert f"{printed['total']['calls']['expected']:,.0f}" in table and "Wall hours" in table


def test_speed_can_be_measured_on_the_vlm(finished: Run) -> None:
    printed = json.loads(call(str(finished.recipe_file), "--measure", "--json"))
    assert all(stage["device_hours"]["expected"] > 0 for stage in printed["stages"] if stage["stage"] in STAGES)


def test_a_plan_needs_no_data_where_sizes_are_told(tmp_path: Path) -> None:
    recipe = tmp_path / "far.yaml"
    recipe.write_text(
        "data: {okvqa: {train_questions: a.json, train_images: a, test_questions: b.json, test_images: b}}\n"
        "vlm: {path: no/where}\nencoder: {path: no/where}\n"
    )
    assert "The calls are an estimate" in call(str(recipe), "--assume", "train=9009", "--assume", "test=5046")
    assert CliRunner().invoke(app, ["plan", str(recipe)]).exit_code == 2


def test_without_embeddings_of_images_no_selector_by_image_is_planned(recipe: Recipe, tmp_path: Path) -> None:
    np.savez(tmp_path / "both.npz", ids=[1], embeddings=np.ones((1, 64)))
    texts = {"precomputed": {"texts": str(tmp_path / "both.npz")}}
    both = {"precomputed": {**texts["precomputed"], "images": str(tmp_path / "both.npz")}}
    model, files, alone = (plan_of(changed(recipe, encoder=encoder)) for encoder in ({}, both, texts))
    planned = [made.total("evaluate").expected.requests for made in (model, files, alone)]
    assert planned[2] < planned[1] == planned[0]
    stored = [made.total("embed").expected.stored_bytes for made in (files, alone)]
    assert stored[0] == 2 * stored[1] > 0


def test_the_widths_of_embeddings_are_those_of_the_encoder(recipe: Recipe, finished: Run) -> None:
    with Parts(recipe, finished, Silent()) as parts:
        embedded = parts.embeddings["val"]
        assert embedding_widths(recipe.encoder, unknown=0) == (embedded.images.shape[1], embedded.questions.shape[1])
