"""The budget of a prompt: demonstrations are left out, or shown without their images, until it fits.

The demonstrations farthest from the query, which stand first, go first: similar selectors, and policies by default,
put what they prefer next to the query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from shotsmith.errors import DataError
from shotsmith.recipe.models import PromptSettings
from shotsmith.records import Example, Request


@dataclass(frozen=True, slots=True)
class Fitted:
    """A prompt within its budget, and what that took."""

    request: Request
    left_out: int = 0
    """Demonstrations that are not shown: so many of the first."""
    without_image: int = 0
    """Demonstrations that are shown without the images they have: so many of the first that have some."""


class PromptBudget:
    """Fits prompts into `max_tokens` and `max_images` of the settings, and counts what that takes."""

    def __init__(self, settings: PromptSettings, length: Callable[[Request], int] | None = None) -> None:
        """`length` counts the tokens of a prompt, those of its images included; `max_tokens` needs it."""
        if settings.max_tokens is not None and length is None:
            raise ValueError("max_tokens needs something that counts tokens")
        self._settings = settings
        self._length = length
        self.counts = {"prompts": 0, "demonstrations": 0, "left_out": 0, "without_image": 0}
        """Of all prompts that were asked for."""

    def fit(self, request: Request) -> Fitted:
        """The prompt after the fewest steps that make it fit.

        A step leaves out the first demonstration; with `over_budget: show_without_image`, it first takes the images of
        one demonstration after the other. Raises DataError where the query alone does not fit.
        """
        shown = request.demonstrations
        for left_out, without_image in self._steps(shown):
            shorter = replace(request, demonstrations=shortened(shown, left_out, without_image))
            if self.fault(shorter) is None:
                return Fitted(shorter, left_out, without_image)
        raise DataError(
            f"the query does not fit into the budget of a prompt even without demonstrations: {self.fault(shorter)}",
            row=request.query.id,
            field="vlm.prompt",
        )

    def fault(self, request: Request) -> str | None:
        """What exceeds the budget; None where the prompt fits as it is."""
        images, tokens = self._settings.max_images, self._settings.max_tokens
        if images is not None and len(request.images) > images:
            return f"{len(request.images)} images, more than max_images {images}"
        if tokens is not None and self._length is not None and (length := self._length(request)) > tokens:
            return f"{length} tokens, more than max_tokens {tokens}"
        return None

    def count(self, fitted: Fitted) -> None:
        """Count a prompt that is asked for."""
        self.counts["prompts"] += 1
        self.counts["demonstrations"] += len(fitted.request.demonstrations) + fitted.left_out
        self.counts["left_out"] += fitted.left_out
        self.counts["without_image"] += fitted.without_image

    def _steps(self, shown: Sequence[Example]) -> Iterator[tuple[int, int]]:
        """(left out, shown without image) after every step, from nothing to no demonstration at all."""
        bare = self._settings.over_budget == "show_without_image"
        for without_image in range(_with_images(shown) + 1 if bare else 1):
            yield 0, without_image
        for left_out in range(1, len(shown) + 1):
            yield left_out, _with_images(shown[left_out:]) if bare else 0


def shortened(shown: Sequence[Example], left_out: int, without_image: int) -> tuple[Example, ...]:
    """Demonstrations as a budget has them shown (the numbers are those of `Fitted`)."""
    rest = list(shown[left_out:])
    having = [place for place, example in enumerate(rest) if example.images]
    for place in having[:without_image]:
        rest[place] = replace(rest[place], images=())
    return tuple(rest)


def _with_images(shown: Sequence[Example]) -> int:
    return sum(bool(example.images) for example in shown)
