"""The report's tables as rows of text, for Markdown and HTML alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shotsmith.reports.data import Kind, ShownMost
from shotsmith.reports.facts import Facts, Row, Shots
from shotsmith.reports.language import Language
from shotsmith.reports.numbers import duration, figure, figures, p_value, setting

EPOCH_COLUMNS = ("seed", "phase", "epoch", "val_reward", "val_loss", "ppo_loss", "kl", "adv_std")
"""Columns of the ten best epochs."""
FEW_COLUMNS = ("seed", "phase", "epoch", "val_reward", "val_loss", "kl")
"""The same where two such tables stand side by side."""
ALL_COLUMNS = (
    *("seed", "phase", "epoch", "train_loss", "val_loss", "ppo_loss", "kl", "adv_std", "adv_max", "beta", "reward"),
    *("frac_reward_zero_std", "entropy", "val_reward"),
)
"""Columns of the table of every epoch."""
_ENCODERS = ("encoder.image", "encoder.text", "encoder.precomputed.images", "encoder.precomputed.texts")
"""Settings that are shown only where a recipe gives them."""
MAIN_SETTINGS = (
    *("seeds", "data.train_queries", "data.val_queries", "data.test_queries", "vlm.path", "encoder.path"),
    *_ENCODERS,
    *("pools.sampler", "pools.size", "beam.queries", "beam.width", "beam.shots"),
    *("policy.hidden_size", "policy.layers", "policy.memory", "policy.dropout", "policy.temperature"),
    *("supervised.epochs", "supervised.learning_rate", "rce.epochs", "rce.learning_rate"),
    *("grpo.epochs", "grpo.learning_rate", "grpo.beta", "grpo.num_generations", "grpo.num_iterations"),
    *("grpo.sampling.source", "grpo.shots", "grpo.epsilon", "grpo.epsilon_high", "grpo.entropy_coef"),
    *("reward.vqa_accuracy", "reward.answer_probability", "evaluation.shots", "evaluation.oracle_tries"),
)
"""Settings shown in the report; names that a recipe does not have are left out."""
_OF_NO_IMPORT = ("data.", "vlm.", "encoder.", "pools.", "beam.", "evaluation.")
"""Settings that mean nothing where the rollouts are imported."""
_TEXT_COLUMNS = ("phase",)


@dataclass(frozen=True, slots=True)
class Table:
    """Text cells under headings; `strong` are the rows that stand out."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: frozenset[int] = frozenset({0})
    """Columns that hold words and are set to the left; the others hold numbers."""
    strong: frozenset[int] = frozenset()


def phases(facts: Facts, language: Language) -> Table:
    """Epochs done of those planned, phases by seeds."""
    cells = {(p.phase, p.seed): str(p.done) if p.planned is None else f"{p.done} / {p.planned}" for p in facts.phases}
    trained, seeds = (list(dict.fromkeys(names)) for names in zip(*cells, strict=True)) if cells else ((), ())
    rows = ((language.name(phase), *(cells[phase, seed] for seed in seeds)) for phase in trained)
    headings = (language.say("chart.seed", seed=seed) for seed in seeds)
    return Table((language.name("phase"), *headings), tuple(rows))


def configuration(facts: Facts, language: Language) -> Table | None:
    """The main settings; of a log all that are known."""
    settings = facts.settings
    names = list(settings) if facts.is_log else [name for name in MAIN_SETTINGS if name in settings]
    names = [name for name in names if name not in _ENCODERS or settings[name] is not None]
    if settings.get("rollouts.imported"):
        names = ["rollouts.imported", *(name for name in names if not name.startswith(_OF_NO_IMPORT))]
    rows = tuple((name, setting(settings[name])) for name in names)
    headings = (language.say("configuration.column.setting"), language.say("configuration.column.value"))
    return Table(headings, rows, frozenset({0, 1})) if rows else None


def epochs(rows: Iterable[Row], language: Language, columns: tuple[str, ...] = EPOCH_COLUMNS) -> Table:
    """One row per epoch."""
    known = list(rows)
    by_column = (
        [language.name(row[column]) for row in known]
        if column in _TEXT_COLUMNS
        else figures(row[column] for row in known)
        for column in columns
    )
    cells = tuple(zip(*by_column, strict=True))
    text = frozenset(place for place, column in enumerate(columns) if column in _TEXT_COLUMNS)
    return Table(tuple(language.name(column) for column in columns), cells, text)


