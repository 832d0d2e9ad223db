"""Every stage of a run tells the most memory it has taken, in `show` too."""

from __future__ import annotations

import itertools
import json

from typer.testing import CliRunner

from shotsmith.cli import app
from shotsmith.memory import peak_resident_bytes
from shotsmith.runs import Run, show


def test_every_stage_says_what_it_has_taken(finished: Run) -> None:
    peaks = [stage["peak_memory"] for stage in show(finished)["stages"]]
    assert peaks[0] > 0
    for before, after in itertools.pairwise(peaks):
        assert after > 0.99 * before, "a process that goes on cannot have held less at most"
    assert peaks[-1] <= peak_resident_bytes() * 1.01
    assert dict(zip((stage["name"] for stage in finished.stages()), peaks, strict=True)) == json.loads(
        finished.memory_file.read_text()
    )


def test_show_prints_it(finished: Run) -> None:
    shown = CliRunner().invoke(app, ["show", str(finished.folder)]).stdout
    assert "Most memory" in shown
    for stage in finished.stages():
        assert f"{stage['peak_memory'] / 1e6:,.0f} MB" in shown
