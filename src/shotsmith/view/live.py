"""The panel on which a run is watched: what the page asks for every second, what it asks for on a change, and stop."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response

from shotsmith.attempts import ATTEMPT_FILE
from shotsmith.completions.summary import failed_prompts_of
from shotsmith.errors import ShotsmithError
from shotsmith.files import Row
from shotsmith.reports.language import LANGUAGES
from shotsmith.runs import Run
from shotsmith.view import findings as telling
from shotsmith.view.opened import run_of
from shotsmith.view.remembered import Remembered, stamps, version
from shotsmith.view.standing import standing
from shotsmith.view.stopping import interrupt

FAILURES_SECONDS = 15.0
"""How often the prompts that failed are counted while a run is at work; the store changes with every batch."""

Lang = Annotated[str, Query(pattern=f"^({'|'.join(LANGUAGES)})$")]


def router(runs: Mapping[str, Run]) -> APIRouter:
    """The routes of the panel. All of them read the run's folder only."""
    routes = APIRouter(prefix="/api/runs/{name}/live")
    kept = Remembered()

    def epochs_of(name: str, run: Run) -> list[Row]:
        return kept.get((name, "epochs"), stamps((run.metrics_file,)), run.epochs)

    @routes.get("")
    def live(name: str, request: Request) -> Response:
        """Say where a run stands now, and the versions of what is asked for apart."""
        run = run_of(runs, name)
        told = standing(run, epochs_of(name, run))
        told["versions"] = {part: version(name, keys) for part, keys in _keys(run).items()}
        return _unless_known(request, told)

    @routes.get("/curves")
    def curves(name: str) -> dict[str, Any]:
        """Figures by epoch."""
        run = run_of(runs, name)
        return kept.get((name, "curves"), _keys(run)["curves"], lambda: telling.curves(run, epochs_of(name, run)))

    @routes.get("/findings")
    def findings(name: str, lang: Lang = "en") -> dict[str, Any]:
        """What the diagnosis finds so far, and the prompts that failed."""
        run, language = run_of(runs, name), LANGUAGES[lang]
        files, moment = _keys(run)["findings"]
        found = kept.get((name, "findings", lang), files, lambda: telling.findings(run, language))
        return {"findings": found, "failed_prompts": kept.get((name, "failed"), (files, moment), lambda: failed(run))}

    @routes.get("/outcome")
    def outcome(name: str, lang: Lang = "en") -> dict[str, Any]:
        """What the evaluation came to."""
        run, language = run_of(runs, name), LANGUAGES[lang]
        return kept.get((name, "outcome", lang), _keys(run)["outcome"], lambda: telling.outcome(run, language))

    @routes.post("/stop")
    def stop(name: str) -> dict[str, int]:
        """Interrupt the process of this machine that works on the run, as Ctrl-C does."""
        run = run_of(runs, name)
        try:
            return {"interrupted": interrupt(run.folder)}
        except ShotsmithError as error:
            raise HTTPException(409, str(error)) from error

    return routes


def _keys(run: Run) -> dict[str, Any]:
    """By part of the page, what changes when the files do that it is computed from."""
    measured = (run.recipe_file, run.metrics_file)
    ended = (run.stages_file, run.folder / ATTEMPT_FILE)
    moment = time.time() // FAILURES_SECONDS if run.status() == "running" else 0
    return {
        "curves": stamps(measured),
        "findings": (stamps((*measured, *ended, run.results, run.summary, run.evaluations_file)), moment),
        "outcome": stamps((*measured, run.summary, run.stages_file, run.report_html)),
    }


def failed(run: Run) -> dict[str, Any] | None:
    """The prompts of the run that failed; None where none did."""
    found = failed_prompts_of(run)
    return None if found is None else found.as_json()


def _unless_known(request: Request, told: Mapping[str, Any]) -> Response:
    """The answer, or 304 where the browser has it already."""
    body = json.dumps(told, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    tag = f'"{version(body)}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    return Response(body, media_type="application/json", headers={"ETag": tag})
