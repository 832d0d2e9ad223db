"""Metrics of multiple choice: by the letter that a VLM writes, or by the option with the highest likelihood."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from shotsmith.metrics.metric import plain, some

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        r"\s*([a-z])\s*",  # B
        r"\s*\(\s*([a-z])\s*\).*",  # (B) red
        r"\s*([a-z])\s*[.:),](?!\w).*",  # B. red
        r".*?\b(?:answer|option|choice)\b(?:\s+is)?\s*:?\s*\(?([a-z])\b(?!').*",  # the answer is (B)
    )
)


def chosen_letter(text: str) -> str | None:
    """The letter of the option that a text names, as a capital; None where it names none.

    The whole text is the letter, or it begins with it, in brackets or before a period, colon, bracket or comma, or
    the letter follows "answer", "option" or "choice".
    """
    first = " ".join(text.split())
    return next((found[1].upper() for form in _FORMS if (found := form.fullmatch(first))), None)


def letter_or_text(text: str) -> str:
    """The letter of the option that a text names; the text itself where it names none."""
    return chosen_letter(text) or plain(text)


def choice_letter(prediction: str, answers: Sequence[str]) -> float:
    """1 if the prediction names the letter of a right option, else 0: accuracy over queries.

    Generated answers are read as in multiple-choice benchmarks (ScienceQA, arXiv 2209.09513; MMMU, arXiv 2311.16502).
    Raises DataError if there are no answers.
    """
    letter = chosen_letter(prediction)
    return float(letter is not None and letter in {answer.strip().upper() for answer in some(answers)})


def choice_likelihood(prediction: str, answers: Sequence[str]) -> float:
    """1 if the prediction, the option of the highest log-probability, is a right one, else 0: accuracy over queries.

    Log-probabilities are summed over an option's tokens (Brown et al. 2020, arXiv 2005.14165, section 2.4, without a
    correction for length: options given as letters need none). Raises DataError if there are no answers.
    """
    return float(prediction in some(answers))


def likeliest(options: Sequence[str], log_probs: Mapping[str, float]) -> str | None:
    """The option with the highest log-probability, the first among equals; None where one is missing."""
    if not options or any(option not in log_probs for option in options):
        return None
    return max(options, key=lambda option: log_probs[option])


def not_letters(answers: Sequence[str]) -> str | None:
    """The problem of answers of which one is not a single letter; None where all are."""
    for answer in answers:
        if len(answer.strip()) != 1 or answer.strip().upper() not in LETTERS:
            return f"is not the letter of an option: {answer!r} (name the column of the options: columns.options)"
    return None
