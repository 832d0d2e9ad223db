"""The files of the page: whole, in two languages, and without a place where text becomes markup."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shotsmith.view.app import PAGE


def test_both_languages_have_the_same_texts() -> None:
    tables = [
        dict(re.findall(r'"([\w.]+)": "((?:[^"\\]|\\.)*)"', (PAGE / f"texts_{code}.js").read_text(encoding="utf-8")))
        for code in ("en", "zh")
    ]
    assert tables[0].keys() == tables[1].keys() and len(tables[0]) > 50
    for key, english in tables[0].items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", tables[1][key])), key


def test_every_file_of_the_page_is_there_and_used() -> None:
    index = (PAGE / "index.html").read_text(encoding="utf-8")
    named = set(re.findall(r'(?:src|href)="([\w.]+)"', index))
    assert named | {"index.html"} == {file.name for file in PAGE.iterdir()}
    assert "<style" not in index and not re.search(r"<script(?![^>]*src=)", index) and "style=" not in index


@pytest.mark.parametrize("file", sorted(PAGE.glob("*.js")), ids=lambda file: file.name)
def test_scripts_put_text_into_the_page_and_never_markup(file: Path) -> None:
    source = file.read_text(encoding="utf-8")
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://(?!www\.w3\.org/)"
    )
    assert re.findall(forbidden, source) == []
