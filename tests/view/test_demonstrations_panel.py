"""The panel of demonstrations: its routes, and the page in a browser with texts that try to do harm."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from browser import Chromium, Page, browser, needs_chromium
from running_server import running
from small_bank import BANK, HARMFUL, USEFUL, Banked, answer, banked_run
from small_explored import Told

from shotsmith.view.app import make_app

ROWS = 256
HOSTILE = (
    "<img src=x onerror=\"document.title='owned'\">",
    "<script>document.title='owned'</script>",
    "\u202egnorw\u202c \u0627\u0644\u0633\u0624\u0627\u0644",
    "\x1b[2J\x00 control",
    "long " * 2000,
    "javascript:document.title='owned'",
)


def hostile(number: int) -> str:
    return HOSTILE[number % len(HOSTILE)] + " what is it?"


@pytest.fixture(scope="module")
def banked(tmp_path_factory: pytest.TempPathFactory) -> Banked:
    return banked_run(tmp_path_factory.mktemp("banked"))


@pytest.fixture(scope="module")
def server(banked: Banked) -> Iterator[str]:
    with running(make_app({"a run": banked.run})) as url:
        yield url


@pytest.fixture(scope="module")
def hostile_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    told = Told(bank=BANK, question=hostile, answer=lambda n: answer(n) + HOSTILE[0], kind=lambda n: HOSTILE[n % 2])
    run = banked_run(tmp_path_factory.mktemp("hostile"), told).run
    with running(make_app({"<b>run": run})) as url:
        yield url


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def got(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=120) as answered:
        return json.loads(answered.read())


def test_the_bank_is_told_in_columns_with_its_lists_and_its_map(banked: Banked, server: str) -> None:
    told = got(f"{server}/api/runs/a%20run/demonstrations")
    columns = told["columns"]
    assert {len(columns[name]) for name in ("id", "question", "answer", "wrong", "train", "value")} == {ROWS}
    assert {columns["id"][row] for row in told["lists"]["mend"]} <= banked.wrong
    assert 20 + USEFUL in told["lists"]["useful"] and 20 + HARMFUL in told["lists"]["harmful"]
    assert len(told["map"]["entries"]) == 2 * ROWS and max(map(abs, told["map"]["entries"])) <= 1
    queries = told["map"]["queries"]
    assert len(queries["place"]) == 2 * len(queries["id"]) and {"train", "test"} == set(queries["split"])
    assert all(0 <= score <= 100 for score in queries["score"])


def test_an_entry_is_opened_with_those_it_was_shown_to(server: str) -> None:
    columns = got(f"{server}/api/runs/a%20run/demonstrations")["columns"]
    told = got(f"{server}/api/runs/a%20run/demonstrations/{columns['id'][20 + HARMFUL]}")
    trained = [one for one in told["shown_to"] if one["split"] == "train"]
    assert len(trained) == 20 == told["shown_train"] and {one["score"] for one in trained} == {0.0}
    assert "harmful" in told["flags"] and told["value"] < -40


@pytest.mark.parametrize("place", ["a%20run/demonstrations/5", "other/demonstrations", "a%20run/demonstrations/x"])
def test_what_is_not_there_is_refused(server: str, place: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        got(f"{server}/api/runs/{place}")
    assert refused.value.code in (404, 422)


def opened(page: Page) -> None:
    page.wait_for("document.querySelectorAll('.demonstrations .rows .row').length > 3")


@needs_chromium
def test_the_page_lists_searches_sorts_and_opens(chromium: Chromium, server: str) -> None:
    with chromium.page(f"{server}/#/a%20run/demonstrations") as page:
        opened(page)
        assert "Mend" in page.text(".advice") and page.text(".tally") == f"{ROWS} of {ROWS} demonstrations"
        page.click(".segments .mend")
        page.wait_for("document.querySelector('.tally').textContent.startsWith('67 of')")
        assert page.evaluate("location.hash").endswith("list=mend")
        page.click(".rows .row")
        page.wait_for("!!document.querySelector('.entry')")
        assert "likely wrong" in page.text(".entry .chips") and "similar examples say" in page.text(".entry")
        page.press("Escape")
        page.wait_for("!!document.querySelector('canvas.map')")
        page.press("/")
        number = got(f"{server}/api/runs/a%20run/demonstrations")["columns"]["id"][4]
        page.evaluate("shotsmith.current().params.list === 'mend' && document.querySelector('.segments .all').click()")
        page.evaluate(f"document.querySelector('[data-search]').value = 'THING {number}'")
        page.evaluate("document.querySelector('[data-search]').dispatchEvent(new Event('input'))")
        page.wait_for(f"document.querySelector('.tally').textContent === '1 of {ROWS} demonstrations'")
        assert page.evaluate("document.querySelectorAll('.rows .row').length") == 1
        page.evaluate("document.querySelector('[data-search]').blur()")
        assert page.console == [] and page.foreign_requests(server) == []


@needs_chromium
def test_the_map_opens_what_is_clicked(chromium: Chromium, server: str) -> None:
    with chromium.page(f"{server}/#/a%20run/demonstrations") as page:
        opened(page)
        page.wait_for(
            "!!document.querySelector('canvas.map') && document.querySelector('canvas.map').clientHeight > 50"
        )
        page.evaluate(
            """(async () => {
            const canvas = document.querySelector('canvas.map');
            const fire = (type, x, y) => {
              const {left, top} = canvas.getBoundingClientRect();
              canvas.dispatchEvent(new MouseEvent(type, {bubbles: true, clientX: left + x, clientY: top + y}));
            };
            for (let x = 5; x < canvas.clientWidth && !location.hash.includes('id='); x += 6)
              for (let y = 5; y < canvas.clientHeight && !location.hash.includes('id='); y += 6) fire('click', x, y);
            })()"""
        )
        page.wait_for("location.hash.includes('id=')")
        assert page.console == []


@needs_chromium
@pytest.mark.parametrize(("width", "dark", "language"), [(1280, False, "en"), (390, True, "zh")])
def test_texts_of_others_do_nothing_on_the_page(
    chromium: Chromium, hostile_server: str, width: int, dark: bool, language: str
) -> None:
    address = f"{hostile_server}/#/%3Cb%3Erun/demonstrations"
    with chromium.page(address, width, dark=dark, language=language) as page:
        opened(page)
        page.wait_for("!!document.querySelector('canvas.map')")
        columns = page.evaluate("fetch('api/runs/%3Cb%3Erun/demonstrations').then((one) => one.json())")
        for row in range(len(HOSTILE)):
            page.evaluate(f"location.hash = '#/%3Cb%3Erun/demonstrations?id={columns['columns']['id'][row]}'")
            page.wait_for(
                f"!!document.querySelector('.entry')?.textContent.includes('{columns['columns']['id'][row]}')"
            )
            assert page.overflow() <= 0
        assert "owned" not in page.evaluate("document.title")
        assert (
            page.evaluate("document.querySelectorAll('#panel script, #panel img[onerror], #panel [src=x]').length") == 0
        )
        assert page.console == [] and page.foreign_requests(hostile_server) == []


@needs_chromium
def test_twenty_thousand_entries_stay_smooth(chromium: Chromium, server: str) -> None:
    with chromium.page(f"{server}/#/a%20run/demonstrations") as page:
        opened(page)
        many = 20_000
        page.evaluate(
            f"""(async () => {{
            const told = await shotsmith.api('runs/a%20run/demonstrations');
            const grown = (column) => Array.from({{length: {many}}}, (_, row) => column[row % {ROWS}]);
            for (const [name, column] of Object.entries(told.columns))
              if (name !== 'texts' && column) told.columns[name] = grown(column);
            told.columns.id = told.columns.id.map((_, row) => row);
            told.columns.pictures.fill(0);
            told.map.entries = Array.from({{length: 2 * {many}}}, (_, at) => told.map.entries[at % (2 * {ROWS})]);
            const fetched = window.fetch;
            window.fetch = async (...given) =>
              String(given[0]).endsWith('demonstrations') ? new Response(JSON.stringify(told)) : fetched(...given);
            location.hash = '#/a%20run/live';
            }})()"""
        )
        page.wait_for("!document.querySelector('.panel.demonstrations')")
        page.evaluate("location.hash = '#/a%20run/demonstrations'")
        page.wait_for("document.querySelector('.tally')?.textContent.startsWith('20,000')")
        longest = page.evaluate(
            """new Promise((done) => {
            const rows = document.querySelector('.rows');
            let longest = 0, frames = 0;
            const step = () => {
              const started = performance.now();
              rows.scrollTop += 3000;
              rows.dispatchEvent(new Event('scroll'));
              longest = Math.max(longest, performance.now() - started);
              frames += 1;
              if (frames < 40) requestAnimationFrame(step); else done(longest);
            };
            step();
            })"""
        )
        drawn = page.evaluate("document.querySelectorAll('.rows .row').length")
        assert drawn < 80 and longest < 200, (drawn, longest)
        assert page.console == []
