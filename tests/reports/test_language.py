"""Both languages say the same things, with the same values."""

from __future__ import annotations

import re
import string

import pytest

from shotsmith.metrics.table import METRICS
from shotsmith.reports.language import LANGUAGES, spaced

METRIC_NAMES = {f"name.{name}" for name in METRICS}
"""What the table of metrics names where a language has no name of its own."""


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def test_languages_have_the_same_keys_and_placeholders() -> None:
    english = LANGUAGES["en"].text
    for language in LANGUAGES.values():
        assert english.keys() ^ language.text.keys() <= METRIC_NAMES
        differing = [
            key
            for key in english.keys() & language.text.keys()
            if placeholders(english[key]) != placeholders(language.text[key])
        ]
        assert differing == []


def test_english_counts_in_singular_and_plural() -> None:
    counted = "shots|queries|epochs|calls|completions|demonstrations|updates|prompts|settings|rollouts|faults|warnings"
    plural = re.compile(rf"\{{\w+(?::[^{{}}|]*)?\}} (?:[a-z]+ )?(?:{counted})\b")
    several_always = {"test.column.shots"}
    english = LANGUAGES["en"]
    wrong = [key for key, text in english.text.items() if plural.search(text) and key not in several_always]
    assert wrong == []
    verdict = english.say("verdict.use", free="mixed", shots=1, best=50.0)
    assert verdict == "Use Mixed with 1 shot, without training: 50.0 %."
    assert "2 shots" in english.say("verdict.use", free="mixed", shots=2, best=50.0)


def test_chinese_is_chinese_with_chinese_punctuation() -> None:
    for key, text in LANGUAGES["zh"].text.items():
        assert text.count("（") == text.count("）") and text.count("“") == text.count("”"), key
        assert not any(mark in text for mark in ("。 ", "， ", "； ", "： ")), key
        if key.startswith(("finding.", "verdict.", "summary.", "against.b", "order.")):
            assert any("\u4e00" <= letter <= "\u9fff" for letter in text), key


def test_sentences_end() -> None:
    for code, stops in (("en", ".:"), ("zh", "。：")):
        for key, text in LANGUAGES[code].text.items():
            if key.startswith(
                (
                    "verdict.",
                    "summary.",
                    "next.",
                    "trend.",
                    "contrast.",
                    "order.",
                    "headroom.",
                    "ran.",
                    "alternative.",
                    "line.",
                )
            ):
                assert text.endswith(tuple(stops)), key


@pytest.mark.parametrize(
    ("loose", "tight"),
    [
        ("比GRPO高 1.2 个", "比 GRPO 高 1.2 个"),
        ("比 图像相似 高", "比图像相似高"),
        ("相差-1.2 个", "相差 -1.2 个"),
        ("占12%的组", "占 12% 的组"),
        ("KL（0.1）", "KL（0.1）"),
        ("A − B", "A − B"),
    ],
)
def test_chinese_is_set_with_spaces_around_latin_and_none_within(loose: str, tight: str) -> None:
    assert spaced(loose) == tight == spaced(tight)


def test_the_words_of_others_stay_as_they_are() -> None:
    english = LANGUAGES["en"]
    assert english.quote("gallery.answer", text="random") == "VLM: random"
    assert english.say("tile.accuracy", policy="random") == "Random, mean over shots"
    assert LANGUAGES["zh"].quote("gallery.answer", text="红 色a") == "VLM：红 色a"
