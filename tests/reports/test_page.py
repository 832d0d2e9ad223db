"""The HTML page: whole in itself, safe, and working in a browser."""

from __future__ import annotations

import html
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, needs_chromium

from shotsmith.errors import DataError
from shotsmith.reports.content import FOLDED, SECTIONS, content
from shotsmith.reports.data import Gallery, ReportData
from shotsmith.reports.html import html as render
from shotsmith.reports.language import LANGUAGES
from shotsmith.reports.write import write_report
from shotsmith.runs import Run, show

HOSTILE = (
    "<script>parent.document.title='broken into'</script><img src=x onerror=\"parent.document.title='broken into'\">"
)

PROBE = """
const of = (selector) => [...document.querySelectorAll(selector)];
const visible = () => of("article").filter((row) => !row.hidden).map((row) => row.dataset.change);
const found = {all: visible()};
for (const change of ["fixed", "broken", "unchanged"]) {
  document.querySelector(`#filter input[value=${change}]`)?.click();
  found[change] = visible();
  found[`${change} said`] = document.getElementById("visible")?.textContent;
}
document.querySelector("#filter input[value=all]")?.click();
const details = of("details");
const more = document.getElementById("more");
if (more) more.open = false;
found.height = document.documentElement.scrollHeight;
found.folded = of("details.fold").filter((one) => !one.open).map((one) => one.closest("section").id);
document.querySelector("nav a[href='#cost']")?.click();
found.opened = of("details.fold").filter((one) => one.open).map((one) => one.closest("section").id);
details.forEach((one) => (one.open = true));
dispatchEvent(new Event("resize"));
found.unfolded = document.documentElement.scrollHeight;
found.hints = of(".scroll").map((box) => [box.scrollWidth > box.clientWidth + 1, !box.nextElementSibling.hidden]);
found.cut = of(".command pre").filter((one) => one.scrollWidth > one.clientWidth + 1).length;
found.badges = of(".strip li.bare").map((one) => getComputedStyle(one, "::before").position);
found.commands = of(".command code").map((one) => one.textContent);
found.clipboard = [];
Object.defineProperty(navigator, "clipboard", {
  configurable: true, value: {writeText: async (text) => { found.clipboard.push(text); }},
});
of("button.copy").forEach((button) => button.click());
Object.defineProperty(navigator, "clipboard", {configurable: true, value: undefined});
found.selected = [];
document.execCommand = () => { found.selected.push(getSelection().toString()); return true; };
of("button.copy").forEach((button) => button.click());
found.width = document.documentElement.scrollWidth;
const names = performance.getEntriesByType("resource").map((entry) => entry.name);
found.requests = names.filter((name) => !name.startsWith("data:"));
found.broken_images = of("img").filter((image) => !image.complete || !image.naturalWidth).length;
found.unnamed = of("img:not([alt]), svg:not([aria-label]), input:not([name])").length;
found.duplicate_ids = of("[id]").length - new Set(of("[id]").map((element) => element.id)).size;
found.dead_links = of("a[href^='#']").filter((link) => !document.getElementById(link.hash.slice(1))).length;
found.focusable = of("#filter input").every((input) => { input.focus(); return document.activeElement === input; });
found.sections = of("main > section").map((section) => section.id);
const press = (chart, key) => chart.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
const read = (chart) => chart.closest("figure").querySelector("figcaption output").textContent;
const charts = of("svg.chart").filter((chart) => chart.getBoundingClientRect().width);
found["unread charts"] = charts.filter((chart) => {
  chart.focus();
  press(chart, "ArrowRight");
  const first = read(chart);
  press(chart, "End");
  return document.activeElement !== chart || !first || !read(chart) || first === read(chart);
}).map((chart) => chart.getAttribute("aria-label"));
found.read = charts.length;
for (let turn = 0; turn < 20; turn++) await null;
found.buttons = [...new Set(of("button.copy").map((button) => button.textContent))];
parent.document.getElementById("found").textContent = JSON.stringify(found);
"""


def page_of(data: ReportData, language: str = "en") -> str:
    return render(content(data, LANGUAGES[language]))


