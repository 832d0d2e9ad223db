"""What is known of a bank as plain values: for JSON, tables, files and pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from shotsmith.worth.bank import BankWorth
from shotsmith.worth.coverage import Region
from shotsmith.worth.groups import Group
from shotsmith.worth.value import Value

LISTS = ("mend", "drop", "harmful", "useful", "most_shown", "never_shown")
"""The lists of entries, by the names of the properties of BankWorth."""


def overview(worth: BankWorth, number: int) -> dict[str, Any]:
    """Counts, the first `number` entries of every list, and what groups and regions say."""
    labels = worth.labels
    bank = worth.asked.bank
    lists = {name: getattr(worth, name) for name in LISTS}
    contradictory = worth.contradictory
    return {
        "run": str(worth.asked.run.folder),
        "entries": len(bank),
        "shown": sum(1 for shown in worth.shown if shown.total or shown.selectors),
        "trained": worth.trained,
        "prompts": len(worth.asked.judged[0]),
        "unscored": worth.asked.unscored,
        "judged_on": worth.judged_on,
        "scale": worth.asked.scale,
        "labels_judged": labels is not None,
        "wrong_expected": None if labels is None else float(labels.wrong.sum()),
        "counts": {
            **{name: len(rows) for name, rows in lists.items()},
            "near_duplicates": sum(len(rows) - 1 for rows in worth.duplicates.members.values()),
            "contradictory": len(contradictory),
            "collect": len(worth.collect),
        },
        "lists": {name: [entry(worth, row) for row in rows[:number]] for name, rows in lists.items()},
        "contradictory": [
            [entry(worth, row) for row in worth.duplicates.members[first]] for first in contradictory[:number]
        ],
        "groups": [_group(group, worth) for group in worth.groups],
        "regions": [_region(region) for region in worth.regions],
    }


def entry(worth: BankWorth, row: int) -> dict[str, Any]:
    """Everything about one entry: what it says, how often it was shown and to whom, its value, its label, its flags."""
    example, shown = worth.asked.bank[row], worth.shown[row]
    value, labels = worth.values.get(row), worth.labels
    right, wrong = (int(count) for count in worth.copies[row])
    return {
        "row": row,
        "id": example.id,
        "question": example.question,
        "answer": example.answer,
        "question_type": example.question_type,
        "shown": shown.total,
        "shown_train": shown.train,
        "shown_val": shown.val,
        "shown_test": shown.test,
        "selectors": dict(shown.selectors or {}),
        "kinds": dict(shown.kinds or {}),
        "value": None if value is None else value.value,
        "low": None if value is None else value.low,
        "high": None if value is None else value.high,
        "p": None if value is None else value.p,
        "adjusted_p": None if value is None else value.adjusted,
        "value_queries": 0 if value is None else value.queries,
        "wrong": None if labels is None else float(labels.wrong[row]),
        "suggested": None if labels is None else labels.suggested[row],
        "evidence": None
        if labels is None
        else {
            "similar_examples": float(labels.consensus[row]),
            "copies": float(labels.copies[row]),
            "look": float(labels.prior[row]),
        },
        "copied_right": right,
        "copied_wrong": wrong,
        "duplicates": [worth.asked.bank[other].id for other in worth.duplicates.of(row)],
        "flags": list(worth.flags[row]),
    }


def flat(told: dict[str, Any]) -> dict[str, Any]:
    """An entry as one row of a table: lists joined with blanks, mappings as `name=count`."""
    found = {key: value for key, value in told.items() if key != "evidence"}
    found |= {f"evidence_{key}": value for key, value in (told["evidence"] or {}).items()}
    for key in ("selectors", "kinds"):
        found[key] = " ".join(f"{name}={count}" for name, count in told[key].items())
    for key in ("duplicates", "flags"):
        found[key] = " ".join(map(str, told[key]))
    return found


def sentences(worth: BankWorth) -> Sequence[str]:
    """What to do, in plain words, the most important first."""
    said = []
    labels = worth.labels
    if worth.mend:
        said.append(
            f"Mend: {len(worth.mend):,} of {len(worth.asked.bank):,} entries likely "
            f"{'has' if len(worth.mend) == 1 else 'have'} a wrong answer. Look at the first of the list; similar "
            "examples say what the answer should be."
        )
    elif labels is None:
        said.append("Labels were not judged: the bank is small, has no embeddings, or its answers seldom repeat.")
    for group in worth.groups:
        if group.worse:
            name = (
                "whose pictures look alike" if group.attribute == "look" else f"with {group.attribute} '{group.name}'"
            )
            ids = ", ".join(str(worth.asked.bank[row].id) for row in group.examples[:4])
            said.append(
                f"A source to check: {100 * (group.wrong or 0):.0f} % of {group.entries:,} entries {name} likely have "
                f"a wrong answer, against {100 * (group.rest_wrong or 0):.0f} % of the others (for example {ids})."
            )
    if worth.drop:
        entries = "entry lowers" if len(worth.drop) == 1 else "entries lower"
        said.append(
            f"Drop: {len(worth.drop):,} {entries} the score where shown, though the answer is not likely wrong: shown "
            "to questions that it does not answer."
        )
    if worth.contradictory:
        groups = "group of near-duplicates gives" if len(worth.contradictory) == 1 else "groups of near-duplicates give"
        said.append(f"Decide: {len(worth.contradictory):,} {groups} different answers to one question.")
    if collect := worth.collect:
        questions = list(dict.fromkeys(question for region in collect for question in region.questions))
        lacking = sum(len(region.queries) for region in collect)
        regions = "region" if len(collect) == 1 else "regions"
        said.append(
            f"Collect: {lacking:,} queries in {len(collect)} {regions} are answered worse than the others and have few "
            f"entries near them. They ask: {'; '.join(questions[:6])}"
        )
    return said


def value_text(value: Value | None) -> str:
    """A value with its interval, such as '-12.3 [-20.1, -4.5]'."""
    if value is None:
        return "-"
    interval = "" if value.low is None or value.high is None else f" [{value.low:+.1f}, {value.high:+.1f}]"
    return f"{value.value:+.1f}{interval}"


def _group(group: Group, worth: BankWorth) -> dict[str, Any]:
    told = asdict(group)
    told["examples"] = [worth.asked.bank[row].id for row in group.examples]
    return {**told, "worse": group.worse}


def _region(region: Region) -> dict[str, Any]:
    told = asdict(region)
    return {**told, "queries": len(region.queries), "query_ids": list(region.queries[:6])}
