"""A selector as an optimizer of DSPy, beside DSPy's own nearest neighbours."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("dspy", reason="dspy is not installed (make test-harnesses installs it)")

import dspy
from dspy.teleprompt import KNNFewShot
from dspy.utils.dummies import DummyLM
from small_experiment import small_bank_recipe

import shotsmith
from shotsmith.errors import CheckpointError, InputError
from shotsmith.integrations.dspy import Fields, SelectedFewShot, ShotsmithFewShot
from shotsmith.runs import Run

TOPICS = ("lamp", "kettle", "ladder", "violin", "compass", "anchor")


class Answer(dspy.Signature):  # type: ignore[misc]
    """Answer the question about the image."""

    image: dspy.Image = dspy.InputField()
    question: str = dspy.InputField()
    answer: str = dspy.OutputField()


@pytest.fixture
def texts() -> list[Any]:
    return [
        dspy.Example(question=f"who keeps the {topic}?", answer=f"keeper of the {topic}").with_inputs("question")
        for topic in TOPICS
    ]


@pytest.fixture
def pictured(pictures: list[Path]) -> list[Any]:
    return [
        dspy.Example(image=dspy.Image(path.read_bytes()), question="what is it called?", answer=f"name{n}").with_inputs(
            "image", "question"
        )
        for n, path in enumerate(pictures[:8])
    ]


def lm() -> DummyLM:
    return DummyLM([{"answer": "said"}] * 20)


def _shown(lm: DummyLM) -> str:
    """Everything that the last call was sent."""
    return json.dumps(lm.history[-1]["messages"])


def test_each_call_shows_what_the_selector_selects(texts: list[Any]) -> None:
    program = dspy.Predict("question -> answer")
    compiled = ShotsmithFewShot("text_similar", shots=2).compile(program, trainset=texts)
    selector = shotsmith.selector("text_similar").index([{"question": e.question, "answer": e.answer} for e in texts])
    for topic in TOPICS[:3]:
        question = f"who keeps the {topic}?"
        with dspy.context(lm=(model := lm())):
            assert compiled(question=question).answer == "said"
        expected = [texts[int(one)].answer for one in selector.select(question=question, shots=2).ids]
        told = [one.answer for one in compiled.demonstrations(question=question)]
        assert told == expected and told[-1] == f"keeper of the {topic}"
        assert [answer in _shown(model) for answer in expected] == [True, True]
        assert sum(example.answer in _shown(model) for example in texts) == 2
    assert not program.demos


def test_beside_knn_few_shot_on_the_same_data(texts: list[Any]) -> None:
    program = dspy.Predict("question -> answer")
    encoder = shotsmith.selector("text_similar").encoder

    def embed(questions: list[str]) -> Any:
        return np.asarray(encoder.embed_texts([one.removeprefix("question: ") for one in questions]))

    knn = KNNFewShot(2, texts, dspy.Embedder(embed), max_bootstrapped_demos=0, max_labeled_demos=2)
    theirs = knn.compile(program)
    ours = ShotsmithFewShot("text_similar", shots=2).compile(program, trainset=texts)
    for topic in TOPICS:
        prompts = []
        for compiled in (theirs, ours):
            with dspy.context(lm=(model := lm())):
                compiled(question=f"who keeps the {topic}?")
            prompts.append({example.answer for example in texts if example.answer in _shown(model)})
        assert prompts[0] == prompts[1] and len(prompts[0]) == 2


def test_images_are_read_and_shown(pictured: list[Any], pictures: list[Path]) -> None:
    compiled = ShotsmithFewShot("image_similar", shots=2).compile(dspy.ChainOfThought(Answer), trainset=pictured)
    with dspy.context(lm=(model := DummyLM([{"reasoning": "so", "answer": "said"}]))):
        compiled(image=dspy.Image(pictures[3].read_bytes()), question="what is it called?")
    chosen = compiled.demonstrations(image=pictured[3].image, question="what is it called?")
    assert chosen[-1] is pictured[3]
    sent = _shown(model)
    assert all(one.image.url in sent and one.answer in sent for one in chosen)


def test_a_saved_program_shows_the_same_demonstrations(pictured: list[Any], tmp_path: Path) -> None:
    compiled = ShotsmithFewShot("mixed", shots=3).compile(dspy.Predict(Answer), trainset=pictured)
    compiled.save(tmp_path / "program.json")
    loaded = SelectedFewShot(dspy.Predict(Answer))
    with pytest.raises(InputError, match="has no selector yet"):
        loaded(image=pictured[0].image, question="what is it called?")
    loaded.load(tmp_path / "program.json")
    assert loaded.shots == 3
    sent = []
    for program in (compiled, loaded):
        with dspy.context(lm=(model := lm())):
            program(image=pictured[5].image, question="what is it called?")
        sent.append(_shown(model))
    assert sent[0] == sent[1]
    with pytest.raises(InputError, match=r"saved as a \.json file"):
        compiled.save(tmp_path / "program.pkl")
    weights = tmp_path / "program.selector" / "bank.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"~")
    with pytest.raises(CheckpointError):
        loaded.load(tmp_path / "program.json")


def test_calls_in_threads_do_not_see_each_others_demonstrations(texts: list[Any]) -> None:
    compiled = ShotsmithFewShot("text_similar", shots=1).compile(dspy.Predict("question -> answer"), trainset=texts)

    async def ask(topic: str) -> tuple[str, str]:
        with dspy.context(lm=(model := lm())):
            await compiled.acall(question=f"who keeps the {topic}?")
        return topic, _shown(model)

    async def everybody() -> list[tuple[str, str]]:
        return await asyncio.gather(*(ask(topic) for topic in TOPICS))

    for topic, sent in asyncio.run(everybody()):
        assert [f"keeper of the {one}" in sent for one in TOPICS] == [one == topic for one in TOPICS]


@pytest.mark.slow
def test_a_recipe_trains_a_selector_on_the_training_set(tmp_path: Path, pictures: list[Path]) -> None:
    fields = Fields(question="asked", image="photo", answer="said")
    trainset, valset = (
        [dspy.Example(photo=str(path), asked=f"what is {n}?", said=f"name{n % 3}") for n, path in enumerate(some)]
        for some in (pictures[:30], pictures[30:])
    )
    recipe = small_bank_recipe().model_dump(mode="json", exclude_defaults=True)
    recipe = {key: value for key, value in recipe.items() if key not in ("data", "name", "supervised", "rce", "beam")}
    recipe["grpo"] = {**recipe["grpo"], "epochs": 1}
    recipe["evaluation"] = {"shots": [1], "oracle_tries": 0, "fixed_tries": 0, "random_draws": 1}
    optimizer = ShotsmithFewShot(recipe=recipe, folder=tmp_path / "run", fields=fields, shots=2)
    with pytest.raises(InputError, match="training needs a validation set"):
        optimizer.compile(dspy.Predict("photo, asked -> said"), trainset=trainset)
    compiled = optimizer.compile(dspy.Predict("photo, asked -> said"), trainset=trainset, valset=valset)
    assert compiled.selector is not None and compiled.selector.card.selector == "policy"
    assert len(compiled.selector) == len(trainset), "examples set aside for validation can be shown"
    assert Run.open(tmp_path / "run").is_done("evaluate")
    assert len(compiled.demonstrations(photo=str(pictures[35]), asked="what is 5?")) == 2


def test_an_example_without_an_answer_is_named(texts: list[Any]) -> None:
    spoiled = [*texts, dspy.Example(question="who?").with_inputs("question")]
    with pytest.raises(InputError, match="row 6, field answer: the example lacks it"):
        ShotsmithFewShot().compile(dspy.Predict("question -> answer"), trainset=spoiled)