def browse(page: str, folder: Path, width: int) -> tuple[dict[str, Any], str, list[str]]:
    """Open the page in a frame of that width: what the probe found, the outer title, and the console's lines."""
    probed = page.replace("</body>", f"<script>addEventListener('load', async () => {{{PROBE}}})</script></body>")
    frame = f'<iframe srcdoc="{html.escape(probed)}" style="width:{width}px;height:900px;border:0"></iframe>'
    outer = folder / "outer.html"
    outer.write_text(f'<!doctype html><title>quiet</title><meta charset="utf-8"><pre id="found"></pre>{frame}')
    options = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --disable-extensions --dump-dom --virtual-time-budget=5000 "
        f"--enable-logging=stderr --v=0 --window-size={width + 40},1000 --user-data-dir={folder / 'profile'}"
    )
    assert CHROMIUM
    command = [CHROMIUM, *options.split(), "--host-resolver-rules=MAP * ~NOTFOUND", outer.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, flags=re.DOTALL)
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert found and found[1] and title, console or done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(html.unescape(found[1])), title[1], console


@needs_chromium
@pytest.mark.parametrize(("width", "language"), [(390, "en"), (1280, "en"), (390, "zh"), (1280, "zh")])
def test_the_page_works_in_a_browser(whole: ReportData, tmp_path: Path, width: int, language: str) -> None:
    data = whole
    assert data.gallery
    found, title, console = browse(page_of(data, language), tmp_path, width)
    assert found["sections"] == list(SECTIONS)
    assert found["unread charts"] == [] and found["read"] > 10
    assert console == [] and title == "quiet"
    assert found["requests"] == []
    assert found["width"] <= width, "the page scrolls sideways"
    assert (found["broken_images"], found["unnamed"], found["duplicate_ids"], found["dead_links"]) == (0, 0, 0, 0)
    assert found["focusable"]
    changes = [row.change for row in data.gallery.rows]
    assert found["all"] == changes
    for change in ("fixed", "broken", "unchanged"):
        assert found[change] == [one for one in changes if one == change] != []
        said = {"en": f"{changes.count(change)} shown", "zh": f"显示 {changes.count(change)} 个"}
        assert found[f"{change} said"] == said[language]


@needs_chromium
def test_hostile_text_does_nothing_in_a_browser(data: ReportData, tmp_path: Path) -> None:
    found, title, console = browse(page_of(hostile(data)), tmp_path, 390)
    assert (title, console, found["requests"]) == ("quiet", [], [])
    assert found["width"] <= 390


@needs_chromium
def test_the_page_of_a_new_run_works_too(run: Run, tmp_path: Path) -> None:
    found, _, console = browse(page_of(ReportData(show(run))), tmp_path, 390)
    assert (console, found["all"], found["dead_links"], found["requests"]) == ([], [], 0, [])
    assert found["width"] <= 390


@needs_chromium
@pytest.mark.parametrize(("width", "most"), [(390, 13_000), (1400, 6_500)])
def test_what_decides_is_read_first_and_training_is_folded(
    whole: ReportData, tmp_path: Path, width: int, most: int
) -> None:
    found, _, _ = browse(page_of(replace(whole, against=None)), tmp_path, width)
    assert found["sections"][:6] == ["summary", "test", "kinds", "gallery", "pointing", "diagnosis"]
    assert found["folded"] == list(FOLDED) == found["sections"][-len(FOLDED) :]
    assert found["opened"] == ["cost"], "a link of the contents unfolds its section"
    assert found["height"] <= most and found["height"] < 0.5 * found["unfolded"]
    assert found["width"] <= width


@needs_chromium
def test_commands_are_whole_and_copied_with_and_without_a_clipboard(whole: ReportData, tmp_path: Path) -> None:
    for language, said in (("en", "Copied"), ("zh", "已复制")):
        found, _, console = browse(page_of(whole, language), tmp_path, 390)
        assert found["commands"] and found["cut"] == 0
        assert found["clipboard"] == found["commands"] == found["selected"]
        assert (found["buttons"], console) == ([said], [])


@needs_chromium
def test_a_table_that_is_cut_off_says_so(whole: ReportData, tmp_path: Path) -> None:
    found, _, _ = browse(page_of(whole), tmp_path, 390)
    assert [True, True] in found["hints"] and [False, False] in found["hints"]
    assert all(cut == told for cut, told in found["hints"])


