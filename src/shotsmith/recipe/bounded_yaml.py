"""YAML read within bounds: a small text can stand for gigabytes, or for what no file can hold."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from shotsmith.errors import RecipeError

MOST_BYTES = 64_000
"""Bytes of a recipe; a resolved one has about eight thousand."""
_MOST_VALUES = 50_000
"""Values of a recipe, each alias counted as all that it stands for."""
_MARKS, _MOST_MARKS = "[{,:-&*?", 15_000
"""Characters that begin a value, and how many of them are parsed: that takes half a second."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in one section: the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"key '{key.value}' stands twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_text(path: Path) -> str:
    """The text of a recipe. Raises RecipeError where it cannot be read or is too long."""
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise RecipeError("no such recipe", file=path) from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file has
        raise RecipeError(f"cannot be read: {error}", file=path) from error
    if len(content) > MOST_BYTES:
        raise RecipeError(f"is not valid YAML of a recipe: more than {MOST_BYTES:,} bytes", file=path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(f"cannot be read: {error}", file=path) from error


def read_yaml(text: str, subject: str, file: Path | None = None) -> Any:
    """The value of a YAML text. Raises RecipeError that begins with `subject`, such as 'is', and names the line."""
    if len(text) > MOST_BYTES or sum(map(text.count, _MARKS)) > _MOST_MARKS:
        raise RecipeError(f"{subject} not valid YAML of a recipe: too long", file=file)
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _check_size(node, {}, set())
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        row = error.problem_mark.line + 1 if file and error.problem_mark else None
        raise RecipeError(f"{subject} not valid YAML: {error.problem}", file=file, row=row) from error
    except RecursionError as error:
        raise RecipeError(f"{subject} nested too deeply", file=file) from error
    except (yaml.YAMLError, ValueError, ArithmeticError, TypeError, LookupError, AttributeError) as error:
        # The 13th month, and other values that only look like one of YAML's types.
        raise RecipeError(f"{subject} not valid YAML: {' '.join(str(error).split())}", file=file) from error


def _check_size(node: yaml.Node, sizes: dict[int, int], above: set[int]) -> int:
    """The values under a node, aliases followed. Raises MarkedYAMLError for too many, a circle, or half characters."""
    if isinstance(node, yaml.ScalarNode):
        if _UNSTORABLE.search(node.value):
            problem = "a text holds NUL or half of a surrogate pair, which cannot be stored"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return 1
    if id(node) in above:
        raise yaml.MarkedYAMLError(problem="a value contains itself", problem_mark=node.start_mark)
    if id(node) not in sizes:
        above.add(id(node))
        inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        size = 1 + sum(_check_size(part, sizes, above) for part in inner)
        above.discard(id(node))
        if size > _MOST_VALUES:
            problem = f"stands for more than {_MOST_VALUES:,} values, aliases followed"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        sizes[id(node)] = size
    return sizes[id(node)]
