"""The policy, and its training on a task without a VLM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from small_matching import Matching, small_policy, small_run, without_times
from small_policy import WIDTH, bank_inputs_of, inputs_of, policy_of, some_sequences

from setting_probes import Probe
from shotsmith.checkpoints.native import load_policy, save_policy
from shotsmith.experiment.training import best_policy, first_policy
from shotsmith.policies.pointer import PointerPolicy
from shotsmith.policies.protocol import Policy
from shotsmith.recipe import OptimizerSettings, Recipe
from shotsmith.runs import Phase, Run
from shotsmith.training.grpo import train_grpo
from shotsmith.training.imitation import SupervisedData, train_rce, train_supervised
from shotsmith.training.learner import Learner
from shotsmith.training.validation import Validation


def policy(recipe: Recipe, _folder: Path) -> object:
    """What it says of some sequences, with dropout."""
    network, inputs = policy_of(recipe.policy).train(), inputs_of()
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        return network.step_distributions(inputs, some_sequences(inputs)).tolist()


def first(recipe: Recipe, _folder: Path) -> object:
    """The weights that training starts from."""
    started = first_policy(recipe, WIDTH, "encoder", seed=0)
    return {name: value.tolist() for name, value in started.state_dict().items()}


def over_bank(recipe: Recipe, _folder: Path) -> object:
    """What it retrieves from a bank while it is trained, how often the index was built, and how it shows sequences."""
    network, inputs = policy_of(recipe.policy), bank_inputs_of(entries=300)
    learner, found = Learner(network, OptimizerSettings(), 10), []
    indexes: list[object] = []
    for _ in range(4):
        found.append(network.sample(inputs, 2, 3, torch.Generator().manual_seed(0)).shortlists.tolist())
        if inputs.bank.search(network) not in indexes:
            indexes.append(inputs.bank.search(network))
        learner.update(sum(parameter.square().sum() for parameter in network.parameters()))
    return found, len(indexes), indexes == [None], network.outwards


def supervised(recipe: Recipe, folder: Path) -> object:
    """Rows and weights of supervised training."""
    task = Matching.draw(12, seed=0)
    data = SupervisedData(task.inputs, task.beams())
    return _trained(
        folder, "supervised", lambda network, run: train_supervised(network, data, _unmoved(), recipe.supervised, run)
    )


def rce(recipe: Recipe, folder: Path) -> object:
    """Rows and weights of RCE."""
    task = Matching.draw(12, seed=0)
    return _trained(
        folder,
        "rce",
        lambda network, run: train_rce(network, task.inputs, task.recorded(), _unmoved(), recipe.rce, run),
    )


def grpo(recipe: Recipe, folder: Path) -> object:
    """Rows and weights of GRPO."""
    task = Matching.draw(12, seed=0)
    others = {"rollouts": task.recorded(), "supervised": small_policy(seed=1)}
    return _trained(
        folder,
        "grpo",
        lambda network, run: train_grpo(network, task.inputs, task.score, _unmoved(), recipe.grpo, run, **others),
    )


def chosen_epoch(phase: Phase) -> Probe:
    """Which of three epochs a phase goes on with: best by reward, best by loss, last."""

    def probe(recipe: Recipe, folder: Path) -> object:
        run = Run(folder, recipe)
        rows = []
        for epoch, (by_reward, by_loss) in enumerate([(0.9, 3.0), (0.5, 1.0), (0.1, 2.0)], start=1):
            network = small_policy(seed=epoch)
            manifest = small_run(folder, phase).manifest.model_copy(update={"epoch": epoch})
            save_policy(run.epoch(0, phase, epoch), network, manifest)
            rows.append({"seed": 0, "phase": phase, "epoch": epoch, "val_reward": by_reward, "val_loss": by_loss})
        parts = SimpleNamespace(recipe=recipe, run=SimpleNamespace(epochs=lambda: rows, epoch=run.epoch))
        return _weights(best_policy(parts, 0, phase))

    return probe


def _trained(folder: Path, phase: Phase, train: Callable[[PointerPolicy, object], list[dict[str, object]]]) -> object:
    """Rows, and the last weights as they were trained and as they were saved."""
    network, run = small_policy(), small_run(folder, phase)
    rows = train(network, run)
    saved, _ = load_policy(run.epoch_folder(int(rows[-1]["epoch"])))
    return without_times(rows), _weights(network), _weights(saved)


def _unmoved() -> Validation:
    """A validation in which no epoch is better than the first."""
    return Validation(answered=lambda _policy: {"val/reward": 0.5})


def _weights(network: Policy) -> list[object]:
    return [value.tolist() for value in network.state_dict().values()]
