"""The evaluation stage: every selector on the test queries, once training and the choice of epochs are over."""

from __future__ import annotations

from shotsmith.evaluation.evaluate import Entrant, evaluate_oracle, training_free_entrants
from shotsmith.evaluation.evaluate import evaluate as evaluate_entrants
from shotsmith.evaluation.leaks import check_no_leak
from shotsmith.evaluation.results import write_results
from shotsmith.evaluation.summary import summarise
from shotsmith.experiment.parts import Parts
from shotsmith.experiment.training import best_policy
from shotsmith.files import write_json
from shotsmith.runs import PHASES
from shotsmith.selectors.policy import PolicySelector
from shotsmith.selectors.reversed import Reversed


def evaluate(parts: Parts) -> int:
    """Write results and summary. Returns the completions asked for."""
    before = parts.requests
    settings = parts.recipe.evaluation
    train, val, test = (parts.tasks(split) for split in ("train", "val", "test"))
    trained_on = [query.id for query in train.queries]
    chosen_on = [query.id for query in val.queries]
    check_no_leak(parts.splits, train, val, test, trained_on=trained_on, chosen_on=chosen_on)
    entrants = [*training_free_entrants(settings.random_draws), *trained_entrants(parts)]
    results = evaluate_entrants(test, entrants, settings.shots, parts.ask)
    results += evaluate_oracle(test, results, settings.shots, settings.oracle_tries, parts.ask, progress=parts.progress)
    write_results(parts.run.results, results)
    write_json(parts.run.summary, summarise(results, settings))
    return parts.requests - before


def trained_entrants(parts: Parts) -> list[Entrant]:
    """The best epoch of every phase and seed, and the last phase's sequences in reverse order."""
    phases = [phase for phase in PHASES if getattr(parts.recipe, phase).epochs]
    entrants = []
    for phase in phases:
        for seed in parts.recipe.seeds:
            selector = PolicySelector(phase, best_policy(parts, seed, phase))
            entrants.append(Entrant(selector, seed))
            if phase == phases[-1]:
                entrants.append(Entrant(Reversed(selector), seed))
    return entrants
