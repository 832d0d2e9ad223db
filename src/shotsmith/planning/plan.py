"""The plan of a recipe: its prompts by part, in tokens, bytes and hours.

The number of VLM calls is an estimate, and so is what follows from it; the most calls there can be is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from shotsmith.planning.behaviour import USUAL, Behaviour
from shotsmith.planning.evaluation import evaluation
from shotsmith.planning.prompts import Prompts, Stage
from shotsmith.planning.searching import beam_search
from shotsmith.planning.sizes import QuerySize, Sizes
from shotsmith.planning.speed import Speeds
from shotsmith.planning.stored import bytes_per_completion, other_bytes
from shotsmith.planning.training import Setting, training
from shotsmith.recipe import Recipe
from shotsmith.recipe.models import PromptSettings
from shotsmith.rewards import needs_zero_shot
from shotsmith.runs import SPLITS, Split
from shotsmith.runs.stages import STAGE_NAMES

Corrections = Mapping[tuple[str, str], float]
"""(stage, part) -> factor on its calls."""

_ORIGIN: Mapping[Stage, str] = {"beam": "beam", "train": "seed-0/grpo/epoch-001", "evaluate": "evaluation"}
"""Who pays, as the store keeps it with every completion."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What some prompts cost."""

    requests: float = 0.0
    calls: float = 0.0
    text_tokens: float = 0.0
    image_tokens: float = 0.0
    generated_tokens: float = 0.0
    stored_bytes: float = 0.0
    device_hours: float = 0.0
    wall_hours: float = 0.0

    def __add__(self, other: Figures) -> Figures:
        return Figures(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(Figures)))


@dataclass(frozen=True, slots=True)
class Planned:
    """One part of a stage."""

    stage: str
    part: str
    expected: Figures
    """An estimate, but for the parts that nothing but the recipe decides."""
    most_calls: float
    """VLM calls that there can be at most, as long as none fails."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All parts, in the order in which they run."""

    parts: tuple[Planned, ...]

    def total(self, stage: str | None = None) -> Planned:
        """The sum over a stage, or over everything."""
        parts = [part for part in self.parts if stage in (None, part.stage)]
        expected = sum((part.expected for part in parts), start=Figures())
        return Planned(stage or "total", "", expected, sum(part.most_calls for part in parts))

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        stages = dict.fromkeys(part.stage for part in self.parts)
        return {
            "parts": [_as_json(part) for part in self.parts],
            "stages": [_as_json(self.total(stage)) for stage in stages],
            "total": _as_json(self.total()),
        }


def make_plan(
    recipe: Recipe,
    sizes: Sizes,
    speeds: Speeds | None = None,
    devices: int = 1,
    corrections: Corrections | None = None,
    behaviour: Behaviour = USUAL,
) -> Plan:
    """Plan a recipe. Without `speeds` hours stay 0; `devices` run side by side in `wall_hours`."""
    recipe = fitted(recipe, sizes)
    prompts = prompts_of(recipe, sizes, behaviour)
    parts = _planned(prompts, recipe, sizes, speeds, devices, corrections or {})
    prepared = [
        Planned(stage, "files" if stage == "train" else "", Figures(stored_bytes=size), 0)
        for stage, size in other_bytes(recipe, sizes)
        if stage == "train" or recipe.rollouts.imported is None
    ]
    return Plan(tuple(sorted((*prepared, *parts), key=lambda part: STAGE_NAMES.index(part.stage))))


def fitted(recipe: Recipe, sizes: Sizes) -> Recipe:
    """The recipe with no more queries and candidates than there are, as a run takes them (shotsmith.data.sizes)."""
    counts = {
        f"{split}_queries": min(getattr(recipe.data, f"{split}_queries"), sizes.examples[split]) for split in SPLITS
    }
    data = recipe.data.model_copy(update=counts)
    beam = recipe.beam.model_copy(update={"queries": min(recipe.beam.queries, data.train_queries)})
    pools = recipe.pools and recipe.pools.model_copy(update={"size": min(recipe.pools.size, sizes.bank)})
    return recipe.model_copy(update={"data": data, "beam": beam, "pools": pools})


