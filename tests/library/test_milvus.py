"""A bank in a Milvus database: the selections are those of the same bank in memory."""

from __future__ import annotations

import itertools
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from small_selector import draw_world

import shotsmith
from shotsmith.checkpoints.native import Manifest
from shotsmith.embeddings.load import load_encoder
from shotsmith.errors import InputError, ShotsmithError
from shotsmith.library.card import Card
from shotsmith.library.choosing import PolicyChooser
from shotsmith.policies.pointer import build_policy
from shotsmith.recipe import EncoderSettings, PolicySettings
from shotsmith.records import Example
from shotsmith.runs import Run

pytest.importorskip("milvus_lite", reason="Milvus Lite is not installed: pip install 'shotsmith[milvus]'")

BANK = 60
PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
KINDS = {
    "keys hold the embedding": {"hidden_size": 16},
    "keys do not hold the embedding": {"hidden_size": 256},
    "no inner product": {"hidden_size": 16, "scorer": "additive"},
    "gains": {"hidden_size": 16, "memory": "gru", "gains": ["mmr"]},
    "no images": {"hidden_size": 16},
}


def selector_of(seed: int = 0, *, text_only: bool = False, **settings: Any) -> shotsmith.Selector:
    """A selector whose policy has weights as a trained one: random, so that it is no similarity search."""
    encoder, policy_settings = load_encoder(EncoderSettings()), PolicySettings.model_validate(settings)
    width = encoder.embed_texts([]).shape[1] * (1 if text_only else 2)
    policy = build_policy(policy_settings, width, seed=0)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    told = {"policy": policy_settings, "embedding_width": width, "phase": "grpo", "epoch": 1, "seed": 0}
    more = {"shots": (1, 2), "encoder": encoder.identity, "vlm": "", "recipe": ""}
    chooser = PolicyChooser(policy, Manifest.model_validate(told | more))
    card = Card(name="small", encoder=EncoderSettings(), encoder_identity=encoder.identity)
    return shotsmith.Selector(card, chooser, lambda: encoder)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Example], list[shotsmith.Query]]:
    bank, queries = draw_world(tmp_path_factory.mktemp("world"), BANK)
    return bank, [shotsmith.Query(one.question, one.image) for one in queries[:6]]


@pytest.fixture
def store(tmp_path: Path) -> shotsmith.MilvusBank:
    return shotsmith.MilvusBank(tmp_path / "bank.db", "bank")


@pytest.mark.parametrize("kind", KINDS)
def test_the_selections_are_those_of_the_bank_in_memory(world, store: shotsmith.MilvusBank, kind: str) -> None:
    bank, queries = world
    if text_only := kind == "no images":
        bank = [Example(one.id, (), one.image_id, f"{one.question} {one.id}", one.answers) for one in bank]
        queries = [shotsmith.Query(one.question) for one in queries]
    queries = [shotsmith.Query(one.question, one.image, (bank[place].id,)) for place, one in enumerate(queries)]
    settings = {"shortlist": 8, **KINDS[kind]}
    memory = selector_of(**settings, text_only=text_only).index(bank)
    stored = selector_of(**settings, text_only=text_only).index(bank, into=store)
    again = selector_of(**settings, text_only=text_only).index(store)
    assert len(stored) == len(again) == BANK
    pool = [one.id for one in bank[10:30]]
    for asked in ({"shots": 1}, {"shots": 4}, {"shots": 4, "pool": pool}):
        expected = memory.select_many(queries, **asked)
        assert len({one.ids for one in expected}) > 1
        for selector in (stored, again):
            found = selector.select_many(queries, **asked)
            assert [one.ids for one in found] == [one.ids for one in expected]
            assert [one.examples for one in found] == [one.examples for one in expected]
    for query, one in zip(queries, memory.select_many(queries, shots=3), strict=True):
        alone = stored.select(question=query.question, image=query.image, exclude=query.exclude, shots=3)
        assert alone.ids == one.ids
        assert alone.scores == pytest.approx(one.scores, rel=1e-3)


def test_added_examples_are_found_and_removed_ones_are_not(world, store: shotsmith.MilvusBank) -> None:
    bank, queries = world
    memory, stored = selector_of().index(bank[:40]), selector_of().index(bank[:40], into=store)
    more = [
        {"id": f"more {n}", "image": one.image, "question": one.question, "answer": "x"}
        for n, one in enumerate(bank[40:])
    ]
    assert stored.add(more) == memory.add(more) == tuple(one["id"] for one in more)
    gone = [one for found in memory.select_many(queries, shots=2) for one in found.ids]
    for selector in (memory, stored):
        selector.remove(gone)
    assert len(stored) == len(memory) == BANK - len(set(gone))
    expected = [one.ids for one in memory.select_many(queries, shots=4)]
    assert any(isinstance(one, str) for ids in expected for one in ids)
    assert [one.ids for one in stored.select_many(queries, shots=4)] == expected
    with pytest.raises(InputError, match="no example with the id"):
        stored.remove(gone[:1])
    kept = next(row for row in more if row["id"] not in gone)
    with pytest.raises(InputError, match=f"two examples of the bank have the id '{kept['id']}'"):
        stored.add([kept])
    assert stored.add([{"id": gone[0], "question": "what is new?", "answer": "this"}]) == (gone[0],)
    assert stored.select(question="what is new?", pool=[gone[0]], shots=1).examples[0].answer == "this"


