"""The page of the benchmarks: what each measures and how it is run, from the docstrings of the scripts."""

from __future__ import annotations

import ast
import json
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks"
HEAD = """# Benchmarks

The figures of speed and quality in these pages come from the scripts of `benchmarks/`. They run from a checkout, in
the environment that `make setup` makes; the page is written from their docstrings.

With `--json` the last line is `{"figures": {...}, "equal": true}`: names and numbers, and whether what must be equal
was. A change that can alter results reruns the benchmark it concerns. `make bench` runs all behind these pages at
full size, which takes hours; it can be stopped and continued. Figures that it has kept stand with their benchmark,
with the machine they were measured on.
"""
RESULTS = FOLDER / "results"


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD]
    for script in scripts():
        parts += [f"## {script.name}\n", _docstring(script) + "\n", figures(RESULTS / f"{script.stem}.json")]
    return "\n".join(parts)


def figures(file: Path) -> str:
    """The figures that `make bench` has kept of a benchmark as a table, with how they were measured; '' without any."""
    if not file.exists():
        return ""
    found = json.loads(file.read_text(encoding="utf-8"))
    machine = found["machine"]
    rows = [f"| `{name}` | {value:,.4g} |" for name, value in found["figures"].items()]
    measured = (
        f"`{' '.join(found['command'])}` took {found['seconds']:,.0f} s on {found['date']}, commit "
        f"`{found['commit'][:12]}`, {machine['cpus']} CPUs ({machine['processor']}), {machine['memory_gb']} GB, "
        f"Python {machine['python']}. Results equal: {'yes' if found['equal'] else 'no'}."
    )
    return "\n".join([measured, "", "| figure | value |", "|---|---|", *rows, ""])


def scripts() -> list[Path]:
    """The scripts that can be run; what they import from each other is left out."""
    return [
        path for path in sorted(FOLDER.glob("*.py")) if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    ]


def _docstring(script: Path) -> str:
    return ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
