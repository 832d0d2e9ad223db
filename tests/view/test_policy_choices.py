"""What the page says of a policy's choices is what the policy chooses by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from small_explored import explored_run

from shotsmith.checkpoints.native import load_policy
from shotsmith.errors import InputError
from shotsmith.policies.inputs import InputsTable
from shotsmith.runs import Run
from shotsmith.view.policy_choices import ALTERNATIVES, PolicyChoices
from shotsmith.view.run_data import RunData, run_data


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return explored_run(tmp_path_factory.mktemp("explored"))


def sequences(data: RunData, number: int, seed: int) -> list[tuple[int, ...]]:
    tries = data.tries[data.queries[number].id]
    return [one.sequence for one in tries if (one.selector, one.seed) == ("grpo", seed)]


@pytest.mark.parametrize("seed", [0, 1])
def test_what_a_policy_chose_is_its_most_probable_choice_at_every_step(run: Run, seed: int) -> None:
    data = run_data(run)
    policy = PolicyChoices(data, "grpo", seed)
    for number in range(len(data.queries)):
        for sequence in sequences(data, number, seed):
            steps = policy.steps(number, sequence, pool=False)
            assert [step["rank"] for step in steps] == [1] * len(sequence)
            assert [step["chosen"] for step in steps] == list(sequence[::-1]), "the first choice stands last"
            for step in steps:
                listed = [one["probability"] for one in step["alternatives"]]
                assert len(listed) == ALTERNATIVES and listed == sorted(listed, reverse=True)
                assert listed[0] == step["probability"] and sum(listed) <= 1 + 1e-6
                assert sum(listed) > ALTERNATIVES / step["choices"] * 0.99


def test_probabilities_are_those_of_the_policy_itself(run: Run) -> None:
    data = run_data(run)
    choices = PolicyChoices(data, "grpo", 0)
    policy, _ = load_policy(run.epoch(0, "grpo", 1))
    table = InputsTable(data.query_embeddings.joined, data.bank.joined, None, torch.device("cpu"), data.barred)
    tried = [one.sequence for one in data.tries[data.queries[3].id]]
    found = choices.probabilities(3, tried, pool=False)
    assert [] in found and any(len(one or ()) == 2 for one in found)
    for sequence, values in zip(tried, found, strict=True):
        if sequence:
            shown = torch.tensor([[[data.bank_rows[number] for number in reversed(sequence)]]])
            chosen = policy.locate(table.batch([3]), shown).log_probs[0, 0].exp().tolist()  # type: ignore[arg-type]
            assert values == pytest.approx(chosen[::-1], rel=1e-4)


def test_a_sequence_that_the_query_cannot_be_shown_has_no_probabilities(run: Run) -> None:
    data = run_data(run)
    policy = PolicyChoices(data, "grpo", 0)
    there = data.splits.bank[0].id
    assert policy.probabilities(0, [(there,), (there, there), (987654321,)], pool=False)[1:] == [None, None]
    with pytest.raises(InputError, match="cannot be shown"):
        policy.steps(0, (987654321,), pool=False)


def test_of_a_pool_the_alternatives_are_the_pool(tmp_path: Path) -> None:
    run = explored_run(tmp_path, settings={"pools": {"size": 5}})
    data = run_data(run)
    pools = np.stack([np.arange(number, number + 5) for number in range(len(data.queries))])
    run.pools("test").parent.mkdir()
    save_file({"pools": pools}, run.pools("test"))
    policy = PolicyChoices(data, "grpo", 0)
    bank = [example.id for example in data.splits.bank]
    steps = policy.steps(2, (bank[3], bank[6]), pool=True)
    assert [step["chosen"] for step in steps] == [bank[6], bank[3]]
    assert [{one["id"] for one in step["alternatives"]} for step in steps] == [set(bank[2:7]), {*bank[2:6]}]
    assert [sum(one["probability"] for one in step["alternatives"]) for step in steps] == pytest.approx([1, 1])
    assert policy.probabilities(2, [(bank[3], bank[6]), (bank[0],)], pool=True) == [
        pytest.approx([steps[1]["probability"], steps[0]["probability"]], rel=1e-5),
        None,
    ]


def test_a_policy_that_stops_says_with_which_probability(tmp_path: Path) -> None:
    run = explored_run(tmp_path, settings={"policy": {"length": "stop"}})
    data = run_data(run)
    policy = PolicyChoices(data, "grpo", 0)
    assert policy.policy.can_stop
    first, last = policy.steps(0, (data.splits.bank[0].id,), pool=False)
    assert last["chosen"] is None and last["probability"] == last["stop"] > 0
    assert sum(one["probability"] for one in first["alternatives"]) + first["stop"] <= 1 + 1e-6


def test_a_run_without_embeddings_says_which_file_is_missing(tmp_path: Path) -> None:
    run = explored_run(tmp_path)
    run.embeddings("train").unlink()
    with pytest.raises(InputError, match=r"train\.safetensors.*not in the run folder"):
        PolicyChoices(run_data(run), "grpo", 0)
