"""A pilot sees, on some queries, what the evaluation of the run will ask for on all of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from shotsmith import experiment
from shotsmith.cli import app
from shotsmith.errors import InputError, VLMError
from shotsmith.planning import pilot as module
from shotsmith.planning.behaviour import EXPECTED, USUAL, Behaviour
from shotsmith.planning.pilot import Pilot, run_pilot
from shotsmith.planning.plan import make_plan
from shotsmith.planning.sizes import readable_splits, sampled_sizes
from shotsmith.planning.speed import given
from shotsmith.progress import Silent
from shotsmith.recipe import Recipe, parse_recipe
from shotsmith.records import Failure
from shotsmith.runs import Run


def changed(recipe: Recipe, **sections: dict[str, object]) -> Recipe:
    value = recipe.model_dump(mode="json")
    return parse_recipe({**value, **{name: {**value[name], **changes} for name, changes in sections.items()}})


@pytest.fixture(scope="module")
def untrained(recipe: Recipe) -> Recipe:
    """Nothing is trained, so that nothing is left unknown."""
    nothing = {"epochs": 0}
    return changed(recipe, supervised=nothing, rce=nothing, grpo=nothing)


@pytest.fixture(scope="module")
def seen(untrained: Recipe) -> Pilot:
    return run_pilot(untrained, untrained.data.test_queries, Silent())


def test_on_all_queries_the_oracle_is_foretold_to_the_prompt(untrained: Recipe, seen: Pilot, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", untrained)
    experiment.run(untrained, run, Silent())
    (real,) = (row["vlm_calls"] for row in run.stages() if row["name"] == "evaluate")
    behaviour = seen._seen(replace(EXPECTED, policies_leave=(1.0, 1.0)), 0.0, 0.0, 1)
    with readable_splits(untrained) as splits:
        plan = make_plan(untrained, sampled_sizes(untrained, splits), behaviours=(behaviour,) * 3)
    parts = {part.part: part.expected.calls for part in plan.parts if part.stage == "evaluate"}
    assert seen.prompts - parts["oracle"] == pytest.approx(real - parts["oracle"], abs=1e-6)
    assert parts["selectors"] == pytest.approx(real - parts["oracle"], rel=0.06)
    assert parts["oracle"] > 50


def test_it_is_asked_for_what_the_evaluation_asks_for(untrained: Recipe, seen: Pilot) -> None:
    assert seen.queries == untrained.data.test_queries
    assert seen.seconds > 0
    assert seen.tokens > 10 * seen.prompts
    assert seen.similar_agree is not None and 0 < seen.similar_agree < 1
    assert seen.unsolved is not None and 0 < seen.unsolved[0] < 1


def test_its_speed_counts_tokens_or_a_server_s_prompts(recipe: Recipe) -> None:
    pilot = Pilot(9, None, None, None, prompts=100, seconds=4.0, tokens=8000)
    assert pilot.speeds(recipe) == given(None, 2000.0)
    served = changed(recipe, vlm={"server": {"url": "http://127.0.0.1:9/v1", "model": "any", "kind": "vllm"}})
    assert pilot.speeds(served) == given(25.0, None)


def test_what_was_not_seen_stays_as_usual(recipe: Recipe, seen: Pilot) -> None:
    own = {"unsolved", "unsolved_longer", "similar_agree", "unsolved_in_similar"}
    for usual, corrected in zip(USUAL, seen.behaviours(recipe), strict=True):
        same = {name: getattr(corrected, name) for name in Behaviour.__dataclass_fields__.keys() - own}
        assert same == {name: getattr(usual, name) for name in same}
        nothing = replace(seen, unsolved=None, unsolved_longer=None, similar_agree=None)
        assert nothing._seen(usual, 2.0, 9.0, 1) == usual


def test_the_fewer_queries_were_seen_the_wider_is_the_range(recipe: Recipe) -> None:
    def width(queries: int) -> float:
        low, _, high = Pilot(queries, 0.3, (0.4, 0.3), (0.3, 0.2), 100, 1.0, 1000).behaviours(recipe)
        return high.unsolved_longer[0] - low.unsolved_longer[0]

    assert width(10) > width(50) > width(10_000) > 0.3 * 0.1


def test_policies_of_more_seeds_leave_less(recipe, seen) -> None:
    seen = replace(seen, unsolved_longer=(0.4, 0.2))
    one, three = (
        seen.behaviours(parse_recipe(recipe.model_dump(mode="json") | {"seeds": seeds}))[1]
        for seeds in ([0], [0, 1, 2])
    )
    assert one.unsolved_longer[0] > three.unsolved_longer[0] > 0.5 * one.unsolved_longer[0]


@pytest.mark.parametrize("more", [{"epochs": 1}, {"sampling": {"source": "recorded"}}])
def test_the_longer_policies_learn_from_their_own_groups_the_less_they_leave(recipe, seen, more) -> None:
    seen = replace(seen, unsolved_longer=(0.4, 0.2))
    left = [seen.behaviours(changed(recipe, grpo=changes))[1] for changes in (more, {"epochs": 30})]
    assert left[0].unsolved_longer[0] > left[1].unsolved_longer[0]
    assert left[0].unsolved_longer[1] > left[1].unsolved_longer[1]
    assert left[0].unsolved[1] == left[1].unsolved[1] == seen.unsolved[1]


def test_a_number_of_shots_that_no_selector_tries_is_not_taken_for_one_they_fail_at(recipe: Recipe) -> None:
    assert run_pilot(changed(recipe, evaluation={"shots": [2]}), 2, Silent()).unsolved is None
    without = run_pilot(changed(recipe, evaluation={"oracle_tries": 0}), 2, Silent())
    assert without.unsolved is None and without.unsolved_longer is None and without.prompts > 0


def test_a_vlm_that_answers_nothing_is_an_error(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mute:
        identity, batch_tokens = "mute", 100

        def length(self, request: object) -> int:
            return 1

        def complete(self, requests: list[object]) -> list[Failure]:
            return [Failure("it is out of order")] * len(requests)

    monkeypatch.setattr(module, "load_vlm", lambda settings: Mute())
    with pytest.raises(VLMError, match=r"none of .* could be answered: .*order"):
        run_pilot(recipe, 3, Silent())


def test_without_test_queries_there_is_none(recipe: Recipe) -> None:
    with pytest.raises(InputError, match="no test queries"):
        run_pilot(recipe, 0, Silent())


def test_the_command_runs_one_and_takes_its_speed(recipe: Recipe, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    command = ["plan", str(file), "--json"]
    told = CliRunner().invoke(app, [*command, "--pilot", "4"], catch_exceptions=False)
    total = json.loads(told.stdout)["total"]
    assert total["device_hours"]["expected"] > 0
    assert total["calls"]["low"] < total["calls"]["expected"] < total["calls"]["high"]
    refused = CliRunner().invoke(app, [*command, "--pilot", "4", "--assume", "train=9009", "--assume", "test=99"])
    assert refused.exit_code == 2
    assert "--pilot need the data" in " ".join(refused.stderr.split())
