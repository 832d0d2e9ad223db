"""The panel of queries in a real browser: hostile contents, the keyboard, both languages, narrow and dark windows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Chromium, Page, browser, needs_chromium
from running_server import running
from small_explored import Told, explored_run

from shotsmith.evaluation.results import Result
from shotsmith.records import Example
from shotsmith.runs import Run
from shotsmith.view.app import make_app
from shotsmith.view.run_data import run_data

pytestmark = needs_chromium

HOSTILE = (
    "<script>document.title = 'taken'</script>",
    "<img src=x onerror=\"document.title='taken'\"><b>bold</b>",
    "</script><svg onload=document.title='taken'>",
    "{{constructor.constructor('document.title=1')()}} ${alert(1)} `'\"",
    "\u202egnirts desrever \u2066 isolated \u200f mark",
    "control \x00\x07\x1b[31m\x7f\x85 \ufeff characters \u2028 and \u2029 lines",
    "מה יש בתמונה? ما هذا؟ 这是什么？ 👩‍👩‍👧",
    "javascript:document.title='taken'",
    "long " + "word" * 2500,
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with browser(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return explored_run(tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Questions, answers, kinds and completions that are markup, code, control characters or very long."""
    told = Told(
        question=lambda number: HOSTILE[number % len(HOSTILE)],
        answer=lambda number: HOSTILE[(number + 1) % len(HOSTILE)],
        completion=lambda query, selector, shots: HOSTILE[(query + len(selector) + shots) % len(HOSTILE)],
        kind=lambda number: HOSTILE[number % 3],
    )
    return explored_run(tmp_path_factory.mktemp("hostile"), told)


@pytest.fixture(scope="module")
def server(plain: Run, hostile: Run) -> Iterator[str]:
    with running(make_app({"plain": plain, "hostile": hostile})) as url:
        yield url


def shown(page: Page) -> None:
    page.wait_for("!!document.querySelector('.queries [data-row]')")


def opened(page: Page) -> None:
    page.wait_for("!!document.querySelector('.opened .selector') && !document.querySelector('[aria-busy], .waiting')")


def ids(page: Page) -> list[int]:
    """The queries listed, top to bottom."""
    rows = (
        "[...document.querySelectorAll('.rows [data-row]')].sort((one, other) => one.dataset.row - other.dataset.row)"
    )
    return [
        int(one) for one in page.evaluate(f"{rows}.map((row) => new URLSearchParams(row.href.split('?')[1]).get('id'))")
    ]


def choose(page: Page, name: str, value: str) -> None:
    field = f"const field = document.querySelector('.queries label:nth-child({name}) select')"
    page.evaluate(
        f"(() => {{ {field}; field.value = {json.dumps(value)}; field.dispatchEvent(new Event('change')); }})()"
    )


def write(page: Page, words: str) -> None:
    for letter in words:
        page.press(letter)


def test_hostile_contents_are_shown_and_do_nothing(chromium: Chromium, server: str, hostile: Run) -> None:
    data = run_data(hostile)
    with chromium.page(f"{server}/#/hostile/queries") as page:
        shown(page)
        listed = page.text(".rows")
        assert "<script>" in listed and "\\u202egnirts" in listed and "\\x1b[31m" in listed
        assert len(listed) < 9 * 2000, "long texts are cut"
        for query in data.queries:
            page.evaluate(f"location.hash = '#/hostile/queries?id={query.id}'")
            page.wait_for(f"document.querySelector('.opened .chips')?.innerText.includes('#{query.id}')")
            page.evaluate("document.querySelectorAll('.opened details').forEach((one) => { one.open = true; })")
            assert page.overflow() <= 0
        assert (
            page.evaluate("document.querySelectorAll('#panel script, #panel svg, #panel b.bold, #panel b > b').length")
            == 0
        )
        assert (
            page.evaluate("document.querySelectorAll('#panel img:not([src^=\"api/runs/hostile/pictures/\"])').length")
            == 0
        )
        assert page.evaluate("document.title") == "explored · Shotsmith"
        assert page.console == [] and page.foreign_requests(server) == []


def test_a_text_of_ten_thousand_characters_can_be_seen_whole(chromium: Chromium, server: str, hostile: Run) -> None:
    long = next(query for query in run_data(hostile).queries if len(query.question) > 10_000 - 6)
    with chromium.page(f"{server}/#/hostile/queries?id={long.id}") as page:
        opened(page)
        assert len(page.text(".query h2")) < 500
        page.click(".query h2 button")
        assert long.question in page.text(".query h2") and page.overflow() <= 0


