"""The panel on which a run is watched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter

from shotsmith.runs import Run, show
from shotsmith.view.opened import run_of


def router(runs: Mapping[str, Run]) -> APIRouter:
    """The routes of the panel."""
    routes = APIRouter()

    @routes.get("/api/runs/{name}/live")
    def live(name: str) -> dict[str, Any]:
        """Say where a run stands now."""
        shown = show(run_of(runs, name))
        return {"status": shown["status"], "stages": shown["stages"]}

    return routes
