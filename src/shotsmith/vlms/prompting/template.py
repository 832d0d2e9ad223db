"""Prompt templates: small YAML files that say how examples are worded, and where a generated answer begins and ends.

Those in `templates/` are known by their name; any other is given by its path.
"""

from __future__ import annotations

import difflib
import string
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from shotsmith.errors import InputError
from shotsmith.recipe import Settings

TEMPLATES = Path(__file__).parent / "templates"
"""The templates in the package."""


class AnswerRule(Settings):
    """How an answer is found in what the model has generated."""

    starts: tuple[str, ...] = ()
    """What may stand before the answer and is no part of it; at most one of them is taken off."""
    ends: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    """Where it ends: at the first of these."""
    drop_period: bool = False
    """Take a final period off."""

    def cut(self, generated: str) -> str:
        """The answer, without surrounding space."""
        answer = generated.strip()
        start = next((start for start in self.starts if answer.startswith(start)), "")
        answer = answer.removeprefix(start).lstrip()
        for end in self.ends:
            answer = answer.partition(end)[0]
        answer = answer.strip()
        return answer.removesuffix(".").rstrip() if self.drop_period else answer


class Template(Settings):
    """The wording of a prompt's parts. The placeholders are {question}, {answer} and {image}; a brace is doubled."""

    demonstration: str
    """An example with its answer."""
    query: str
    """An example whose answer is left open. With one turn for each example, the wording of all questions."""
    image: str = "{image}"
    """What stands for an image in the layout `plain`; elsewhere the model's chat template says it."""
    answer: AnswerRule

    @field_validator("demonstration", "query", "image")
    @classmethod
    def _well_formed(cls, text: str) -> str:
        _placeholders(text)
        return text

    @model_validator(mode="after")
    def _complete(self) -> Template:
        for name, needed, allowed in (
            ("demonstration", {"answer"}, {"question"}),
            ("query", set(), {"question"}),
            ("image", {"image"}, set()),
        ):
            found = _placeholders(getattr(self, name))
            for placeholder in sorted(needed - set(found)):
                raise ValueError(f"{name}: the placeholder {{{placeholder}}} is missing")
            for placeholder in found:
                if placeholder not in needed | allowed or found.count(placeholder) > 1:
                    raise ValueError(f"{name}: the placeholder {{{placeholder}}} has no place here")
        shown, asked = ("question" in _placeholders(text) for text in (self.demonstration, self.query))
        if shown != asked:
            name = "query" if shown else "demonstration"
            raise ValueError(f"{name}: the placeholder {{question}} is missing")
        return self


def load_template(name: str) -> Template:
    """A template of the package by its name, any other by its path. Raises InputError naming file and field."""
    known = TEMPLATES / f"{name}.yaml"
    if "/" not in name and known.exists():
        return _read(known)
    path = Path(name).expanduser()
    if path.is_file():
        return _read(path)
    names = ", ".join(sorted(path.stem for path in TEMPLATES.glob("*.yaml")))
    problem = f"no such template; there are {names}, and files of your own"
    raise InputError(problem, file=name, field="vlm.prompt.template")


def _read(path: Path) -> Template:
    status = path.stat()
    return _parsed(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=64)
def _parsed(path: Path, _size: int, _mtime_ns: int) -> Template:
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"cannot be read: {error}", file=path) from error
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"is not valid YAML: {' '.join(str(error).split())}", file=path) from error
    if not isinstance(value, dict):
        raise InputError("a template is a mapping of fields", file=path)
    try:
        return Template.model_validate(value)
    except ValidationError as error:
        raise InputError("; ".join(map(_fault, error.errors())), file=path) from error


def _fault(fault: Mapping[str, Any]) -> str:
    *section, name = fault["loc"] or ("",)
    field = ".".join(str(part) for part in (*section, name))
    if fault["type"] == "extra_forbidden":
        known = AnswerRule.model_fields if section else Template.model_fields
        near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.0)
        return f"unknown field '{field}'" + (f" (did you mean '{near[0]}'?)" if near else "")
    said = str(fault["msg"]).removeprefix("Value error, ")
    return f"{field}: {said}" if field else said


def _placeholders(text: str) -> list[str]:
    """The names in braces, in order. Raises ValueError where braces are not closed, or hold more than a name."""
    found = []
    for _, name, form, conversion in string.Formatter().parse(text):
        if name is not None:
            if form or conversion or not name.isidentifier():
                raise ValueError(f"in braces stands the name of a placeholder and no more, not '{name}'")
            found.append(name)
    return found
