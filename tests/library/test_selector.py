"""A selector as an application uses it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from PIL import Image

import shotsmith
from shotsmith.checkpoints.native import load_policy
from shotsmith.errors import DataError, InputError
from shotsmith.experiment.evaluating import trained_policies
from shotsmith.experiment.parts import Parts
from shotsmith.library.prompting import Prompting
from shotsmith.progress import Silent
from shotsmith.recipe.policy import IndexSettings
from shotsmith.runs import Run
from shotsmith.selectors.policy import PolicySelector
from shotsmith.selectors.similar import mixed


@pytest.fixture(scope="module")
def trained(finished: Run) -> shotsmith.Selector:
    return shotsmith.load(finished.folder)


@pytest.fixture
def free(rows: list[Mapping[str, Any]]) -> shotsmith.Selector:
    return shotsmith.selector("mixed").index(rows)


def test_import_loads_no_torch() -> None:
    code = "import sys, shotsmith; shotsmith.__all__; print({'torch', 'transformers', 'numpy'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_every_public_name_is_there() -> None:
    for name in shotsmith.__all__:
        assert getattr(shotsmith, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = shotsmith.nothing


def test_a_loaded_run_selects_what_its_evaluation_selected(finished: Run, trained: shotsmith.Selector) -> None:
    with Parts(finished.recipe, finished, Silent()) as parts:
        tasks = parts.tasks("test")
        ((policy, manifest),) = trained_policies(parts)
        for shots in (1, 2):
            expected = PolicySelector(manifest.phase, policy).select(tasks, shots)
            queries = [
                {"image": query.image, "question": query.question, "exclude": [tasks.index[row].id for row in barred]}
                for query, barred in zip(tasks.queries, tasks.barred, strict=True)
            ]
            chosen = trained.select_many(queries, shots=shots)
            assert [one.ids for one in chosen] == [
                tuple(tasks.index[row].id for row in sequence) for sequence in expected
            ]


def test_similarity_selects_what_evaluation_compares_with(finished: Run) -> None:
    with Parts(finished.recipe, finished, Silent()) as parts:
        tasks = parts.tasks("test")
        expected = mixed().select(tasks, 3)
        free = shotsmith.selector("mixed").index(tasks.index)
        chosen = free.select_many([{"image": one.image, "question": one.question} for one in tasks.queries], shots=3)
    assert [one.ids for one in chosen] == [tuple(tasks.index[row].id for row in sequence) for sequence in expected]
    assert all(one.scores == tuple(sorted(one.scores)) for one in chosen)


def test_one_query_and_many_give_the_same(trained: shotsmith.Selector, pictures: list[Path]) -> None:
    queries = [{"image": picture, "question": "what is it for?"} for picture in pictures[:8]]
    together = trained.select_many(queries, shots=4)
    for query, one in zip(queries, together, strict=True):
        alone = trained.select(**query, shots=4)
        assert alone.ids == one.ids
        assert alone.scores == pytest.approx(one.scores, rel=1e-4)


def test_probabilities_are_those_of_the_policy(trained: shotsmith.Selector, pictures: list[Path]) -> None:
    chosen = trained.select(image=pictures[0], question="who keeps it?", shots=4)
    assert all(0 < score <= 1 for score in chosen.scores)


def test_no_demonstrations_is_an_answer(trained: shotsmith.Selector, pictures: list[Path]) -> None:
    chosen = trained.select(image=pictures[0], question="who keeps it?", shots=0)
    assert chosen.ids == chosen.examples == chosen.scores == ()
    assert len(chosen.messages()) == 1


def test_pictures_may_be_paths_bytes_or_images(free: shotsmith.Selector, pictures: list[Path]) -> None:
    with Image.open(pictures[20]) as opened:
        opened.load()
    forms = [str(pictures[20]), pictures[20], pictures[20].read_bytes(), opened]
    chosen = [free.select(image=form, question="what is it called?") for form in forms]
    assert len({one.ids for one in chosen}) == 1
    assert all(one.messages()[0]["content"][-2]["image_url"]["url"].startswith("data:image/png") for one in chosen)


def test_queries_and_banks_may_have_several_images_or_none(pictures: list[Path], tmp_path: Path) -> None:
    rows = [
        {"id": "two", "image": [pictures[0], pictures[1].read_bytes()], "question": "what differs?", "answer": "red"},
        {"id": "one", "images": [pictures[2]], "question": "what is it called?", "answer": "tarn"},
        {"id": "none", "images": [], "question": "who keeps it?", "answer": "ada"},
    ]
    selector = shotsmith.selector("mixed").index(rows)
    chosen = selector.select(image=[pictures[0], pictures[1]], question="what differs?", shots=3)
    assert chosen.ids[-1] == "two" and chosen.scores[-1] == pytest.approx(2.0, abs=1e-5)
    parts = chosen.messages(images="id")[0]["content"]
    assert [one["image_url"]["url"] for one in parts if one["type"] == "image_url"][-4:] == [
        "two/0",
        "two/1",
        "query/0",
        "query/1",
    ]
    assert [len(one["images"]) for one in chosen.to_json()["examples"]] == [len(one.images) for one in chosen.examples]
    selector.save(tmp_path / "saved", images=True)
    again = shotsmith.load(tmp_path / "saved").select(
        image=(pictures[0], pictures[1]), question="what differs?", shots=3
    )
    assert again.ids == chosen.ids
    contents = [[image.read_bytes() for image in one.images] for one in again.examples]
    assert contents == [[image.read_bytes() for image in one.images] for one in chosen.examples]
    bare = selector.select(question="who keeps it?", shots=1)
    assert bare.ids == ("none",) and bare.query.images == ()
    with pytest.raises(InputError, match="NoneType"):
        selector.select(image=[pictures[0], None], question="what differs?")  # type: ignore[list-item]


def test_an_example_equal_to_the_query_comes_first_unless_it_is_excluded(
    free: shotsmith.Selector, pictures: list[Path]
) -> None:
    chosen = free.select(image=pictures[3], question="what is it called?", shots=2)
    assert chosen.ids[-1] == "case 3"
    assert "case 3" not in free.select(image=pictures[3], question="what is it called?", exclude=["case 3"]).ids


@pytest.mark.parametrize("kind", ["trained", "free"])
def test_a_pool_is_all_that_is_shown(kind: str, request: pytest.FixtureRequest, pictures: list[Path]) -> None:
    selector: shotsmith.Selector = request.getfixturevalue(kind)
    pool = selector.bank.ids[2:7]
    chosen = selector.select(image=pictures[0], question="what is it called?", pool=pool, shots=5)
    assert set(chosen.ids) == set(pool)
    less = selector.select(image=pictures[0], question="what is it called?", pool=pool, exclude=pool[:1], shots=4)
    assert set(less.ids) == set(pool[1:])


def test_a_pool_of_everything_changes_nothing(trained: shotsmith.Selector, pictures: list[Path]) -> None:
    query = {"image": pictures[1], "question": "who keeps it?"}
    assert trained.select(**query, pool=trained.bank.ids).ids == trained.select(**query).ids


@pytest.mark.parametrize("kind", ["policy", "free"])
def test_added_examples_are_found_and_removed_ones_are_not(
    kind: str, finished: Run, rows: list[Mapping[str, Any]], pictures: list[Path]
) -> None:
    selector = shotsmith.load(finished.folder) if kind == "policy" else shotsmith.selector("mixed")
    selector.index(rows)
    whole = shotsmith.load(finished.folder) if kind == "policy" else shotsmith.selector("mixed")
    more = [{"id": "new", "image": pictures[25], "question": "what is it called?", "answer": "novelty"}]
    whole.index([*rows, *more])
    assert selector.add(more) == ("new",)
    query = {"image": pictures[25], "question": "what is it called?"}
    assert selector.select(**query).ids == whole.select(**query).ids
    selector.remove(["new", "case 2"])
    assert len(selector) == 11
    found = selector.select(**query, shots=11).ids
    assert not {"new", "case 2"} & set(found)
    with pytest.raises(InputError, match="12 demonstrations cannot be chosen from 11"):
        selector.select(**query, shots=12)
    assert "new" not in selector.remaining()[0].ids


def reindexed(selector: shotsmith.Selector, kind: Literal["exact", "ivf", "hnsw"]) -> shotsmith.Selector:
    """The selector, with another kind of index over its bank."""
    chooser = selector.chooser
    settings = chooser.policy.settings.model_copy(update={"index": IndexSettings(kind=kind, probes=200)})
    chooser.policy.settings = settings
    chooser.manifest = chooser.manifest.model_copy(update={"policy": settings})
    return selector


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw", "free"])
def test_the_id_of_a_removed_example_can_be_given_to_another(
    kind: Any, finished: Run, rows: list[Mapping[str, Any]], pictures: list[Path], tmp_path: Path
) -> None:
    def empty() -> shotsmith.Selector:
        if kind == "free":
            return shotsmith.selector("mixed")
        return reindexed(shotsmith.load(finished.folder), kind)

    selector = empty().index(rows)
    query = {"image": pictures[25], "question": "what is it called?"}
    selector.select(**query)  # builds the index before anything changes
    for picture, answer in ((pictures[24], "second"), (pictures[25], "third")):
        with pytest.raises(InputError, match="two examples of the bank have the id 'case 2'"):
            selector.add([{"id": "case 2", "image": picture, "question": "what is it called?", "answer": answer}])
        selector.remove(["case 2", "case 2"])
        assert len(selector) == 11 and "case 2" not in selector.select(**query, shots=11).ids
        more = [{"id": "case 2", "image": picture, "question": "what is it called?", "answer": answer}]
        assert selector.add(more) == ("case 2",)
        assert len(selector) == 12
    anew = empty().index([*(row for row in rows if row["id"] != "case 2"), *more])
    for shots in (1, 3, 12):
        chosen, expected = selector.select(**query, shots=shots), anew.select(**query, shots=shots)
        assert chosen.ids == expected.ids
        assert [one.answer for one in chosen.examples] == [one.answer for one in expected.examples]
        assert chosen.scores == pytest.approx(expected.scores, abs=1e-5)
    assert selector.select(**query, shots=1).examples[0].answer == "third"
    assert "case 2" not in selector.select(**query, shots=11, exclude=["case 2"]).ids
    (only,) = selector.select(**query, shots=1, pool=["case 2"]).examples
    assert only.answer == "third"
    assert selector.remaining()[0].digest == anew.remaining()[0].digest
    selector.save(tmp_path / "saved", images=True)
    assert shotsmith.load(tmp_path / "saved").bank.digest == anew.bank.digest
    again = empty().index(selector.bank)
    assert len(again) == 12 and again.bank.examples[again.bank.row("case 2")].answer == "third"
    selector.remove(["case 2"])
    assert "case 2" not in selector.select(**query, shots=11).ids
    with pytest.raises(InputError, match="12 demonstrations cannot be chosen from 11"):
        selector.select(**query, shots=12)


def test_ids_given_again_do_not_hide_two_of_one_id(free: shotsmith.Selector, rows: list[Mapping[str, Any]]) -> None:
    free.remove(["case 1"])
    for more, twice in (([rows[1], rows[1]], "case 1"), ([rows[1], rows[2]], "case 2")):
        with pytest.raises(InputError, match=f"two examples of the bank have the id '{twice}'"):
            free.add(more)
    assert len(free) == 11 and len(free.bank) == 12


def test_embeddings_of_another_number_of_examples_are_refused(
    free: shotsmith.Selector, rows: list[Mapping[str, Any]]
) -> None:
    with pytest.raises(InputError, match="there are embeddings of 12 examples, not 11"):
        free.index(rows[1:], embeddings=free.embedded)


def test_added_examples_without_ids_are_numbered_on(free: shotsmith.Selector, pictures: list[Path]) -> None:
    fresh = shotsmith.selector("mixed").index([{"image": p, "question": "q?", "answer": "a"} for p in pictures[:3]])
    assert fresh.add([{"image": pictures[4], "question": "q?", "answer": "a"}]) == (3,)
    with pytest.raises(InputError, match="two examples of the bank have the id 1"):
        fresh.add([{"id": 1, "image": pictures[4], "question": "q?", "answer": "a"}])
    assert len(fresh) == 4


def test_threads_choose_what_one_thread_chooses(trained: shotsmith.Selector, pictures: list[Path]) -> None:
    queries = [{"image": picture, "question": "what is it for?"} for picture in pictures[:16]]
    expected = [trained.select(**query).ids for query in queries]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda query: trained.select(**query).ids, queries * 3))
    assert found == expected * 3


def test_a_token_budget_drops_the_farthest(trained: shotsmith.Selector, pictures: list[Path]) -> None:
    query = {"image": pictures[0], "question": "what is it for?"}
    whole = trained.select(**query)
    assert whole.tokens is not None and whole.stopped == "shots"
    less = trained.select(**query, max_tokens=whole.tokens - 1)
    assert less.ids == whole.ids[1:] and less.stopped == "budget"
    assert less.tokens is not None and less.tokens < whole.tokens
    assert trained.select(**query, max_tokens=whole.tokens).ids == whole.ids
    with pytest.raises(InputError, match="the query does not fit into the budget"):
        trained.select(**query, max_tokens=3)


def test_the_budget_of_training_holds_in_an_application(finished: Run, pictures: list[Path]) -> None:
    query = {"image": pictures[0], "question": "what is it for?"}
    whole = shotsmith.load(finished.folder).select(**query)
    bounded = shotsmith.load(finished.folder)
    prompt = finished.recipe.vlm.prompt.model_copy(update={"max_images": 3})
    bounded.prompting = Prompting(finished.recipe.vlm.model_copy(update={"prompt": prompt}))
    less = bounded.select(**query)
    assert less.ids == whole.ids[2:] and less.scores == whole.scores[2:] and less.stopped == "budget"


def test_unfamiliar_queries_are_flagged_and_can_fall_back(finished: Run, pictures: list[Path]) -> None:
    trained = shotsmith.load(finished.folder)
    assert trained.familiar is not None
    with Parts(finished.recipe, finished, Silent()) as parts:
        asked = parts.splits.train[0]
    seen = {"image": asked.image, "question": asked.question}
    unseen = {"image": pictures[0], "question": "what is it called?"}
    known, strange = trained.select(**seen), trained.select(**unseen)
    assert known.familiarity == pytest.approx(1.0, abs=1e-5)
    assert strange.familiarity is not None and strange.familiarity < 0.999
    trained.familiar = replace(trained.familiar, below=(1 + strange.familiarity) / 2)
    assert not trained.select(**seen).unfamiliar
    flagged, fallen = trained.select(**unseen), trained.select(**unseen, unfamiliar="fallback")
    assert flagged.unfamiliar and flagged.ids == strange.ids
    assert fallen.unfamiliar and fallen.chosen_by == "mixed"
    assert fallen.ids == shotsmith.selector("mixed").index(trained.bank).select(**unseen).ids
    assert trained.select(**seen, unfamiliar="fallback").ids == known.ids


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"question": " "}, "is empty"),
        ({"question": "q?", "image": "nowhere.png"}, "no such image"),
        ({"question": "q?", "image": 3}, "is a int"),
        ({"question": "q?", "shots": -1}, "neither a whole number"),
        ({"question": "q?", "shots": True}, "neither a whole number"),
        ({"question": "q?", "shots": 1000}, "cannot be chosen from"),
        ({"question": "q?", "shots": "auto"}, "cannot decide how many"),
        ({"question": "q?", "pool": ["strange"]}, "no example with the id 'strange'"),
        ({"question": "q?", "exclude": ["strange"]}, "no example with the id 'strange'"),
    ],
)
def test_what_cannot_be_done_is_an_error(free: shotsmith.Selector, asked: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        free.select(**asked)


def test_a_damaged_image_is_an_error(free: shotsmith.Selector) -> None:
    with pytest.raises(DataError, match="not an image"):
        free.select(image=b"no picture", question="q?")


def test_a_selector_without_a_bank_says_so() -> None:
    with pytest.raises(InputError, match="brings no bank along"):
        shotsmith.selector("mixed").select(question="q?")


def test_another_width_is_refused(finished: Run, rows: list[Mapping[str, Any]]) -> None:
    texts = [{"question": row["question"], "answers": row["answers"]} for row in rows]
    with pytest.raises(InputError, match="the bank's embeddings have the width 64, the policy reads 128"):
        shotsmith.load(finished.folder).index(texts)


def test_embeddings_of_a_bank_are_computed_once(
    rows: list[Mapping[str, Any]], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shotsmith.selector("mixed").index(rows)
    (kept,) = (cache / "embeddings").iterdir()
    written = kept.stat().st_mtime_ns
    shotsmith.selector("mixed").index(rows)
    assert [(file, file.stat().st_mtime_ns) for file in (cache / "embeddings").iterdir()] == [(kept, written)]


def test_a_checkpoint_of_a_run_is_that_epoch(finished: Run) -> None:
    folder = finished.epoch(0, "grpo", 0)
    start = shotsmith.load(folder)
    assert start.chooser.policy.state_dict().keys() == load_policy(folder)[0].state_dict().keys()
    query = {"image": sorted((finished.world / "test2014").glob("*.png"))[0], "question": "what is it for?"}
    similar = shotsmith.selector("mixed").index(start.bank)
    assert start.select(**query).ids == similar.select(**query).ids