def test_the_prompt_of_a_hostile_query_is_text(chromium: Chromium, server: str, hostile: Run) -> None:
    query = run_data(hostile).queries[0]
    with chromium.page(f"{server}/#/hostile/queries?id={query.id}&shots=1") as page:
        opened(page)
        page.click(".after .buttons button")
        page.wait_for("!!document.querySelector('.prompt pre')")
        assert "<|im_start|>user" in page.text(".prompt pre")
        assert page.evaluate("document.querySelectorAll('.prompt pre *').length") == 0 and page.console == []


def _is_found(query: Example, before: dict[int, Result], after: dict[int, Result]) -> bool:
    """Whether 3 stands in what is searched of a query; "thing" and "picture" stand everywhere."""
    said = (before[query.id].text or "", after[query.id].text or "")
    return "3" in " ".join((str(query.id), query.question, *query.answers, *said))


def test_filters_search_and_order_agree_with_the_results(chromium: Chromium, server: str, plain: Run) -> None:
    data = run_data(plain)
    first = {
        one.query_id: one for one in reversed(data.results) if (one.selector, one.shots, one.seed) == ("grpo", 1, 0)
    }
    before = {one.query_id: one for one in data.results if (one.selector, one.shots) == ("mixed", 1)}
    order = [query.id for query in data.queries]
    difference = {
        query: (first[query].vqa_accuracy or 0) - value
        for query in order
        if (value := before[query].vqa_accuracy) is not None
    }
    with chromium.page(f"{server}/#/plain/queries?shots=1") as page:
        shown(page)
        assert ids(page) == order
        for change, wanted in (("fixed", lambda one: one > 0), ("broken", lambda one: one < 0)):
            page.click(f".segments .{change}")
            assert ids(page) == [query for query in order if query in difference and wanted(difference[query])] != []
        page.click(".segments .all")
        choose(page, "4", "count")
        assert ids(page) == [query.id for query in data.queries if query.question_type == "count"]
        choose(page, "4", "")
        choose(page, "5", "right")
        assert ids(page) == [query for query in order if first[query].vqa_accuracy == 1] != []
        choose(page, "5", "")
        choose(page, "6", "gain")
        gained = sorted((query for query in difference), key=lambda query: (-difference[query], order.index(query)))
        assert ids(page) == gained + [query for query in order if query not in difference]
        choose(page, "6", "")
        page.press("/")
        write(page, "thing picture 3")
        wanted = [query.id for query in data.queries if _is_found(query, before, first)]
        assert ids(page) == wanted and 0 < len(wanted) < 9 and f"{len(wanted)} of 9" in page.text(".tally")
        assert "q=thing+picture+3" in page.evaluate("location.hash")
        assert page.console == []


def test_another_pair_and_number_of_shots_show_other_completions(chromium: Chromium, server: str, plain: Run) -> None:
    data = run_data(plain)
    query = data.queries[0].id
    with chromium.page(f"{server}/#/plain/queries?a=zero_shot&b=random&shots=2&id={query}") as page:
        opened(page)
        texts = {one.selector: one.text for one in reversed(data.tries[query]) if one.shots == 2}
        row = page.text(".rows [aria-current]")
        assert row.index(str(texts["zero_shot"])) <= row.rindex(str(texts["random"]))
        heads = page.evaluate("[...document.querySelectorAll('section.selector > h3')].map((one) => one.innerText)")
        assert [head.split()[0] for head in heads] == ["Zero-shot", "Random"]
        assert page.evaluate("document.querySelectorAll('section.after .attempt').length") == 2, "both draws"
        assert (
            page.evaluate("document.querySelectorAll('section.after .attempt:first-of-type .strip > li').length") == 2
        )


def test_the_keyboard_moves_opens_and_goes_back(chromium: Chromium, server: str, plain: Run) -> None:
    order = [query.id for query in run_data(plain).queries]
    with chromium.page(f"{server}/#/plain/queries") as page:
        shown(page)
        page.press("j")
        page.press("j")
        page.press("k")
        page.press("j")
        page.press("Enter")
        opened(page)
        assert f"id={order[1]}" in page.evaluate("location.hash")
        page.press("j")
        page.press("Enter")
        page.wait_for(f"document.querySelector('.opened .chips')?.innerText.includes('#{order[2]}')")
        page.press("Escape")
        page.wait_for("!location.hash.includes('id=') && !!document.querySelector('.overview')")
        assert page.evaluate("document.activeElement.dataset.row") == "2", "back on the row"
        page.press("/")
        assert page.evaluate("document.activeElement.type") == "search"
        page.press("Escape")
        assert page.evaluate("document.activeElement.type") != "search"


