"""A pilot sees, on some validation queries, what the evaluation of the run will ask for on all test queries."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from shotsmith import experiment
from shotsmith.cli import app
from shotsmith.completions.store import Store
from shotsmith.errors import InputError, VLMError
from shotsmith.planning import pilot as module
from shotsmith.planning.behaviour import USUAL, Behaviour
from shotsmith.planning.pilot import Pilot, run_pilot
from shotsmith.planning.plan import make_plan
from shotsmith.planning.sizes import readable_splits, sampled_sizes
from shotsmith.planning.speed import given
from shotsmith.progress import Silent
from shotsmith.recipe import Recipe, parse_recipe
from shotsmith.records import Failure, Request
from shotsmith.runs import Run


def changed(recipe: Recipe, **sections: dict[str, object]) -> Recipe:
    value = recipe.model_dump(mode="json")
    return parse_recipe({**value, **{name: {**value[name], **changes} for name, changes in sections.items()}})


@pytest.fixture(scope="module")
def untrained(recipe: Recipe) -> Recipe:
    """Nothing is trained, so that nothing is left unknown; every query chooses from the whole bank."""
    nothing = {"epochs": 0}
    value = changed(recipe, supervised=nothing, rce=nothing, grpo=nothing).model_dump(mode="json")
    return parse_recipe(value | {"pools": None})


@pytest.fixture(scope="module")
def asked() -> list[Request]:
    """What the pilot has asked the VLM for."""
    return []


@pytest.fixture(scope="module")
def seen(untrained: Recipe, asked: list[Request]) -> Pilot:
    ask = module.Collector.ask

    def remembered(self: module.Collector, requests: list[Request], origin: str) -> object:
        asked.extend(requests)
        return ask(self, requests, origin)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.Collector, "ask", remembered)
        return run_pilot(untrained, 1000, Silent())


def test_only_validation_queries_are_asked_about(untrained: Recipe, seen: Pilot, asked: list[Request]) -> None:
    with readable_splits(untrained, whole=True) as splits:
        val, test = ({example.id for example in part} for part in (splits.val, splits.test))
        bank = {example.id for example in splits.bank}
    queries = {request.query.id for request in asked}
    assert len(queries) == seen.queries == untrained.data.val_queries
    assert queries <= val and not queries & test
    shown = {example.id for request in asked for example in request.demonstrations}
    assert shown <= bank and len(shown) > untrained.evaluation.oracle_tries


def test_of_the_free_selectors_a_run_asks_for_as_many_prompts(untrained: Recipe, seen: Pilot, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", untrained)
    experiment.run(untrained, run, Silent())
    with Store.open(run.completions) as store:
        real = store.count("evaluation/validation") + store.count("evaluation/fixed")
    with readable_splits(untrained) as splits:
        plan = make_plan(untrained, sampled_sizes(untrained, splits), behaviour=seen.behaviour(untrained))
    parts = {part.part: part for part in plan.parts if part.stage == "evaluate"}
    planned = [parts[name].expected.calls for name in ("free on validation", "fixed on validation")]
    assert sum(planned) == pytest.approx(real, rel=0.06)
    assert 0 < parts["oracle"].expected.calls < parts["oracle"].most_calls


@pytest.mark.parametrize("sampler", ["random", "mixed"])
def test_pools_are_those_of_the_recipe(recipe: Recipe, sampler: str) -> None:
    with_pools = changed(recipe, pools={"sampler": sampler}, evaluation={"oracle_tries": 3})
    pilot = run_pilot(with_pools, 3, Silent())
    assert pilot.queries == 3 and pilot.prompts > 0


def test_it_is_asked_for_what_the_evaluation_asks_for(seen: Pilot) -> None:
    assert seen.seconds > 0
    assert seen.tokens > 10 * seen.prompts
    assert seen.similar_agree is not None and 0 < seen.similar_agree < 1
    assert seen.unsolved is not None and 0 < seen.unsolved[0] < 1


def test_its_speed_counts_tokens_or_the_prompts_of_a_vlm_that_counts_none() -> None:
    pilot = Pilot(9, None, None, None, prompts=100, seconds=4.0, tokens=8000)
    assert pilot.speeds() == given(None, 2000.0)
    assert replace(pilot, tokens=None).speeds() == given(25.0, None)


def test_what_was_not_seen_stays_as_usual(recipe: Recipe, seen: Pilot) -> None:
    own = {"unsolved", "unsolved_longer", "similar_agree", "unsolved_in_similar"}
    corrected = seen.behaviour(recipe)
    same = {name: getattr(corrected, name) for name in Behaviour.__dataclass_fields__.keys() - own}
    assert same == {name: getattr(USUAL, name) for name in same}
    assert replace(seen, unsolved=None, unsolved_longer=None, similar_agree=None).behaviour(recipe) == USUAL


def test_policies_of_more_seeds_leave_less(recipe, seen) -> None:
    seen = replace(seen, unsolved_longer=(0.4, 0.2))
    one, three = (
        seen.behaviour(parse_recipe(recipe.model_dump(mode="json") | {"seeds": seeds})) for seeds in ([0], [0, 1, 2])
    )
    assert one.unsolved_longer[0] > three.unsolved_longer[0] > 0.5 * one.unsolved_longer[0]


@pytest.mark.parametrize("more", [{"epochs": 1}, {"sampling": {"source": "recorded"}}])
def test_the_longer_policies_learn_from_their_own_groups_the_less_they_leave(recipe, seen, more) -> None:
    seen = replace(seen, unsolved_longer=(0.4, 0.2))
    left = [seen.behaviour(changed(recipe, grpo=changes)) for changes in (more, {"epochs": 30})]
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
        counts_tokens, gives_log_probs = True, True

        def length(self, request: object) -> int:
            return 1

        def complete(self, requests: list[object]) -> list[Failure]:
            return [Failure("it is out of order")] * len(requests)

    monkeypatch.setattr(module, "load_vlm", lambda settings: Mute())
    with pytest.raises(VLMError, match=r"none of .* could be answered: .*order"):
        run_pilot(recipe, 3, Silent())


def test_without_validation_queries_there_is_none(recipe: Recipe) -> None:
    with pytest.raises(InputError, match="no validation queries"):
        run_pilot(recipe, 0, Silent())


def test_the_command_runs_one_and_takes_its_speed(recipe: Recipe, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    command = ["plan", str(file), "--json"]
    told = CliRunner().invoke(app, [*command, "--pilot", "4"], catch_exceptions=False)
    total = json.loads(told.stdout)["total"]
    assert total["device_hours"]["expected"] > 0
    assert 0 < total["calls"]["expected"] < total["calls"]["most"]
    refused = CliRunner().invoke(app, [*command, "--pilot", "4", "--assume", "train=9009", "--assume", "test=99"])
    assert refused.exit_code == 2
    assert "--pilot need the data" in " ".join(refused.stderr.split())