def prompts_of(recipe: Recipe, sizes: Sizes, behaviour: Behaviour) -> list[Prompts]:
    """Every kind of prompt of every stage; none where the rollouts are imported."""
    if recipe.rollouts.imported is not None:
        return []
    setting = Setting(
        recipe,
        behaviour,
        sizes.bank,
        has_images=sizes.has_images and recipe.encoder.embeds_images,
        answers=sizes.queries["train"].answers,
        zero_shot=needs_zero_shot(recipe.reward),
        options=sizes.queries["test"].options,
    )
    beam = recipe.beam
    candidates = setting.nearest(beam.candidates)
    searched = beam_search("beam", "search", beam.queries, candidates, beam.width, beam.shots)
    return [*(searched if recipe.supervised.epochs else ()), *training(setting), *evaluation(setting)]


def _planned(
    prompts: Iterable[Prompts],
    recipe: Recipe,
    sizes: Sizes,
    speeds: Speeds | None,
    devices: int,
    corrections: Corrections,
) -> list[Planned]:
    by_part: dict[tuple[Stage, str], list[Prompts]] = {}
    for each in prompts:
        by_part.setdefault((each.stage, each.part), []).append(each)
    found = []
    for key, group in by_part.items():
        most, calls = (sum(getattr(each, name) for each in group) for name in ("most", "calls"))
        factor = min(corrections.get(key, 1.0), most / calls if calls else 1.0)
        figures = sum((_cost(each, factor, recipe, sizes) for each in group), start=Figures())
        if speeds is not None:
            seconds = speeds[key[0]].seconds(figures.calls, figures.text_tokens + figures.image_tokens)
            figures += _hours(figures.calls, seconds, max(1.0, sum(each.rounds for each in group)), devices)
        found.append(Planned(*key, figures, most))
    return found


def _cost(prompts: Prompts, factor: float, recipe: Recipe, sizes: Sizes) -> Figures:
    query = sizes.queries[_split(prompts)]
    calls = factor * prompts.calls
    origin = f"{recipe.name}:{_ORIGIN[prompts.stage]}" if recipe.store else _ORIGIN[prompts.stage]
    text_bytes = round(query.answer_bytes) if prompts.text else 0
    stored = bytes_per_completion(origin, text_bytes, round(prompts.answers), round(query.answer_bytes))
    shown, with_image = _shown(prompts.demonstrations, query, sizes, recipe.vlm.prompt)
    return Figures(
        requests=prompts.requests,
        calls=calls,
        text_tokens=calls * (query.text + shown * sizes.text),
        image_tokens=calls * (query.image + with_image * sizes.image),
        generated_tokens=calls * query.generated * prompts.text,
        stored_bytes=calls * stored,
    )


def _shown(demonstrations: float, query: QuerySize, sizes: Sizes, settings: PromptSettings) -> tuple[float, float]:
    """Demonstrations of a prompt of mean size that its budget leaves, and how many of them are shown with their image.

    Taken are one image an example and demonstrations of one size.
    """
    whole = with_image = demonstrations
    if settings.max_images is not None and sizes.has_images:
        with_image = min(with_image, settings.max_images - 1)
    left = math.inf if settings.max_tokens is None else max(0.0, settings.max_tokens - query.text - query.image)
    if settings.over_budget == "leave_out":
        each = sizes.text + sizes.image
        whole = with_image = min(with_image, left / each if each else math.inf)
        return whole, with_image
    whole = min(whole, left / sizes.text if sizes.text else math.inf)
    spare = max(0.0, left - whole * sizes.text)
    return whole, min(with_image, whole, spare / sizes.image if sizes.image else math.inf)


def _split(prompts: Prompts) -> Split:
    if "validation" in prompts.part:
        return "val"
    return "test" if prompts.stage == "evaluate" else "train"


def _hours(calls: float, seconds: float, rounds: float, devices: int) -> Figures:
    """In every round each device takes whole prompts: more devices than prompts of a round are idle."""
    each = math.ceil(calls / rounds / devices) * rounds
    return Figures(device_hours=seconds / 3600, wall_hours=seconds * (each / calls if calls else 0.0) / 3600)


def _as_json(part: Planned) -> dict[str, Any]:
    figures: dict[str, Any] = {name: {"expected": value} for name, value in asdict(part.expected).items()}
    figures["calls"]["most"] = part.most_calls
    return {"stage": part.stage, "part": part.part, **figures}
