"""A recipe that stands for too much, or for what nothing can hold, is refused with its file in under a second."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from shotsmith.errors import RecipeError
from shotsmith.recipe import load_recipe
from shotsmith.recipe.base import MANY
from shotsmith.recipe.bounded_yaml import MOST_BYTES

SECONDS = 1.0
FULL = MOST_BYTES - 20


def doubled(shape: str) -> str:
    """Twelve levels, each nine times the one before."""
    first = "a0: &a0 {" + ", ".join(f"k{number}: 1" for number in range(9)) + "}\n"
    return first + "".join(
        f"a{level}: &a{level} {shape.format(', '.join([f'*a{level - 1}'] * 9))}\n" for level in range(1, 12)
    )


HOSTILE = {
    "aliases of aliases": doubled("[{}]"),
    "merged merges": doubled("{{<<: [{}]}}"),
    "a value in itself": "name: &a [*a]",
    "a section in itself": "data: &a {world: *a}",
    "lists in lists": "name: " + "[" * FULL,
    "mappings in mappings": "{a: " * (FULL // 4),
    "a long list": "seeds: [" + "1," * (FULL // 2) + "]",
    "many keys": "".join(f"k{number}: 1\n" for number in range(6000)),
    "a long key": "? " + "k" * FULL + "\n: 1",
    "a long file": "#" * 10**7,
    "10^26 epochs": "grpo: {epochs: 100000000000000000000000000}",
    "a width of 10^26": "policy: {hidden_size: 99999999999999999999999999}",
    "a million layers": "policy: {layers: 1000000}",
    "a batch of 10^12": "encoder: {batch_size: 1000000000000}",
    "a rate of 10^400": "grpo: {learning_rate: " + "9" * 400 + "}",
    "a rate of 10^300": "grpo: {learning_rate: 1.0e+300}",
    "infinite": "grpo: {learning_rate: .inf}",
    "no number": "grpo: {learning_rate: .nan}",
    "a number of 60,000 digits": "seeds: [" + "9" * FULL + "]",
    "a number of 60,000 hexadecimal digits": "seeds: [0x" + "f" * FULL + "]",
    "a number of base 60": "seeds: [1" + ":1" * 7000 + "]",
    "half a surrogate pair": 'name: "\\ud800"',
    "half a surrogate pair in a key": '"\\udfff": 1',
    "NUL in a path": 'data: {table: {train: "a\\0", test: b}}',
    "a long name": "name: " + "a" * 5000,
    "a list as a key": "? [a]\n: 1",
    "no text as a key": "~: 1\ndata: {1: 2}",
    "a month that is none": "name: 2001-13-45",
    "a time before all time": "name: 0001-01-01 00:00:00 +23:59",
    "code": "name: !!python/object/apply:os.system [x]",
    "bytes": "name: !!binary x",
    "a merge of nothing": "<<: 1",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_it_is_refused_in_time_and_on_one_short_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("data: {world: {}}\n" + text if text.startswith(("grpo", "policy", "encoder", "seeds")) else text)
    started = time.process_time()
    with pytest.raises(RecipeError) as caught:
        load_recipe(file)
    assert time.process_time() - started < SECONDS
    assert str(file) in str(caught.value) and len(str(caught.value)) < 10_000


@pytest.mark.parametrize("base", ["/dev/zero", "/dev/random", "fifo", ".", "a" * 5000])
def test_a_base_is_a_regular_file(tmp_path: Path, base: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "recipe.yaml").write_text(f"base: {base}\n")
    with pytest.raises(RecipeError, match=r"no regular file|too long|cannot be read"):
        load_recipe(tmp_path / "recipe.yaml")


def test_a_recipe_and_its_bases_are_bounded_together(tmp_path: Path) -> None:
    for number in range(8):
        text = f"base: {number + 1}.yaml\n#" + "x" * (MOST_BYTES // 3)
        (tmp_path / f"{number}.yaml").write_text(text)
    with pytest.raises(RecipeError, match="with the recipes that build on it"):
        load_recipe(tmp_path / "0.yaml")


def test_aliases_and_merges_within_bounds_mean_what_they_always_did(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "data: {world: {}}\nrce: &same {epochs: 3, queries_per_step: 5}\nsupervised: {<<: *same, epochs: 2}\n"
    )
    recipe = load_recipe(tmp_path / "recipe.yaml", ["grpo.epochs=1000000", f"data.train_queries={MANY}"])
    assert (recipe.rce.epochs, recipe.supervised.epochs, recipe.supervised.queries_per_step) == (3, 2, 5)


@pytest.mark.parametrize(
    "override", ["grpo.epochs=10000000000", "name='\\ud800'", "seeds=" + "[" * 70_000, "a" * 10**5]
)
def test_overrides_are_bounded_too(tmp_path: Path, override: str) -> None:
    (tmp_path / "recipe.yaml").write_text("data: {world: {}}\n")
    with pytest.raises(RecipeError):
        load_recipe(tmp_path / "recipe.yaml", [override.replace("'", '"')])
