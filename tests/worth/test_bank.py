"""A whole bank judged from a run folder: what is listed, what it is judged on, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_bank import HARMFUL, USEFUL, Banked, banked_run
from small_explored import explored_run

from shotsmith.completions.prompts import PromptLog, read_prompts
from shotsmith.errors import DataError, InputError
from shotsmith.recipe import parse_recipe
from shotsmith.records import Example, Request
from shotsmith.runs import Run
from shotsmith.worth.asked import LEAVE_ONE_OUT, read_asked
from shotsmith.worth.bank import BankWorth, bank_worth, top_lists
from shotsmith.worth.told import entry, flat, overview, sentences


@pytest.fixture(scope="module")
def banked(tmp_path_factory: pytest.TempPathFactory) -> Banked:
    return banked_run(tmp_path_factory.mktemp("banked"))


@pytest.fixture(scope="module")
def worth(banked: Banked) -> BankWorth:
    return bank_worth(banked.run)


def test_wrong_labels_are_listed_and_most_of_what_is_listed_is_wrong(banked: Banked, worth: BankWorth) -> None:
    listed = [worth.asked.bank[row].id for row in worth.mend]
    wrong = {one.id for one in worth.asked.bank} & banked.wrong
    assert len(wrong & set(listed)) > 0.85 * len(wrong) and len(wrong & set(listed)) > 0.85 * len(listed)
    assert any(group.attribute == "look" and group.worse for group in worth.groups)
    assert any(line.startswith("Mend:") for line in sentences(worth))


def test_the_useful_and_the_harmful_entry_are_listed(worth: BankWorth) -> None:
    assert 20 + USEFUL in worth.useful and 20 + HARMFUL in worth.harmful
    assert not set(worth.useful) & set(worth.harmful)
    assert worth.judged_on == "train and val"
    assert worth.values[20 + USEFUL].value > 40 > -40 > worth.values[20 + HARMFUL].value


def test_what_is_shown_is_counted_by_split_selector_and_kind(worth: BankWorth) -> None:
    shown = worth.shown[20 + USEFUL]
    assert shown.train == 20 and shown.val == 0 and sum((shown.kinds or {}).values()) >= 20
    rows = {row for result in worth.asked.results for row in map(worth.asked.row_of.__getitem__, result.sequence)}
    assert {row for row, one in enumerate(worth.shown) if one.selectors} == rows
    never = set(worth.never_shown)
    assert never and not never & rows and not any(worth.shown[row].total for row in never)


def test_lists_for_reports_hold_what_is_shown_most(worth: BankWorth) -> None:
    found = top_lists(worth, 3)
    assert all(len(rows) <= 3 for rows in found.values())
    totals = [worth.shown[row].total for row in found["most_shown"]]
    assert totals == sorted(totals, reverse=True) and totals[0] == max(one.total for one in worth.shown)


def test_everything_is_told_as_plain_values(worth: BankWorth) -> None:
    told = json.loads(json.dumps(overview(worth, 4), allow_nan=False))
    assert told["entries"] == len(worth.asked.bank) and len(told["lists"]["mend"]) == 4
    assert told["counts"]["mend"] == len(worth.mend)
    rows = [flat(entry(worth, row)) for row in range(len(worth.asked.bank))]
    assert all(isinstance(value, str | int | float | None) for row in rows for value in row.values())


def test_a_run_without_a_log_is_judged_on_test_queries_and_without_the_oracle(tmp_path: Path) -> None:
    run = explored_run(tmp_path)
    worth = bank_worth(run)
    assert worth.judged_on == "test" and worth.labels is None and worth.asked.prompts == ()
    assert {prompt.split for prompt in worth.asked.judged[0]} == {"test"}
    failed = [result for result in worth.asked.results if result.text is None]
    assert failed and len(worth.asked.judged[0]) <= len(worth.asked.results) - len(failed)


def test_prompts_that_were_asked_to_judge_entries_are_no_evidence(tmp_path: Path) -> None:
    run = banked_run(tmp_path).run
    before = read_asked(run)
    bank = before.bank
    log = PromptLog(run.prompts)
    log.add(["ab" * 32], [Request(bank[0], (bank[30],))], LEAVE_ONE_OUT)
    log.close()
    after = read_asked(run)
    assert after.prompts == before.prompts and after.unscored == before.unscored


def test_an_unknown_example_in_the_log_is_an_error_that_names_it(tmp_path: Path) -> None:
    run = explored_run(tmp_path)
    stranger = Example(987654, (), 1, "", ("x",))
    log = PromptLog(run.prompts)
    log.add(["ab" * 32], [Request(stranger, ())], "evaluation")
    log.close()
    with pytest.raises(DataError, match="987654"):
        read_asked(run)
    assert [prompt.query for prompt in read_prompts(run.prompts)] == [987654]


def test_a_run_without_data_is_refused(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", parse_recipe({"name": "x", "data": {"world": {}}}))
    with pytest.raises(InputError, match="has no data yet"):
        bank_worth(run)


def test_nothing_in_the_run_folder_changes(banked: Banked) -> None:
    def contents() -> dict[str, bytes]:
        files = sorted(path for path in banked.run.folder.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in files}

    before = contents()
    bank_worth(banked.run)
    assert contents() == before
