"""The console that every verb prints to: what data say is shown, never obeyed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from shotsmith.visible import visible


class Console(rich.console.Console):
    """A console of rich that shows control characters by their codes.

    Strings are no markup unless `markup` is asked for: an answer such as [stop] is shown as it is.
    """

    def __init__(self, *, markup: bool = False, **options: Any) -> None:
        super().__init__(markup=markup, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Styled text of a string, made visible before rich drops some of its characters."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of whatever is printed."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)
