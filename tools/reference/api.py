"""The page of the Python API: the public names of the package; mkdocstrings fills in signatures and docstrings."""

from __future__ import annotations

import inspect

import shotsmith
from shotsmith import errors

HEAD = """# The Python API

The names that `import shotsmith` offers are stable within a minor version; everything else may change. [Use a
selector](serving.md) shows them at work. The page is written from the docstrings.
"""


def page() -> str:
    """The page as Markdown, with a directive of mkdocstrings for every name."""
    parts = [HEAD]
    for name in shotsmith.__all__:
        value = getattr(shotsmith, name)
        parts += [_directive(f"shotsmith.{name}", f"{value.__module__}.{value.__qualname__}")]
    parts += [
        "## Errors\n",
        "Every error that Shotsmith raises on purpose is one of these. The command line prints it as one line.\n",
    ]
    parts += [
        _directive(f"shotsmith.errors.{each.__name__}", f"shotsmith.errors.{each.__name__}", 3)
        for each in error_types()
    ]
    return "\n".join(parts)


def error_types() -> list[type[Exception]]:
    """The exception tree, without its root, which is a public name itself."""
    classes = [
        each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, errors.ShotsmithError)
    ]
    return [each for each in classes if each is not errors.ShotsmithError]


def _directive(heading: str, identifier: str, level: int = 2) -> str:
    options = {"heading": heading, "toc_label": heading, "heading_level": level}
    lines = [f"      {name}: {value}" for name, value in options.items()]
    return "\n".join([f"::: {identifier}", "    options:", *lines]) + "\n"