def test_demonstrations_are_changed_and_the_answer_follows(chromium: Chromium, server: str, plain: Run) -> None:
    data = run_data(plain)
    query = data.queries[0]
    known = {one.sequence: one.text for one in data.tries[query.id] if one.text is not None}
    grpo = next(one for one in data.tries[query.id] if (one.selector, one.shots, one.seed) == ("grpo", 2, 0))
    with chromium.page(f"{server}/#/plain/queries?shots=2&id={query.id}") as page:
        opened(page)
        page.click("section.after .buttons button:nth-child(3)")
        page.wait_for("!!document.querySelector('.what-if .now')")
        assert str(grpo.text) in page.text(".what-if .now")
        page.click(".what-if .controls button:nth-child(3)")  # leaves out the first
        left = grpo.sequence[1:]
        page.wait_for("document.querySelectorAll('.what-if .strip > li').length === 1")
        page.wait_for("!document.querySelector('.what-if .answer[aria-busy]')")
        told = page.text(".what-if .answer")
        assert (str(known[left]) in told) if left in known else ("has not asked" in told)
        page.click(".what-if .controls button:nth-child(4)")
        write(page, str(data.splits.bank[5].id))
        page.wait_for("!!document.querySelector('.what-if .found .entry')")
        page.click(".what-if .found .entry")
        page.wait_for(f"document.querySelector('.what-if .strip').innerText.includes('#{data.splits.bank[5].id}')")
        assert page.console == []


def test_the_policys_choices_are_listed(chromium: Chromium, server: str, plain: Run) -> None:
    query = run_data(plain).queries[0]
    with chromium.page(f"{server}/#/plain/queries?shots=2&id={query.id}") as page:
        opened(page)
        page.wait_for("document.querySelectorAll('section.after .score').length >= 2")
        page.click("section.after .buttons button:nth-child(2)")
        page.wait_for("document.querySelectorAll('.choices .step').length === 2")
        assert page.evaluate("document.querySelectorAll('.choices .step:nth-of-type(1) .alternatives li').length") == 12
        assert "rank 1 of" in page.text(".choices") and page.console == []


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_the_list_and_then_the_query(chromium: Chromium, server: str, hostile: Run, dark: bool) -> None:
    query = run_data(hostile).queries[0]
    with chromium.page(f"{server}/#/hostile/queries", 390, 800, dark=dark) as page:
        shown(page)
        assert page.overflow() <= 0
        page.evaluate(f"location.hash = '#/hostile/queries?id={query.id}'")
        opened(page)
        assert page.overflow() <= 0 and page.evaluate("document.querySelector('.listed').offsetParent === null")
        page.click(".back")
        page.wait_for("document.querySelector('.listed').offsetParent !== null")
        ink, paper = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        brightness = [sum(map(int, one.removeprefix("rgb(").removesuffix(")").split(","))) for one in (ink, paper)]
        assert (brightness[0] > brightness[1]) == dark


def test_the_panel_speaks_chinese(chromium: Chromium, server: str, plain: Run) -> None:
    query = run_data(plain).queries[0]
    with chromium.page(f"{server}/#/plain/queries?id={query.id}", language="zh-CN") as page:
        opened(page)
        text = page.text("#panel")
        assert "人工答案" in text and "图文混合" in text and "queries." not in text


def test_the_texts_of_both_languages_have_the_same_keys_and_values() -> None:
    import re

    import shotsmith.view.app as view

    keys = {}
    for code in ("en", "zh"):
        text = (view.PAGE / f"texts_{code}.js").read_text(encoding="utf-8")
        found = dict(re.findall(r'^  "(queries\.[\w.]+)": "(.*)",$', text, re.MULTILINE))
        keys[code] = {key: sorted(re.findall(r"\{(\w+)\}", said)) for key, said in found.items()}
    assert keys["en"] == keys["zh"] and len(keys["en"]) > 80


def test_a_run_that_is_not_evaluated_says_so(chromium: Chromium, tmp_path: Path) -> None:
    run = explored_run(tmp_path)
    run.results.unlink()
    with running(make_app({"run": run})) as url, chromium.page(f"{url}/#/run/queries") as page:
        page.wait_for("document.querySelector('#panel')?.innerText.includes('not evaluated yet')")
        assert page.console == []
