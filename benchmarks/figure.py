"""The README's figure, drawn from a finished run: `python benchmarks/figure.py RUN OUT.svg`."""

from __future__ import annotations

import argparse
import re
from importlib import resources
from pathlib import Path

from shotsmith.files import write_text
from shotsmith.reports.curves import WIDE, accuracy_chart
from shotsmith.reports.facts import facts
from shotsmith.reports.language import LANGUAGES
from shotsmith.runs import Run, show


def main() -> None:
    """Draw the accuracy of every selector over the number of shots, as an SVG that stands on its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    svg = accuracy_chart(facts(show(Run.open(options.run))), LANGUAGES["en"], WIDE)
    css = resources.files("shotsmith.reports").joinpath("templates/report.css").read_text(encoding="utf-8")
    kept = re.findall(r"^(?::root \{.*?^\}|@media \(prefers-color-scheme.*?^\}|\.(?:chart|s\d).*?)$", css, re.M | re.S)
    paper = '<rect width="100%" height="100%" style="fill:var(--paper)"/>'
    opened, rest = svg.split(">", 1)
    opened = opened.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    write_text(options.out, f"{opened}><style>{chr(10).join(kept)}</style>{paper}{rest}\n")


if __name__ == "__main__":
    main()
