"""The routes of the panel of test queries: their list, one of them opened, and "what if"."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from shotsmith.errors import InputError
from shotsmith.runs import PHASES, Phase, Run
from shotsmith.selectors.named import AT_BANK
from shotsmith.view.bank_search import found_in_bank
from shotsmith.view.opened import run_of
from shotsmith.view.pictures import encoded, picture_of
from shotsmith.view.policy_choices import PolicyChoices
from shotsmith.view.query_list import answered, listing
from shotsmith.view.query_opened import entries, opened
from shotsmith.view.run_data import RunData, run_data
from shotsmith.view.what_if import Answerer, VLMThread, question

_LONGEST = 64
"""Demonstrations of a sequence that is asked about."""
Id = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Sequence = Annotated[str, Query(max_length=22 * _LONGEST, pattern=r"^(-?\d{1,19}(,-?\d{1,19})*)?$")]
"""Ids with commas between them, in the order shown."""


class WhatIf(BaseModel):
    """A query with demonstrations of one's choice."""

    model_config = ConfigDict(extra="forbid")

    query: Id
    sequence: list[Id] = Field(max_length=_LONGEST)
    ask: bool = False
    """Whether the VLM is asked where the answer is not known."""


class Opened:
    """What the routes keep of each run: its policies and its answers, until its results change."""

    def __init__(self) -> None:
        self._thread = VLMThread()
        self._answerers: dict[str, Answerer] = {}
        self._policies: dict[tuple[str, Phase, int], PolicyChoices] = {}
        self._columns: dict[tuple[str, int | None], tuple[RunData, bytes]] = {}

    def answerer(self, name: str, data: RunData) -> Answerer:
        """What answers the questions of a run."""
        known = self._answerers.get(name)
        if known is None or known.data is not data:
            known = self._answerers[name] = Answerer(data, self._thread)
        return known

    def columns(self, name: str, data: RunData, shots: int | None, make: Callable[[], object]) -> Response:
        """The list of queries, or the answers at a number of shots; large, and written as JSON once."""
        known = self._columns.get((name, shots))
        if known is None or known[0] is not data:
            known = data, json.dumps(make(), allow_nan=False, separators=(",", ":")).encode()
            self._columns[name, shots] = known
        return Response(known[1], media_type="application/json")

    def policy(self, name: str, data: RunData, phase: Phase | None, seed: int | None) -> PolicyChoices:
        """A policy of a run; the last phase with results and the first seed by default. Raises InputError."""
        phase = phase or next((one for one in PHASES if one == data.trained), None)
        if phase is None:
            raise InputError("nothing has been trained in this run", file=data.run.folder)
        key = name, phase, data.run.recipe.seeds[0] if seed is None else seed
        known = self._policies.get(key)
        if known is None or known.data is not data:
            known = self._policies[key] = PolicyChoices(data, *key[1:])
        return known


def router(runs: Mapping[str, Run]) -> APIRouter:
    """The routes over these runs. They read the run folders and write nothing."""
    routes = APIRouter(prefix="/api/runs/{name}")
    kept = Opened()

    def data_of(name: str) -> RunData:
        return run_data(run_of(runs, name))

    @routes.get("/queries")
    def listed(name: str) -> Response:
        """List all test queries, as columns."""
        data = data_of(name)
        return kept.columns(name, data, None, lambda: listing(data))

    @routes.get("/queries/shots/{shots}")
    def at_shots(name: str, shots: int) -> Response:
        """Say what every selector answered at one number of shots, as columns."""
        data = data_of(name)
        return kept.columns(name, data, shots, lambda: answered(data, shots))

    @routes.get("/queries/{query}")
    def one(name: str, query: Id) -> dict[str, Any]:
        """Open a query: all its results, and what they show."""
        return opened(data_of(name), query)

    @routes.get("/queries/{query}/scores")
    def scores(name: str, query: Id) -> dict[str, Any]:
        """Give, for every result of the query, the policy's probability of each demonstration when it is chosen."""
        data = data_of(name)
        policy = kept.policy(name, data, None, None)
        number = data.number_of(query)
        tries = data.tries.get(query, ())
        found: list[list[float] | None] = [None] * len(tries)
        for pool in (False, True):
            of = [place for place, one in enumerate(tries) if _chooses_from_pool(data, one.selector) == pool]
            values = policy.probabilities(number, [tries[place].sequence for place in of], pool=pool)
            for place, some in zip(of, values, strict=True):
                found[place] = some
        return {"policy": policy.told(), "scores": found}

    @routes.get("/queries/{query}/choices")
    def choices(
        name: str,
        query: Id,
        sequence: Sequence = "",
        selector: Annotated[str, Query(max_length=200)] = "",
        seed: int | None = None,
    ) -> dict[str, Any]:
        """Give the policy's choices on the way to a sequence: of each step the alternatives with probabilities."""
        data = data_of(name)
        phase = next((one for one in PHASES if one == selector.removesuffix(AT_BANK).removesuffix("_reversed")), None)
        policy = kept.policy(name, data, phase, seed)
        pool = _chooses_from_pool(data, selector)
        steps = policy.steps(data.number_of(query), _ids(sequence), pool=pool)
        shown = [one["id"] for step in steps for one in step["alternatives"]] + [step["chosen"] for step in steps]
        some = entries(data, [number for number in dict.fromkeys(shown) if number is not None])
        return {"policy": policy.told(), "outwards": policy.policy.outwards, "steps": steps, "examples": some}

    @routes.get("/queries/{query}/prompt")
    def prompt(name: str, query: Id, sequence: Sequence = "") -> dict[str, Any]:
        """Show the prompt of a sequence exactly as the VLM is sent it."""
        data = data_of(name)
        return kept.answerer(name, data).prompt(question(data, query, _ids(sequence)))

    @routes.get("/bank")
    def bank(name: str, query: Id, words: Annotated[str, Query(max_length=200)]) -> dict[str, Any]:
        """Search the bank by id or words for what the query can be shown."""
        return found_in_bank(data_of(name), words, query)

    @routes.post("/what-if")
    def what_if(name: str, body: WhatIf) -> dict[str, Any]:
        """Answer a query with any demonstrations: from the store, or by the VLM where that is asked for."""
        data = data_of(name)
        asked = question(data, body.query, body.sequence)
        return kept.answerer(name, data).answer(asked, ask=body.ask)

    @routes.get("/pictures/{split}/{example}/{number}")
    def picture(name: str, split: str, example: Id, number: int, size: Literal["small", "large"] = "large") -> Response:
        """Return a picture of an example, as WebP of bounded size."""
        file = picture_of(data_of(name).example(split, example), number)
        return Response(encoded(file, size), media_type="image/webp", headers={"Cache-Control": "max-age=300"})

    return routes


def _ids(sequence: str) -> list[int]:
    return [int(one) for one in sequence.split(",") if one]


def _chooses_from_pool(data: RunData, selector: str) -> bool:
    return data.run.recipe.pools is not None and not selector.endswith(AT_BANK)
