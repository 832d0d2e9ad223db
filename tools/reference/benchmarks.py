"""The page of the benchmarks: what each measures and how it is run, from the docstrings of the scripts."""

from __future__ import annotations

import ast
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks"
HEAD = """# Benchmarks

The figures of speed and quality in these pages come from the scripts of `benchmarks/`. They run from a checkout, in
the environment that `make setup` makes; the page is written from their docstrings.

With `--json` the last line is `{"figures": {...}, "equal": true}`: names and numbers, and whether what must be equal
was. A change that can alter results reruns the benchmark it concerns. `make bench` runs the main ones at full size,
which takes hours.
"""


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for script in scripts():
        parts += [f"## {script.name}\n", _docstring(script) + "\n"]
    return "\n".join(parts)


def scripts() -> list[Path]:
    """The scripts that can be run; what they import from each other is left out."""
    return [
        path for path in sorted(FOLDER.glob("*.py")) if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    ]


def _docstring(script: Path) -> str:
    return ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
