"""How many prompts have failed, most often why, and what can be done about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from shotsmith.completions.store import Store
from shotsmith.errors import StoreError
from shotsmith.runs import Run

_ADVICE: tuple[tuple[str, str], ...] = (
    (
        r"image\(s\)|number of images|too many images|images? (per|in one) (prompt|request)|limit.mm.per.prompt",
        "the server takes fewer images than a prompt has: start it with --limit-mm-per-prompt '{\"image\": N}', "
        "or set vlm.prompt.max_images=N",
    ),
    (
        r"context.{0,10}length|context window|max_model_len|maximum model length"
        r"|too many tokens|maximum.{0,20}tokens|prompt is too long"
        r"|too long for|exceeds?.{0,30}tokens",
        "prompts are longer than the server's context: start it with a larger --max-model-len, "
        "or set vlm.prompt.max_tokens (with vlm.server.processor)",
    ),
    (
        r"\b40[13]\b|refuses the key|api.?key|unauthori[sz]ed|invalid.{0,10}token",
        "check the key in the environment variable that vlm.server.api_key_env names",
    ),
    (r"\b402\b|quota|billing|credit", "check the account's quota and credit"),
    (r"\b429\b|rate.?limit|too many requests", "lower vlm.server.concurrency or raise vlm.server.retries"),
    (r"\b413\b|payload|too large", "the images are too large for the server: make them smaller"),
    (r"finish_reason content_filter|refuses to answer|withheld", "the server filters these prompts or answers"),
    (r"no answer within", "raise vlm.server.timeout_seconds or lower vlm.server.concurrency"),
    (r"prompt_logprobs", "log-probabilities of given answers need a vLLM server (vlm.server.kind)"),
)
"""What a reason looks like -> what to do; the first that fits."""


@dataclass(frozen=True, slots=True)
class FailedPrompts:
    """Prompts of a run that still have no answer."""

    failed: int
    asked: int
    """Prompts that were asked for, the failed ones included."""
    reason: str
    """The commonest one."""
    times: int
    """Prompts that failed for it."""
    advice: str | None

    @property
    def share(self) -> float:
        """Failed prompts over all."""
        return self.failed / self.asked

    def __str__(self) -> str:
        often = "" if self.times >= self.failed else f", {self.times:,} of them"
        advice = f" ({self.advice})" if self.advice else ""
        return f"{self.failed:,} of {self.asked:,} prompts failed{often}: {self.reason}{advice}"

    def as_json(self) -> dict[str, Any]:
        """The fields by their names."""
        return {name: getattr(self, name) for name in ("failed", "asked", "reason", "times", "advice")}


def failed_prompts(store: Store, origin_prefix: str = "") -> FailedPrompts | None:
    """The failed prompts of the origins with this prefix; None where none failed."""
    with store.explained():
        ours = "substr(origin, 1, length(?1)) = ?1"
        execute = store.connection.execute
        (failed,) = execute(f"SELECT count(*) FROM failing WHERE {ours}", (origin_prefix,)).fetchone()
        commonest = execute(
            f"SELECT reason, count(*) FROM failing JOIN failures USING (key) WHERE {ours} "
            "GROUP BY reason ORDER BY count(*) DESC, reason LIMIT 1",
            (origin_prefix,),
        ).fetchone()
    if commonest is None:
        return None
    reason, times = commonest
    return FailedPrompts(failed, failed + store.count(origin_prefix), reason, times, advice(reason))


def failed_prompts_of(run: Run) -> FailedPrompts | None:
    """The same of a run, by its store; None also where that is not there or cannot be opened."""
    file = run.recipe.store or run.completions
    if not file.exists():
        return None
    try:
        with Store.open(file) as store:
            return failed_prompts(store, origin_prefix(run))
    except StoreError:
        return None


def origin_prefix(run: Run) -> str:
    """What the origins of a run begin with: in a shared store every run pays under its own name."""
    return f"{run.recipe.name}:" if run.recipe.store else ""


def advice(reason: str) -> str | None:
    """What to do about a failure; None where that is not known."""
    return next((told for pattern, told in _ADVICE if re.search(pattern, reason, re.IGNORECASE)), None)
