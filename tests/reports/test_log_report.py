"""The report of a bare training log: the seed's own numbers, in both languages, and nothing that they do not say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shotsmith.errors import InputError
from shotsmith.reports.content import content
from shotsmith.reports.data import ReportData
from shotsmith.reports.gather import gather
from shotsmith.reports.html import html
from shotsmith.reports.language import LANGUAGES
from shotsmith.reports.markdown import markdown

LOG = """
GRPO_LR=5e-5, GRPO_EPOCHS=50, KL_BETA=0.1

| Epoch | Val Loss | PPO Loss | KL | Adv Std |
|---|---|---|---|---|
| **2** | **5.15152** | 0.00005 | 0.03565 | 0.0062 |
| 1 | 5.15333 | -0.00042 | 0.03542 | 0.0063 |
| 3 | 5.15363 | -0.00019 | 0.03664 | 0.0062 |
| 4 | 5.15676 | 0.00009 | 0.03280 | 0.0062 |
| 5 | 5.15958 | -0.00003 | 0.03797 | 0.0062 |
| 22 | 5.21149 | -0.00050 | 0.03581 | 0.0062 |
| 49 | 5.22740 | -0.00095 | 0.03266 | 0.0062 |
| 50 | 5.23428 | -0.00087 | 0.03167 | 0.0062 |
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "scheme6.md"
    path.write_text(LOG)
    return path


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_log_has_only_the_sections_it_can_fill(log: Path, language: str) -> None:
    said = content(gather(log), LANGUAGES[language])
    assert said.sections == ("summary", "diagnosis", "next", "checkpoints", "metrics", "trends", "ran")
    text, page = markdown(said), html(said)
    headings = re.findall(r"^## (\d+)\. ", text, flags=re.MULTILINE)
    assert headings == ["1", "2", "3", "4", "5", "6", "7"]
    assert re.findall(r'<section id="(\w+)"', page) == list(said.sections)
    assert "fold" not in page.split("</style>")[1].split("<script>")[0], "training is all there is to read"
    for oddity in ("None", "nan", "{", "\n\n\n"):
        assert oddity not in text


def test_the_best_epoch_is_2_and_every_epoch_is_there(log: Path) -> None:
    text = markdown(content(gather(log), LANGUAGES["en"]))
    assert "The best epoch by Val Loss is epoch 2 of GRPO" in text
    ranking = re.findall(r"^\| (\d+) \| 5\.", text[: text.index("Every epoch")], flags=re.MULTILINE)
    assert ranking == ["2", "1", "3", "4", "5", "22", "49", "50"]
    assert "| grpo.learning_rate | 5e-05 |" in text


def test_the_diagnosis_sees_what_its_author_did_not(log: Path) -> None:
    text = markdown(content(gather(log), LANGUAGES["zh"]))
    for sentence in ("PPO Loss 的正负不说明任何问题", "Val Loss 先降后升", "几乎所有组都没有信号"):
        assert sentence in text


def test_against_another_log_says_that_the_learning_rate_changed_nothing(log: Path, tmp_path: Path) -> None:
    other = tmp_path / "scheme5.log"
    other.write_text("GRPO_LR=5e-6\nEpoch  Val Loss  PPO Loss  KL  Adv Std\n2  5.14132  -0.00007  0.04286  0.0062\n")
    said = content(gather(log, other), LANGUAGES["en"])
    assert "against" in said.sections and said.against and said.against.test is None
    assert any("learning rate" in finding.title for finding in said.diagnosis or ())
    assert "| Val Loss | 5.152 | 5.141 | +0.0102 |" in markdown(said)


def test_what_is_neither_run_nor_log_is_refused(tmp_path: Path, data: ReportData) -> None:
    with pytest.raises(InputError, match="no such run or log"):
        gather(tmp_path / "absent")
    with pytest.raises(InputError, match=r"recipe\.yaml"):
        gather(tmp_path)
    (tmp_path / "prose.md").write_text("Nothing here.")
    with pytest.raises(InputError, match="no table of epochs"):
        gather(tmp_path / "prose.md")
