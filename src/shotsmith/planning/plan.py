"""The plan of a recipe: by part of a stage, what it costs at most and, where something was measured, an estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from shotsmith.errors import InputError
from shotsmith.planning.bounds import STAGES, Prompts, Stage, bounds
from shotsmith.planning.measured import Measured
from shotsmith.planning.sizes import Sizes, Tokens
from shotsmith.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Speed:
    """How long one device takes: seconds of a call by stage, or seconds of a prompt token."""

    per_call: Mapping[Stage, float] | None = None
    per_token: float | None = None

    @classmethod
    def given(cls, prompts_per_second: float | None, tokens_per_second: float | None) -> Speed | None:
        """The speed that the command names, if any. Raises InputError for both, or one that is not above 0."""
        if prompts_per_second is not None and tokens_per_second is not None:
            raise InputError("give either prompts or tokens per second")
        for name, value in (("prompts", prompts_per_second), ("tokens", tokens_per_second)):
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{value:g} {name} per second are no speed", field=f"--{name}-per-second")
        if prompts_per_second is not None:
            return cls(per_call=dict.fromkeys(STAGES, 1 / prompts_per_second))
        return None if tokens_per_second is None else cls(per_token=1 / tokens_per_second)

    def hours(self, stage: Stage, calls: float, tokens: float | None) -> float | None:
        """Hours of some calls with so many tokens in all; None where tokens decide and are unknown."""
        if self.per_call is not None:
            return calls * self.per_call[stage] / 3600
        return None if tokens is None or self.per_token is None else tokens * self.per_token / 3600


@dataclass(frozen=True, slots=True)
class Figures:
    """What some prompts cost; None where it is unknown."""

    requests: float | None
    """Prompts requested, of the store or of the VLM; there is no estimate of them."""
    calls: float | None
    text_tokens: float | None
    image_tokens: float | None
    device_hours: float | None

    @classmethod
    def total(cls, several: Sequence[Figures]) -> Figures:
        """The sum; None where a summand is unknown."""
        values = [[getattr(each, field.name) for each in several] for field in fields(cls)]
        return cls(*(None if None in known else sum(known) for known in values))


@dataclass(frozen=True, slots=True)
class Planned:
    """One part of a stage, or a total."""

    stage: str
    part: str
    most: Figures
    """Of the most calls that there can be, as long as none fails. Requests and calls are exact bounds; tokens are those
    of prompts of mean length."""
    expected: Figures | None
    """An estimate; None where nothing was measured."""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        expected = {} if self.expected is None else asdict(self.expected)
        figures = {name: {"most": value, "expected": expected.get(name)} for name, value in asdict(self.most).items()}
        return {"stage": self.stage, "part": self.part, **figures}


@dataclass(frozen=True, slots=True)
class Plan:
    """All parts, in the order in which they run."""

    parts: tuple[Planned, ...]
    estimated_from: str | None
    """What the estimate was made from, in words; None where there is none."""

    def total(self, stage: str | None = None) -> Planned:
        """The sum over a stage, or over everything."""
        parts = [part for part in self.parts if stage in (None, part.stage)]
        expected = [part.expected for part in parts if part.expected is not None]
        return Planned(
            stage or "total",
            "",
            Figures.total([part.most for part in parts]),
            Figures.total(expected) if self.estimated_from is not None else None,
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        stages = dict.fromkeys(part.stage for part in self.parts)
        return {
            "estimated_from": self.estimated_from,
            "parts": [part.as_json() for part in self.parts],
            "stages": [self.total(stage).as_json() for stage in stages],
            "total": self.total().as_json(),
        }


def make_plan(recipe: Recipe, sizes: Sizes, measured: Measured | None = None, speed: Speed | None = None) -> Plan:
    """Plan a recipe. The speed is the one given, or else the one measured; without either, hours are unknown."""
    if speed is None and measured is not None:
        speed = Speed(per_call=measured.seconds)
    by_part: dict[tuple[Stage, str], list[Prompts]] = {}
    for each in bounds(recipe, sizes):
        by_part.setdefault(each.part, []).append(each)
    parts = []
    for part, prompts in by_part.items():
        most, expected = _figures(prompts, 1.0, sizes.tokens, speed), None
        if measured is not None:
            share = min(1.0, measured.shares.get(part, 1.0))
            expected = replace(_figures(prompts, share, sizes.tokens, speed), requests=None)
        parts.append(Planned(*part, most, expected))
    return Plan(tuple(parts), None if measured is None else measured.source)


def _figures(prompts: Sequence[Prompts], share: float, tokens: Tokens | None, speed: Speed | None) -> Figures:
    """What a share of the most calls costs."""
    every = []
    for each in prompts:
        calls, texts, images, both = share * each.calls, None, None, None
        if tokens is not None:
            texts, images = (calls * mean for mean in tokens[min(each.demonstrations, len(tokens) - 1)])
            both = texts + images
        hours = None if speed is None else speed.hours(each.part[0], calls, both)
        every.append(Figures(each.requests, calls, texts, images, hours))
    return Figures.total(every)
