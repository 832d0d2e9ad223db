"""Summarise a store: counts and sizes, failed prompts with advice, and whether all texts are the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from shotsmith.completions.store import Store
from shotsmith.errors import StoreError
from shotsmith.metrics.vqa import normalise
from shotsmith.runs import Run

MIN_COMPLETIONS = 200
"""The fewest equal texts that are reported: fewer may be equal by coincidence."""
_MAX_SPELLINGS = 20
"""Distinct spellings of one answer beyond which texts count as different."""

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
"""Pairs (pattern of a failure reason, advice); the first matching pattern applies."""

_OF_ORIGIN = "substr(origin, 1, length(?1)) = ?1"
"""The SQL condition that an origin begins with the first parameter."""


@dataclass(frozen=True, slots=True)
class Overview:
    """Counts and sizes of a store."""

    completions: int
    texts: int
    """Completions whose text was requested."""
    truncated: int
    """Texts that a server cut off at the token limit."""
    log_probs: int
    bytes: int
    """Size of the database file and its write-ahead log."""
    calls: Mapping[str, int]
    """VLM calls by the origin that paid for them."""
    failures: Mapping[str, int]
    """Failures by reason, for prompts that have no completion."""
    missing: Mapping[str, int]
    """Completions that were stored once and are no longer in the file, by origin."""


@dataclass(frozen=True, slots=True)
class FailedPrompts:
    """Prompts that have no completion, with the most common reason."""

    failed: int
    asked: int
    """Prompts that were sent, failed ones included."""
    reason: str
    """The most common reason."""
    times: int
    """Prompts that failed for this reason."""
    advice: str | None

    @property
    def share(self) -> float:
        """Failed prompts as a share of all prompts."""
        return self.failed / self.asked

    def __str__(self) -> str:
        often = "" if self.times >= self.failed else f", {self.times:,} of them"
        advice = f" ({self.advice})" if self.advice else ""
        prompts = "prompt" if self.asked == 1 else "prompts"
        return f"{self.failed:,} of {self.asked:,} {prompts} failed{often}: {self.reason}{advice}"

    def as_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in ("failed", "asked", "reason", "times", "advice")}


def overview(store: Store) -> Overview:
    """Count everything in a store. Reads the whole file.

    Raises StoreError for a damaged file or one with values that no store holds.
    """
    store.verify()
    with store.naming_file():
        execute = store.connection.execute
        completions, texts = execute("SELECT count(*), count(text) FROM completions").fetchone()
        (truncated,) = execute("SELECT count(*) FROM truncated").fetchone()
        (log_probs,) = execute("SELECT count(*) FROM log_probs").fetchone()
        calls = dict(execute("SELECT origin, count FROM calls ORDER BY origin").fetchall())
    log = store.path.with_name(f"{store.path.name}-wal")
    size = store.path.stat().st_size + (log.stat().st_size if log.exists() else 0)
    return Overview(completions, texts, truncated, log_probs, size, calls, store.failures(), store.missing())


def failed_prompts(store: Store, origin_prefix: str = "") -> FailedPrompts | None:
    """Summarise the failed prompts of the origins with this prefix; None where no prompt failed."""
    with store.naming_file():
        execute = store.connection.execute
        (failed,) = execute(f"SELECT count(*) FROM failing WHERE {_OF_ORIGIN}", (origin_prefix,)).fetchone()
        most_common = execute(
            f"SELECT reason, count(*) FROM failing JOIN failures USING (key) WHERE {_OF_ORIGIN} "
            "GROUP BY reason ORDER BY count(*) DESC, reason LIMIT 1",
            (origin_prefix,),
        ).fetchone()
    if most_common is None:
        return None
    reason, times = most_common
    return FailedPrompts(failed, failed + store.count(origin_prefix), reason, times, advice(reason))


def failed_prompts_of(run: Run) -> FailedPrompts | None:
    """Summarise the failed prompts of a run; None where no prompt failed or its store cannot be opened."""
    return _of_run(run, failed_prompts)


def sole_text(store: Store, origin_prefix: str = "") -> tuple[str, int] | None:
    """Return the text that all completions of the origins with this prefix share, and the number of completions.

    Texts are compared normalised. Returns None where they differ or there are fewer than MIN_COMPLETIONS.
    """
    condition = f"text IS NOT NULL AND {_OF_ORIGIN}"
    with store.naming_file():
        execute = store.connection.execute
        texts = execute(
            f"SELECT DISTINCT text FROM completions WHERE {condition} LIMIT {_MAX_SPELLINGS}", (origin_prefix,)
        ).fetchall()
        if len({normalise(text) for (text,) in texts}) != 1 or len(texts) == _MAX_SPELLINGS:
            return None
        (total,) = execute(f"SELECT count(*) FROM completions WHERE {condition}", (origin_prefix,)).fetchone()
    return (texts[0][0], total) if total >= MIN_COMPLETIONS else None


def sole_text_of(run: Run) -> tuple[str, int] | None:
    """Return the text that all completions of a run share, and their number.

    Returns None where the texts differ, there are fewer than MIN_COMPLETIONS, or the store cannot be opened.
    """
    return _of_run(run, sole_text)


def origin_prefix(run: Run) -> str:
    """Return the prefix of the origins of a run: its name in a shared store, else nothing."""
    return f"{run.recipe.name}:" if run.recipe.store else ""


def advice(reason: str) -> str | None:
    """Return what to do about a failure; None for an unknown reason."""
    return next((text for pattern, text in _ADVICE if re.search(pattern, reason, re.IGNORECASE)), None)


_Summary = TypeVar("_Summary")


def _of_run(run: Run, summarise: Callable[[Store, str], _Summary | None]) -> _Summary | None:
    """Summarise the completions of a run; None where its store does not exist or cannot be opened."""
    file = run.recipe.store or run.completions
    if not file.exists():
        return None
    try:
        with Store.open_to_read(file) as store:
            return summarise(store, origin_prefix(run))
    except StoreError:
        return None
