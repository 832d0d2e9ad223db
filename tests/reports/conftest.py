"""A made-up run, complete in every part a report speaks of."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from pathlib import Path

import PIL.Image
import PIL.ImageDraw
import pytest

from shotsmith.diagnosis.finding import Finding
from shotsmith.evaluation.compare import ComparedRow, Comparison
from shotsmith.recipe import parse_recipe
from shotsmith.reports.data import (
    Against,
    Attempt,
    Demonstration,
    Gallery,
    GalleryRow,
    Kind,
    Pointing,
    ReportData,
    ShownMost,
)
from shotsmith.runs import Run, show

MEANS = {
    "zero_shot": 24.1,
    "random": 30.4,
    "image_similar": 47.9,
    "text_similar": 41.2,
    "mixed": 52.3,
    "supervised": 61.6,
    "rce": 62.4,
    "grpo": 70.3,
    "grpo_reversed": 66.1,
    "oracle": 93.7,
}
FINDINGS = (
    Finding("groups_truncated", "fault", {"kept": "3, 5", "zero": 99.4}, {"grpo.sampling.keep_top": []}),
    Finding("beta_at_floor", "warning", {"beta": 0.001, "at": 25, "epochs": 25, "bound": 0.001}),
    Finding("ppo_loss_sign", "note", {"positive": 12, "negative": 13, "lowest": -0.0009, "highest": 0.0009}),
)
QUESTIONS = (
    ("What is this artefact called?", "name", "dravel"),
    ("Which town does it come from?", "origin", "Ostermund"),
    ("What was it used for?", "use", "grain"),
    ("What colour is it?", "visible", "blue"),
)


def wobble(*numbers: float) -> float:
    """Something between -1 and 1 that looks random and is not."""
    return math.sin(sum((place + 1) * 12.9898 * number for place, number in enumerate(numbers)) * 43.7)


def test_rows() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for place, (selector, mean) in enumerate(MEANS.items()):
        for shots in (1, 2, 3, 4, "mean"):
            growth = 0.0 if shots == "mean" or selector == "zero_shot" else 2.2 * (shots - 2.5)
            for metric, shift in (("vqa_accuracy", 0.0), ("vqa_accuracy_normalised", 0.4)):
                value = round(mean + growth + shift + 0.3 * wobble(place, 0 if shots == "mean" else shots), 3)
                half = 2.1 if shots == "mean" else 3.2
                cell = {"selector": selector, "shots": shots, "metric": metric, "accuracy": value}
                rows.append({**cell, "low": value - half, "high": min(100.0, value + half * 1.05), "n": 800})
    return rows


def contrast_rows() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for a, b, difference, p in (
        ("grpo", "mixed", 18.0, 0.0001),
        ("grpo", "supervised", 8.7, 0.0002),
        ("grpo", "rce", 1.1, 0.31),
    ):
        for shots in (1, 2, 3, 4, "mean"):
            values = {"difference": difference, "low": difference - 2.6, "high": difference + 2.7, "p": p}
            rows.append({"a": a, "b": b, "shots": shots, **values})
    rows.append(
        {"a": "grpo", "b": "grpo_reversed", "shots": "mean", "difference": 4.2, "low": 2, "high": 6.1, "p": 0.001}
    )
    return rows


def epoch_rows(seeds: tuple[int, ...]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for seed in seeds:
        for phase, epochs in (("supervised", 30), ("rce", 5), ("grpo", 25)):
            for epoch in range(1, epochs + 1):
                done = epoch / epochs
                noise = wobble(seed, epoch)
                row: dict[str, object] = {"seed": seed, "phase": phase, "epoch": epoch}
                start = {"supervised": 0.6, "rce": 0.95, "grpo": 1.0}[phase]
                gain = {"supervised": 0.34, "rce": 0.05, "grpo": 0.3}[phase]
                row["val_reward"] = start + gain * (1 - math.exp(-3 * done)) + 0.015 * noise
                row["val_loss"] = 7.4 - {"supervised": 0.8, "rce": 1.1, "grpo": 0.9}[phase] * done + 0.05 * noise
                row["train_loss"] = 4.0 - 2.5 * done if phase != "grpo" else 0.00042 * noise
                if phase == "grpo":
                    row |= {"ppo_loss": 0.0009 * noise, "kl": 0.4 * done + 0.01 * noise, "adv_std": 0.93 + 0.02 * noise}
                    row |= {"adv_max": 1.9, "beta": 0.01, "reward": 0.9 + 0.3 * done + 0.02 * noise}
                    row |= {"frac_reward_zero_std": 0.22 + 0.1 * done, "entropy": 3.1 - 1.6 * done, "grad_norm": 0.7}
                rows.append(row)
    return rows


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run without a stage done."""
    recipe = {"name": "demo", "seeds": [0, 1], "data": {"world": {}}, "rce": {"epochs": 5}, "grpo": {"epochs": 25}}
    return Run.create(tmp_path / "demo", parse_recipe(recipe))