@needs_chromium
def test_the_number_of_a_text_only_demonstration_covers_no_words(data: ReportData, tmp_path: Path) -> None:
    assert data.gallery
    first = data.gallery.rows[0]
    bare = tuple(replace(one, images=()) for one in first.after.demonstrations)
    row = replace(
        first,
        images=(),
        before=replace(first.before, demonstrations=()),
        after=replace(first.after, demonstrations=bare),
    )
    found, _, _ = browse(page_of(replace(data, gallery=replace(data.gallery, rows=(row,)))), tmp_path, 390)
    assert found["badges"] == ["static"] * len(bare)


def hostile(data: ReportData) -> ReportData:
    assert data.gallery
    first = data.gallery.rows[0]
    shown = tuple(replace(one, question=HOSTILE, answer=HOSTILE) for one in first.after.demonstrations)
    row = replace(
        first,
        question=HOSTILE,
        question_type=HOSTILE,
        answers=(HOSTILE,) * 10,
        answer=HOSTILE,
        after=replace(first.after, demonstrations=shown, text=HOSTILE + "x" * 300),
    )
    assert data.shown_most
    most = replace(data.shown_most, entries=((shown[0], 3),))
    kinds = tuple(replace(kind, name=HOSTILE) for kind in data.kinds)
    one = Gallery((row,), 4, {"fixed": 0, "broken": 1, "unchanged": 0})
    return replace(data, gallery=one, shown_most=most, kinds=kinds, notes=(HOSTILE,))


def test_hostile_text_is_escaped(data: ReportData) -> None:
    page = page_of(hostile(data))
    assert page.count("<script>") == 1 and "<img src=x" not in page
    assert html.escape("<script>parent.document.title=") in page


def test_nothing_is_loaded_from_elsewhere(data: ReportData) -> None:
    page = page_of(data)
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page) == []
    assert "url(" not in page and "@import" not in page and "://" not in page
    assert "default-src 'none'" in page


def test_every_row_shows_its_images_and_demonstrations_in_order(data: ReportData) -> None:
    assert data.gallery and len(data.gallery.rows) >= 12
    page = page_of(data)
    assert page.split('id="pointing"')[0].count("data:image/webp;base64,") == sum(
        1 + len(row.before.demonstrations) + len(row.after.demonstrations) for row in data.gallery.rows
    )
    second = page.split("<article")[2]
    after = second.split('class="attempt after"')[1]
    answers = re.findall(r'<span class="a">(.*?)</span>', after)
    assert answers == [shown.answer for shown in data.gallery.rows[1].after.demonstrations]
    assert "VLM: Ostermund" in after and "accuracy 90 %" in after


def test_every_image_of_an_example_is_shown_and_none_where_it_has_none(data: ReportData) -> None:
    assert data.gallery
    row = data.gallery.rows[0]
    several = replace(row.after.demonstrations[0], images=row.images * 3)
    bare = replace(row.after.demonstrations[0], images=())
    before, after = replace(row.before, demonstrations=()), replace(row.after, demonstrations=(several, bare))
    for images, count in ((row.images * 2, 5), ((), 3)):
        rows = (replace(row, images=images, before=before, after=after),)
        page = page_of(replace(data, gallery=replace(data.gallery, rows=rows)))
        assert page.split('id="pointing"')[0].count("data:image/webp;base64,") == count


def test_a_missing_image_is_named(data: ReportData) -> None:
    assert data.gallery
    row = replace(data.gallery.rows[0], images=(Path("absent.png"),))
    gallery = replace(data.gallery, rows=(row,))
    with pytest.raises(DataError, match=r"absent\.png: no such image"):
        page_of(replace(data, gallery=gallery))


def test_every_language_and_format_has_a_file_of_its_own(run: Run, data: ReportData) -> None:
    assert write_report(run.folder, data) == {"html": run.report_html, "md": run.report_markdown}
    assert run.report_markdown.read_text().startswith("# Run demo\n")
    page = run.report_html.read_text()
    assert page.lstrip().startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    chinese = write_report(run.folder, data, "zh", ["html"])
    assert chinese == {"html": run.folder / "report.zh.html"} and not (run.folder / "report.zh.md").exists()
    assert '<html lang="zh-CN">' in chinese["html"].read_text() and run.report_html.read_text() == page
