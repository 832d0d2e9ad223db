"""Whether `shotsmith compare` keeps its word: how often it is wrong about equal runs, and how often it finds a gain.

Simulated runs of one policy are made of a pair of accuracies for every query and number of shots: from a finished
run where one is given (two seeds of its last phase), else drawn. Each simulation draws 800 queries anew and gives
each query's pair to the two runs in either order, so that neither is better; a gain is put in by turning wrong
answers of one run right. Run it with `python benchmarks/compare_power.py [RUN] --json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shotsmith.evaluation.compare import compare
from shotsmith.evaluation.results import Result, read_results
from shotsmith.statistics import detection_power, holm, sign_flip_p, smallest_detectable

Floats = npt.NDArray[np.float64]

QUERIES, SHOTS = 800, (1, 2, 3, 4)
ALPHA, POWER, GAIN = 0.05, 0.8, 5.0
RATE_WITHIN, POWER_WITHIN = 2.0, 5.0
"""Percentage points by which a rate of false positives, and a power, may differ from what is promised."""


def drawn_pairs(queries: int = 4000, seed: int = 0) -> Floats:
    """Accuracies in percent [queries, shots, 2] of two policies that share how hard a query is but not their luck."""
    generator = np.random.default_rng(seed)
    hard = generator.beta(0.6, 0.6, size=(queries, 1))
    chance = np.repeat(np.clip(hard + 0.1 * generator.normal(size=(queries, len(SHOTS))), 0, 1)[..., None], 2, axis=2)
    right = generator.random(chance.shape) < chance
    worth = generator.choice([100 / 3, 60.0, 90.0, 100.0], p=[0.1, 0.1, 0.1, 0.7], size=chance.shape)
    return np.where(right, worth, 0.0)


def pairs_of(path: Path) -> Floats:
    """The same from the results of a finished run with at least two seeds."""
    results = read_results(path / "evaluation" / "results.parquet")
    seeds = sorted({r.seed for r in results if r.selector == "grpo" and r.seed is not None})[:2]
    values = {(r.query_id, r.shots, r.seed): r.vqa_accuracy for r in results if r.selector == "grpo"}
    queries = sorted({query for query, *_ in values})
    table = [[[values[q, k, s] for s in seeds] for k in SHOTS] for q in queries]
    return 100 * np.array(table, dtype=np.float64)


def simulated(pairs: Floats, gain: float, generator: np.random.Generator) -> Floats:
    """Accuracies [QUERIES, shots, 2] of two runs, the second better by `gain` points on average."""
    chosen = pairs[generator.integers(len(pairs), size=QUERIES)]
    exchanged = generator.random(QUERIES) < 0.5
    runs = np.where(exchanged[:, None, None], chosen[..., ::-1], chosen)
    if gain:
        room = 100 - pairs.mean(axis=(0, 2))  # points that are left to win, by shots
        mended = generator.random((QUERIES, len(SHOTS))) < gain / room
        runs[..., 1] = np.where(mended, 100.0, runs[..., 1])
    return runs


def differences(pairs: Floats, gain: float, simulations: int, seed: int) -> Floats:
    """Second run minus the first [simulations, rows, QUERIES]; rows are the numbers of shots and their mean."""
    generator = np.random.default_rng(seed)
    tables = np.stack([simulated(pairs, gain, generator) for _ in range(simulations)])
    by_shots = (tables[..., 1] - tables[..., 0]).transpose(0, 2, 1)
    return np.concatenate([by_shots, by_shots.mean(axis=1, keepdims=True)], axis=1)


def p_values(tables: Floats) -> Floats:
    """[simulations, rows], by the function that `compare` uses."""
    simulations, rows, queries = tables.shape
    return sign_flip_p(tables.reshape(-1, queries)).reshape(simulations, rows)


def found_and_promised(pairs: Floats, gain: float, simulations: int, seed: int) -> tuple[Floats, Floats]:
    """For each row: in how many percent of simulations a gain is found, and in how many the formula says it is."""
    tables = differences(pairs, gain, simulations, seed)
    found = 100 * (p_values(tables) <= ALPHA).mean(axis=0)
    spreads = tables.std(axis=2, ddof=1).mean(axis=0)
    return found, np.array([100 * detection_power(gain, spread, QUERIES, alpha=ALPHA) for spread in spreads])


def as_results(accuracies: Floats) -> list[Result]:
    """[QUERIES, shots] in percent, as a run's rows."""
    return [
        Result(query, "grpo", 0, shots, 0, (), "", accuracies[query, place] / 100, None, "")
        for query in range(len(accuracies))
        for place, shots in enumerate(SHOTS)
    ]


