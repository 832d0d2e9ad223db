"""The evaluation stage: every selector on the test queries, once training and the choice of epochs are over."""

from __future__ import annotations

from shotsmith.checkpoints.native import Manifest, load_policy
from shotsmith.checkpoints.ranking import best_checkpoint
from shotsmith.evaluation.beam import evaluate_beam
from shotsmith.evaluation.evaluate import Entrant, evaluate_oracle, training_free_entrants
from shotsmith.evaluation.evaluate import evaluate as evaluate_entrants
from shotsmith.evaluation.leaks import check_no_leak
from shotsmith.evaluation.looks import record_look
from shotsmith.evaluation.majority_vote import majority_votes
from shotsmith.evaluation.results import Result, write_results
from shotsmith.evaluation.summary import summarise
from shotsmith.experiment.parts import Parts
from shotsmith.files import write_json
from shotsmith.policies.pointer import PointerPolicy
from shotsmith.runs import PHASES, Phase
from shotsmith.selectors.beam_file import read_beams
from shotsmith.selectors.policy import PolicySelector
from shotsmith.selectors.protocol import Tasks
from shotsmith.selectors.reversed import Reversed
from shotsmith.selectors.similar import mixed


def evaluate(parts: Parts) -> int:
    """Write results and summary. Returns the completions asked for."""
    before = parts.requests
    train, val, test = (parts.tasks(split) for split in ("train", "val", "test"))
    beams = read_beams(parts.run.beam, train) if parts.run.beam.exists() else []
    trained_on = [query.id for query in train.queries] + [train.queries[beam.query].id for beam in beams]
    chosen_on = [query.id for query in val.queries]
    check_no_leak(parts.splits, train, val, test, trained_on=trained_on, chosen_on=chosen_on)
    trained = trained_policies(parts)
    record_look(parts.run, (query.id for query in test.queries), (manifest for _, manifest in trained))
    results = _results(parts, test, trained_entrants(trained))
    write_results(parts.run.results, results)
    write_json(parts.run.summary, summarise(results, parts.recipe.evaluation))
    return parts.requests - before


def _results(parts: Parts, test: Tasks, trained: list[Entrant]) -> list[Result]:
    settings, ask, progress = parts.recipe.evaluation, parts.ask, parts.progress
    has_images = test.index_embeddings.has_images
    entrants = [*training_free_entrants(settings.random_draws, has_images=has_images), *trained]
    results = evaluate_entrants(test, entrants, settings.shots, ask)
    if settings.beam_width:
        results += evaluate_beam(test, settings.shots, settings.beam_width, ask, progress=progress)
    if settings.oracle_tries:
        log_probs, tries = parts.recipe.gives_log_probs, settings.oracle_tries
        results += evaluate_oracle(test, results, settings.shots, tries, ask, log_probs=log_probs, progress=progress)
    return results + majority_votes(test, mixed(), settings.shots)


def trained_policies(parts: Parts) -> list[tuple[PointerPolicy, Manifest]]:
    """The best epoch of every phase and seed. Raises InputError where a phase has no epoch."""
    return [
        _best(parts, seed, phase)
        for phase in PHASES
        if getattr(parts.recipe, phase).epochs
        for seed in parts.recipe.seeds
    ]


def trained_entrants(trained: list[tuple[PointerPolicy, Manifest]]) -> list[Entrant]:
    """Every trained policy, and the last phase's sequences in reverse order too."""
    entrants = []
    for policy, manifest in trained:
        selector = PolicySelector(manifest.phase, policy)
        entrants.append(Entrant(selector, manifest.seed))
        if manifest.phase == trained[-1][1].phase:
            entrants.append(Entrant(Reversed(selector), manifest.seed))
    return entrants


def _best(parts: Parts, seed: int, phase: Phase) -> tuple[PointerPolicy, Manifest]:
    row = best_checkpoint(parts.run.epochs(), seed, phase, getattr(parts.recipe, phase).best_by)
    return load_policy(parts.run.epoch(seed, phase, int(str(row["epoch"]))))