def columns(facts: Facts, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the columns that are worth showing: a log has one seed, one phase and seldom every figure."""
    if not facts.is_log:
        return wanted
    rows = facts.shown["epochs"]
    return tuple(
        name for name in wanted if name not in ("seed", "phase") and any(row[name] is not None for row in rows)
    )


def best(row: Row, language: Language, meanings: bool = True) -> Table:
    """Every figure of one epoch; with its meaning where the run is our own."""
    names = ("metric", "value", "meaning") if meanings else ("metric", "value")
    cells = tuple(
        (language.name(column), figure(row[column]), language.say(f"meaning.{column}"))[: len(names)]
        for column in ALL_COLUMNS[3:]
        if row[column] is not None
    )
    return Table(tuple(language.say(f"best.column.{name}") for name in names), cells, frozenset({0, 2}))


def test(facts: Facts, cells: Mapping[str, Mapping[Shots, Row]], language: Language) -> Table:
    """Accuracy with interval, selectors by shots."""
    rows = tuple(
        (language.name(selector), *(_accuracy(by_shots.get(shots)) for shots in facts.shots))
        for selector, by_shots in cells.items()
    )
    strong = frozenset(place for place, selector in enumerate(cells) if selector == facts.trained)
    headings = tuple(shots_heading(shots, language) for shots in facts.shots)
    return Table((language.say("test.column.selector"), *headings), rows, strong=strong)


def recall(rows: Mapping[str, Row], heading: str, language: Language) -> Table:
    """Where points are lost: a row under each name, with the points that choice and retrieval miss."""
    columns = ("accuracy", "choice", "within", "retrieval", "oracle", "n")
    cells = tuple((name, *(_points(row[column]) for column in columns)) for name, row in rows.items())
    return Table((heading, *(language.say(f"recall.column.{column}") for column in columns)), cells)


def _points(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.1f}"


def kinds(rows: Iterable[Kind], facts: Facts, language: Language) -> Table:
    """Accuracy by kind of question, with the difference and its interval."""
    cells = tuple(
        (
            row.name,
            str(row.n),
            f"{row.free:.1f}",
            f"{row.trained:.1f}",
            f"{row.difference:+.1f}{interval_text(row)}",
            "-" if row.oracle is None else f"{row.oracle:.1f}",
        )
        for row in rows
    )
    kind, n, difference, oracle = (
        language.say(f"kinds.column.{name}") for name in ("kind", "n", "difference", "oracle")
    )
    selectors = (language.name(facts.best_free or ""), language.name(facts.trained or ""))
    return Table((kind, n, *selectors, difference, oracle), cells)


def interval_text(row: Kind) -> str:
    """The interval of a difference in brackets, after a space; empty where there is none."""
    return "" if row.low is None or row.high is None else f" [{row.low:+.1f}, {row.high:+.1f}]"


def shown_most(shown: ShownMost, language: Language) -> Table:
    """The entries of the bank that were shown to the most queries."""
    rows = tuple(
        (f"{entry.question} {entry.answer}".strip(), count_text(count, shown, language))
        for entry, count in shown.entries
    )
    headings = (language.say("shown_most.column"), language.say("shown_most.column.count"))
    return Table(headings, rows)


def count_text(count: int, shown: ShownMost, language: Language) -> str:
    """How many queries an entry was shown to."""
    return language.say("shown_most.count", count=count, share=100 * count / max(1, shown.queries))


def contrasts(rows: Iterable[Row], language: Language) -> Table:
    """Differences with intervals and p."""
    cells = tuple(
        (
            *(language.name(row["a"]), language.name(row["b"]), language.name(str(row["shots"]))),
            *(f"{row['difference']:+.1f}", language.interval(row["low"], row["high"]), p_value(row["p"])),
        )
        for row in rows
    )
    names = ("a", "b", "shots", "difference", "interval", "p")
    return Table(tuple(language.say(f"contrasts.column.{name}") for name in names), cells, frozenset({0, 1}))


def cost(facts: Facts, language: Language) -> Table:
    """Time, calls and cache hits per stage, and their sums."""
    stages = facts.shown["stages"]
    total = {key: sum(stage[key] for stage in stages) for key in ("seconds", "vlm_calls", "cache_hits")}
    rows = tuple(
        (language.name(row["name"]), duration(row["seconds"]), f"{row['vlm_calls']:,}", f"{row['cache_hits']:,}")
        for row in [*stages, {"name": language.say("cost.total"), **total}]
    )
    headings = tuple(language.say(f"cost.column.{name}") for name in ("stage", "time", "calls", "hits"))
    return Table(headings, rows, strong=frozenset({len(stages)}))


def shots_heading(shots: Shots, language: Language) -> str:
    """'1 shot', '2 shots', 'Mean'."""
    if shots == "mean":
        return language.say("test.column.mean")
    return language.say("test.column.shot") if shots == 1 else language.say("test.column.shots", shots=shots)


def _accuracy(row: Row | None) -> str:
    return "-" if row is None else f"{row['accuracy']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"