def largest_gap_to_compare(pairs: Floats, seed: int, tables: int = 3) -> float:
    """Between the p of whole comparisons, corrected, and those computed here for many simulations at once."""
    gaps = []
    for gain in (0.0, GAIN):
        ours = p_values(differences(pairs, gain, tables, seed))
        generator = np.random.default_rng(seed)
        for row in range(tables):
            runs = simulated(pairs, gain, generator)
            compared = compare({"one": as_results(runs[..., 0]), "two": as_results(runs[..., 1])}, resamples=200)
            gaps.append(max(abs(a.p - p) for a, p in zip(compared.rows, holm(ours[row].tolist()), strict=True)))
    return max(gaps)


def measure(pairs: Floats, simulations: int, seed: int) -> dict[str, float]:
    """Every figure; rates and powers in percent."""
    null = differences(pairs, 0.0, simulations, seed)
    p = p_values(null)
    corrected = np.array([holm(row.tolist()) for row in p])
    detectable = [smallest_detectable(float(null[:, row].std(ddof=1)), QUERIES) for row in range(null.shape[1])]
    figures = {
        "false_positives_mean": 100 * float((p[:, -1] <= ALPHA).mean()),
        "false_positives_any_row": 100 * float((p <= ALPHA).mean()),
        "false_positives_table": 100 * float((corrected <= ALPHA).any(axis=1).mean()),
        "detectable_mean": detectable[-1],
        "detectable_one_shot": detectable[0],
    }
    for name, gain in (("gain_5", GAIN), ("gain_detectable", detectable[0])):
        found, promised = found_and_promised(pairs, gain, simulations, seed + 1)
        figures[f"power_{name}"] = float(found[0])
        figures[f"power_{name}_promised"] = float(promised[0])
        figures[f"power_{name}_largest_gap"] = float(np.abs(found - promised).max())
    figures["largest_gap_to_compare"] = largest_gap_to_compare(pairs, seed)
    return figures


def kept(figures: dict[str, float]) -> bool:
    """Whether every promise is kept."""
    rates = (figures["false_positives_mean"], figures["false_positives_any_row"])
    gaps = (figures["power_gain_5_largest_gap"], figures["power_gain_detectable_largest_gap"])
    return (
        all(abs(rate - 100 * ALPHA) <= RATE_WITHIN for rate in rates)
        and figures["false_positives_table"] <= 100 * ALPHA + RATE_WITHIN
        and all(gap <= POWER_WITHIN for gap in gaps)
        and figures["largest_gap_to_compare"] < 1e-9
    )


def main() -> None:
    """Print every figure, or with --json one object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", nargs="?", type=Path, help="a finished run with at least two seeds")
    parser.add_argument("--simulations", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pairs = pairs_of(options.run) if options.run else drawn_pairs()
    figures = {name: round(value, 12) for name, value in measure(pairs, options.simulations, options.seed).items()}
    if options.json:
        print(json.dumps({"figures": figures, "equal": kept(figures)}))
        return
    for name, value in figures.items():
        print(f"{name:36}{value:10.3f}")
    print("kept" if kept(figures) else "NOT KEPT")


if __name__ == "__main__":
    main()
