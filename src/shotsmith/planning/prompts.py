"""Prompts as a plan counts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["beam", "train", "evaluate"]
STAGES: tuple[Stage, ...] = ("beam", "train", "evaluate")


@dataclass(frozen=True, slots=True)
class Prompts:
    """Numbers of one kind of prompt: of one part of a stage, with so many demonstrations."""

    stage: Stage
    part: str
    demonstrations: float
    requests: float
    """Prompts wanted (estimated); equal ones of one group (or of one comparison) count once."""
    calls: float
    """Those of them that the store cannot answer (estimated)."""
    most: float
    """Calls that there can be at most: the exact number where no sequence ever came twice."""
    text: bool = True
    """Whether an answer is generated."""
    answers: float = 0.0
    """Answers whose log-probability is asked for, in each prompt."""
    rounds: float = 0.0
    """Times that something must wait for these prompts; those of one round can be answered side by side. A
    part has at least one."""
