"""The reward."""

from __future__ import annotations

from pathlib import Path

from shotsmith.metrics.cider import CiderScorer
from shotsmith.recipe import Recipe
from shotsmith.records import Completion, Example
from shotsmith.rewards import Answered, highest_reward, reward


def rewards(recipe: Recipe, _folder: Path) -> object:
    """Of a right, a nearly right and a wrong answer, each after another number of demonstrations."""
    truths = ("jar",) * 5 + ("glass bowl",) * 3 + ("vase",) * 2
    query = Example(7, (Path("x.png"),), 1, "what is it?", truths)
    captions = CiderScorer([truths, ("a red bus",), ("a cat",)])
    log_probs = {"jar": -1.4, "glass bowl": -0.7, "vase": -3.5}
    found = [
        reward(Answered(query, Completion(text, log_probs), shown, -3.0, captions), recipe.reward)
        for shown, text in enumerate(("vase", "glass jug", "cat", "jar"))
    ]
    return found, highest_reward(recipe.reward)
