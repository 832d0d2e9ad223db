"""The evaluation stage: every selector on the test queries, once training and the choice of epochs are over."""

from __future__ import annotations

from shotsmith.checkpoints.native import Manifest, load_policy
from shotsmith.checkpoints.ranking import best_checkpoint
from shotsmith.evaluation.beam import evaluate_beam
from shotsmith.evaluation.controls import answers_shown, evaluate_controls
from shotsmith.evaluation.copying import copying
from shotsmith.evaluation.evaluate import Entrant, oracle_results, tried_already
from shotsmith.evaluation.free import best_free, evaluate_free
from shotsmith.evaluation.leaks import check_no_leak
from shotsmith.evaluation.looks import record_look
from shotsmith.evaluation.majority_vote import MAJORITY_VOTE
from shotsmith.evaluation.recall import Known, Shortlist, known, recall, shortlist
from shotsmith.evaluation.results import Result, write_results
from shotsmith.evaluation.summary import summarise
from shotsmith.experiment.parts import Parts
from shotsmith.files import write_json
from shotsmith.policies.protocol import Policy
from shotsmith.runs import PHASES, Phase
from shotsmith.selectors.beam_file import read_beams
from shotsmith.selectors.fixed import Fixed, choose_fixed
from shotsmith.selectors.named import AT_BANK, at_bank
from shotsmith.selectors.oracle import NEAREST, oracle
from shotsmith.selectors.policy import PolicySelector
from shotsmith.selectors.protocol import Tasks
from shotsmith.selectors.reversed import Reversed
from shotsmith.selectors.similar import nearest_candidates

Trained = list[tuple[Policy, Manifest]]


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
    settings = parts.recipe.evaluation
    fixed = choose_fixed_on(parts, val)
    validation = evaluate_free(val, settings, fixed, parts.ask, origin="evaluation/validation")
    results, known_sequences = _results(parts, test, fixed, trained)
    recalled = recall(test, known_sequences, results, _shortlists(parts, test, trained)) if known_sequences else []
    results += _controls(parts, test, results, validation)
    shown = answers_shown(test.index, parts.recipe.data.seed)
    write_results(parts.run.results, results)
    tables = summarise(results, settings, validation, recalled, copying(results, shown, settings))
    write_json(parts.run.summary, tables)
    return parts.requests - before


def choose_fixed_on(parts: Parts, val: Tasks) -> Fixed | None:
    """The fixed sequences, chosen on validation queries; None where the recipe tries none."""
    settings = parts.recipe.evaluation
    if not settings.fixed_tries:
        return None
    return choose_fixed(val, settings.shots, parts.ask, tries=settings.fixed_tries)


def _results(parts: Parts, test: Tasks, fixed: Fixed | None, trained: Trained) -> tuple[list[Result], Known]:
    """Results on the test queries; and, where there is an oracle, every sequence whose answer is known by then."""
    settings, ask, progress = parts.recipe.evaluation, parts.ask, parts.progress
    entrants = trained_entrants(trained)
    at_the_bank = [Entrant(at_bank(PolicySelector(m.phase, policy)), m.seed) for policy, m in trained]
    free = evaluate_free(test, settings, fixed, ask, entrants=entrants, bank_entrants=at_the_bank)
    results = [one for one in free if not one.selector.startswith(MAJORITY_VOTE)]
    votes = [one for one in free if one.selector.startswith(MAJORITY_VOTE)]
    if settings.beam_width:
        results += evaluate_beam(test, settings.shots, settings.beam_width, ask, progress=progress)
    known_sequences: Known = {}
    if settings.oracle_tries:
        found = oracle(
            test,
            settings.shots,
            settings.oracle_tries,
            ask,
            tried_already(test, (one for one in results if not one.selector.endswith(AT_BANK))),
            log_probs=parts.collector.vlm.gives_log_probs,
            progress=progress,
        )
        known_sequences = known(test, results, found)
        results += oracle_results(test, found)
    return results + votes, known_sequences


def _controls(parts: Parts, test: Tasks, results: list[Result], validation: list[Result]) -> list[Result]:
    """Results of the controls that the recipe asks for: of the last trained phase, and of the best free selector.

    A majority vote shows the VLM nothing: the best selector that does stands in for it.
    """
    controls = parts.recipe.evaluation.controls
    if not controls:
        return []
    there = {result.selector for result in results}
    selectors: list[str] = [*[phase for phase in PHASES if phase in there][-1:]]
    if best := best_free([one for one in validation if not one.selector.startswith(MAJORITY_VOTE)]):
        selectors.append(best.selector)
    blanks, seed = parts.run.results.parent / "blank", parts.recipe.data.seed
    return evaluate_controls(test, results, selectors, controls, parts.ask, blanks=blanks, seed=seed)


def _shortlists(parts: Parts, test: Tasks, trained: Trained) -> list[Shortlist]:
    """What mixed similarity and every trained policy can choose from: the pool, or so many entries of the bank."""
    size = NEAREST
    most_similar = [nearest_candidates(test, row, size) for row in range(len(test.queries))]
    return [
        shortlist(test, "mixed", None, most_similar),
        *(
            shortlist(
                test, manifest.phase, manifest.seed, PolicySelector(manifest.phase, policy).shortlists(test, size)
            )
            for policy, manifest in trained
        ),
    ]


def trained_policies(parts: Parts) -> Trained:
    """The best epoch of every phase and seed. Raises InputError where a phase has no epoch."""
    return [
        _best(parts, seed, phase)
        for phase in PHASES
        if getattr(parts.recipe, phase).epochs
        for seed in parts.recipe.seeds
    ]


def trained_entrants(trained: Trained) -> list[Entrant]:
    """Every trained policy, and the last phase's sequences in reverse order too."""
    entrants = []
    for policy, manifest in trained:
        selector = PolicySelector(manifest.phase, policy)
        entrants.append(Entrant(selector, manifest.seed))
        if manifest.phase == trained[-1][1].phase:
            entrants.append(Entrant(Reversed(selector), manifest.seed))
    return entrants


def _best(parts: Parts, seed: int, phase: Phase) -> tuple[Policy, Manifest]:
    row = best_checkpoint(parts.run.epochs(), seed, phase, getattr(parts.recipe, phase).best_by)
    return load_policy(parts.run.epoch(seed, phase, int(str(row["epoch"]))))