def test_keys_of_another_policy_are_refused(world, store: shotsmith.MilvusBank) -> None:
    selector_of(seed=0).index(world[0], into=store)
    other = selector_of(seed=1)
    for given in ({"source": store}, {"source": world[0], "into": store}):
        with pytest.raises(InputError, match="another policy"):
            other.index(**given)
    assert len(selector_of(seed=0).index(store)) == BANK


def test_what_cannot_search_in_a_database_says_so(world, store: shotsmith.MilvusBank, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such collection"):
        selector_of().index(store)
    with pytest.raises(InputError, match="trained policy"):
        shotsmith.selector("mixed").index(world[0], into=store)
    with pytest.raises(InputError, match="reads the whole bank"):
        selector_of(layers=1).index(world[0], into=store)
    stored = selector_of().index(world[0], into=store)
    with pytest.raises(InputError, match="not read as a whole"):
        stored.save(tmp_path / "saved")
    with pytest.raises(InputError, match="fall back"):
        stored.select(question="what?", unfamiliar="fallback")
    with pytest.raises(InputError, match=r"no entry at row 987654"):
        stored.select(question="what?", pool=[987654, 987655, 987656, 987657])


def refused(*_: Any, **__: Any) -> Any:
    raise AssertionError("embeddings are computed")


def test_embeddings_that_are_given_are_not_computed(world, store: shotsmith.MilvusBank, monkeypatch) -> None:
    memory = selector_of().index(world[0])
    stored = selector_of()
    with monkeypatch.context() as patch:
        patch.setattr("shotsmith.library.filling.embed_few", refused)
        stored.index(world[0], into=store, embeddings=memory.embedded)
    expected = [one.ids for one in memory.select_many(world[1], shots=4)]
    assert [one.ids for one in stored.select_many(world[1], shots=4)] == expected
    with pytest.raises(InputError, match="embeddings of 60 examples, not 59"):
        stored.index(world[0][:-1], into=store, embeddings=memory.embedded)


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
sys.path.insert(0, {here!r})
import test_milvus as here
from shotsmith.library import filling

filling._TOGETHER = 8
bank, _ = here.draw_world(Path({folder!r}), here.BANK)

def rows():
    for number, one in enumerate(bank):
        if number == 32:
            print("half", flush=True)
            time.sleep(600)
        yield one

here.selector_of().index(rows(), into=here.shotsmith.MilvusBank({file!r}, "bank"))
"""


@pytest.mark.slow
def test_writing_goes_on_after_a_kill_where_it_stood(
    world, store: shotsmith.MilvusBank, tmp_path: Path, monkeypatch
) -> None:
    told = {
        "here": str(Path(__file__).parent),
        "tests": str(Path(__file__).parents[1]),
        "folder": str(tmp_path / "w"),
        "file": str(tmp_path / "bank.db"),
    }
    writing = subprocess.Popen([sys.executable, "-c", KILLED.format(**told)], stdout=subprocess.PIPE, text=True)
    assert writing.stdout is not None and writing.stdout.readline() == "half\n"
    writing.send_signal(signal.SIGKILL)
    writing.wait()
    bank, _ = draw_world(tmp_path / "w", BANK)
    embedded: list[str] = []
    stored = selector_of()
    there = stored.encoder.embed_texts

    class Counting:
        identity = stored.encoder.identity
        embed_images = stored.encoder.embed_images

        def embed_texts(self, texts: list[str], *more: Any) -> Any:
            embedded.extend(texts)
            return there(texts, *more)

    stored.__dict__["encoder"] = Counting()
    stored.index(iter(bank), into=store)
    assert len(stored) == BANK
    assert embedded == [one.question for one in bank[32:]]
    memory = selector_of().index(bank)
    assert [one.ids for one in stored.select_many(world[1], shots=4)] == [
        one.ids for one in memory.select_many(world[1], shots=4)
    ]


def test_rows_of_an_iterator_are_never_all_in_memory(world, store: shotsmith.MilvusBank, monkeypatch) -> None:
    monkeypatch.setattr("shotsmith.library.filling._TOGETHER", 16)
    read, written = itertools.count(), list[int]()
    write = store.write

    def rows() -> Iterator[Example]:
        for one in world[0]:
            assert next(read) - sum(written) <= 16
            yield one

    def noted(ids: Any, *more: Any) -> None:
        written.append(len(ids))
        write(ids, *more)

    monkeypatch.setattr(store, "write", noted)
    assert len(selector_of().index(rows(), into=store)) == sum(written) == BANK


def test_a_server_that_is_not_there_is_an_error_in_one_line() -> None:
    with pytest.raises(ShotsmithError, match="Milvus"):
        selector_of().index(shotsmith.MilvusBank("http://127.0.0.1:9", "bank"))


def test_the_example_of_the_page_runs(finished: Run, rows: list[Any], tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "demo").symlink_to(finished.folder)
    Image.open(rows[0]["image"]).convert("RGB").save(tmp_path / "a.jpg")
    (tmp_path / "products.jsonl").write_text("\n".join(json.dumps(row | {"image": str(row["image"])}) for row in rows))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    exec(compile(block.replace("http://milvus:19530", "products.db"), str(PAGE), "exec"), names)
    assert len(names["selector"]) == len(names["elsewhere"]) == len(rows)
