"""The stages of an experiment: one table of what each reads and writes, and the log of those that have finished.

A stage is done once `stages.jsonl` has a line with its name. The line is appended after everything that the stage
writes is on disk, so a stage that was killed is done again. The functions that do the stages are in
`shotsmith.experiment`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shotsmith.files import Row, append_row, read_rows
from shotsmith.recipe import Recipe

_EXAMPLES = ("world", "skipped.jsonl")
_QUERIES = (*_EXAMPLES, "embeddings", "pools")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its inputs and outputs in the run folder.

    The completions store is no output of a stage: every stage that asks the VLM adds to it.
    """

    name: str
    reads: tuple[str, ...]
    """Names (or patterns of names) in the run folder that the stage reads, where they are there."""
    writes: tuple[str, ...]
    """Names (or patterns of names) in the run folder that the stage writes, where the recipe asks for them."""
    origins: tuple[str, ...] = ()
    """Prefixes of the origin that the store keeps with every completion the stage asks for; none: it asks no VLM."""
    settings: Callable[[Recipe], object] | None = None
    """The settings that its output depends on, beside those of the stages before it.

    Another run with equal settings can take the output over. None: the output is never taken over.
    """


STAGES: tuple[Stage, ...] = (
    Stage("data", (), _EXAMPLES, settings=lambda recipe: (recipe.data.source, recipe.data.bank, recipe.data.skip_bad)),
    Stage("embed", _EXAMPLES, ("embeddings",), settings=lambda recipe: recipe.encoder.without_cluster),
    Stage(
        "pools",
        (*_EXAMPLES, "embeddings"),
        ("pools", "barred.json"),
        settings=lambda recipe: (recipe.data, recipe.pools),
    ),
    Stage("beam", _QUERIES, ("beam.json",), ("beam",), settings=lambda recipe: (recipe.vlm, recipe.beam)),
    Stage(
        "train", (*_QUERIES, "beam.json"), ("seed-*", "metrics.jsonl", "tensorboard"), origins=("seed-", "rollouts/")
    ),
    Stage("rank", ("metrics.jsonl",), ("ranking.json",)),
    Stage(
        "evaluate",
        (*_QUERIES, "beam.json", "seed-*", "metrics.jsonl"),
        ("evaluation", "evaluations.jsonl"),
        origins=("evaluation",),
    ),
    Stage("report", ("*",), ("report.md", "report.html")),
)
"""Every stage, in the order in which they run; the run is done when the last one is."""

STAGE_NAMES = tuple(stage.name for stage in STAGES)
LAST_STAGE = STAGE_NAMES[-1]

ORIGINS: Mapping[str, tuple[str, ...]] = {stage.name: stage.origins for stage in STAGES}
"""The origins of the completions that each stage asks for."""


@dataclass(frozen=True, slots=True)
class StageLog:
    """The stages that have finished, one JSON line each."""

    file: Path

    def rows(self) -> list[Row]:
        """The finished stages, in the order in which they first finished; of a repeated one, the last record."""
        return list({row["name"]: row for row in read_rows(self.file, ("name",))}.values())

    def is_done(self, stage: str) -> bool:
        """Whether the stage has finished."""
        return any(row["name"] == stage for row in self.rows())

    def record(
        self, stage: str, seconds: float, vlm_calls: int, cache_hits: int, **more: Mapping[str, object] | int
    ) -> None:
        """Append a finished stage, durably.

        `more`, where neither empty nor 0: `left_out`, what was not done, and why (a word); `work`, what the VLM of this
        process did; `budget`, what became of the demonstrations of prompts that exceeded their budget; `peak_memory`,
        the most bytes that the process of any attempt had held by its end.
        """
        row: Row = {"name": stage, "seconds": round(seconds, 3), "vlm_calls": vlm_calls, "cache_hits": cache_hits}
        append_row(self.file, row | {name: value for name, value in more.items() if value})