@pytest.fixture
def data(run: Run, tmp_path: Path) -> ReportData:
    """The data of that run when everything is done."""
    stages = ("data", "embed", "pools", "beam", "train", "rank", "evaluate")
    for place, stage in enumerate(stages):
        run.record(stage, 3.5 * (place + 1) ** 2, 0 if place < 3 or place == 5 else 4000 * place, 150 * place)
    for row in epoch_rows((0, 1)):
        run.record_epoch(row)
    run.summary.parent.mkdir()
    run.summary.write_text(json.dumps({"test": test_rows(), "contrasts": contrast_rows()}))
    return ReportData(
        shown=show(run),
        gallery=Gallery(gallery_rows(tmp_path / "images", 24), 4, {"fixed": 214, "broken": 61, "unchanged": 522}),
        pointing=(
            Pointing("image_similarity", tuple(round(200 * math.exp(-rank / 14)) + 6 for rank in range(64))),
            Pointing("text_similarity", tuple(round(120 * math.exp(-rank / 30)) + 20 for rank in range(64))),
        ),
        kinds=(
            Kind("origin", 210, 41.0, 76.0, 95.0, 35.0, 30.0, 40.0),
            Kind("name", 586, 56.0, 68.3, 93.0, 12.3, 8.1, 16.4),
            Kind("visible", 1, 100.0, 100.0, None, 0.0, None, None),
        ),
        shown_most=ShownMost(
            "grpo", 4, tuple((demonstration(tmp_path / "images", n), 90 - n) for n in range(8)), 310, 5000, 797
        ),
        environment=json.loads(run.environment_file.read_text()),
        failures=3,
    )


@pytest.fixture
def whole(data: ReportData) -> ReportData:
    """The same with findings and another run to compare with: a report with every section."""
    return replace(data, findings=FINDINGS, against=other_run(data))


def other_run(data: ReportData) -> Against:
    """A run with another learning rate that did a little worse."""
    shown = copy.deepcopy(dict(data.shown))
    shown["run"] += "-slower"
    shown["recipe"] |= {"name": "demo-slower"}
    shown["recipe"]["grpo"]["learning_rate"] = 2e-4
    for row in shown["test"]:
        row["accuracy"] -= 1.5
    for row in shown["epochs"]:
        row["val_reward"] -= 0.01
    rows = [
        ComparedRow(
            a=f"demo: {selector}",
            b=f"demo-slower: {selector}",
            shots=shots,
            difference=1.5,
            low=-0.4 if selector == "supervised" else 0.6,
            high=3.4,
            p=0.21 if selector == "supervised" else 0.0004,
            p_alone=0.1,
            detectable=2.6,
            n=797,
            seeds=(2, 2),
            decided=selector == "grpo",
        )
        for selector in ("supervised", "grpo")
        for shots in (1, 2, 3, 4, "mean")
    ]
    found = Comparison("demo-slower", ("demo",), "vqa_accuracy", 797, 0.95, 0.05, 0.8, tuple(rows))
    return Against(shown, found)


def gallery_rows(folder: Path, number: int) -> tuple[GalleryRow, ...]:
    folder.mkdir()
    rows = []
    for place in range(number):
        question, kind, answer = QUESTIONS[place % len(QUESTIONS)]
        shown = tuple(demonstration(folder, place * 10 + shot) for shot in range(4))
        before = Attempt("mixed", shown, "tarn" if place % 3 else answer, 0.3 if place % 3 else 1.0)
        after = Attempt("grpo", shown[::-1], answer, (1.0, 0.9, 0.3)[place % 3] if place % 4 else 0.0)
        answers = (answer,) * 7 + ("unsure", "urn", "urn")
        zero = Attempt("zero_shot", (), "vessel", 0.0)
        rows.append(
            GalleryRow(place, (picture(folder, place + 500),), question, kind, answers, answer, before, after, zero)
        )
    return tuple(rows)


def demonstration(folder: Path, number: int) -> Demonstration:
    question, _, answer = QUESTIONS[number % len(QUESTIONS)]
    return Demonstration((picture(folder, number),), question, answer)


def picture(folder: Path, number: int) -> Path:
    path = folder / f"{number}.png"
    image = PIL.Image.new("RGB", (112, 112), (200 + number % 50, 190 + number * 7 % 60, 170 + number * 13 % 80))
    draw = PIL.ImageDraw.Draw(image)
    colour = (number * 53 % 200, number * 97 % 200, number * 31 % 200)
    (draw.ellipse if number % 2 else draw.rectangle)((20 + number % 20, 25, 75 + number % 20, 90), fill=colour)
    image.save(path)
    return path
