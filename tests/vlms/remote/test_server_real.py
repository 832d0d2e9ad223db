"""The server backend against `transformers serve`, a server that others wrote, which runs the built-in VLM."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from real_server import draw_requests, serving

from shotsmith import experiment
from shotsmith.builtin import VLM_PATH
from shotsmith.errors import InputError, VLMError
from shotsmith.evaluation.results import read_results
from shotsmith.progress import Silent
from shotsmith.recipe import VLMSettings, parse_recipe
from shotsmith.records import Completion, Request
from shotsmith.runs import Run
from shotsmith.vlms.load import load_vlm
from shotsmith.vlms.protocol import VLM

SAMPLING = {"do_sample": True, "temperature": 1.5, "repetition_penalty": 2.0, "max_new_tokens": 1}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server of the built-in VLM whose generation configuration asks for all that a recipe does not."""
    folder = tmp_path_factory.mktemp("server")
    vlm = shutil.copytree(VLM_PATH, folder / "vlm")
    generation = json.loads((vlm / "generation_config.json").read_text())
    (vlm / "generation_config.json").write_text(json.dumps(generation | SAMPLING))
    with serving(folder, vlm) as url:
        yield url


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> list[Request]:
    return draw_requests(tmp_path_factory.mktemp("prompts"), 40)


def served(url: str, **settings: object) -> VLM:
    server = {"url": url, "model": "vlm", "concurrency": 8}
    return load_vlm(VLMSettings.model_validate({"server": server, **settings}))


def local(**settings: object) -> VLM:
    return load_vlm(VLMSettings.model_validate(settings))


def test_its_answers_are_those_of_the_local_vlm(url: str, requests: list[Request]) -> None:
    completions = served(url).complete(requests)
    assert completions == local().complete(requests)
    assert len({completion.text for completion in completions if isinstance(completion, Completion)}) > 10


@pytest.mark.parametrize(
    "settings", [{"max_new_tokens": 1}, {"prompt": {"layout": "multi_turn", "system": "what is it?"}}], ids=str
)
def test_so_they_are_with_other_settings(url: str, requests: list[Request], settings: dict[str, object]) -> None:
    assert served(url, **settings).complete(requests[:15]) == local(**settings).complete(requests[:15])


def test_its_reply_is_the_answer_alone(url: str) -> None:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        reply = client.chat.completions.create(
            model="vlm",
            messages=[{"role": "user", "content": "Question: what is it called? Short answer:"}],
            temperature=0,
            max_tokens=5,
        )
    text = reply.choices[0].message.content
    assert text and "<|" not in text and "assistant" not in text


def test_a_folder_that_it_does_not_list_may_be_named(url: str) -> None:
    assert served(url).identity.startswith("server vlm ")
    with pytest.raises(InputError, match=r"vlm\.server\.model.*it says 400.*other"):
        load_vlm(VLMSettings(server={"url": url, "model": "other"}))


def test_what_it_cannot_give_is_not_asked_for(url: str, requests: list[Request]) -> None:
    with pytest.raises(VLMError, match="log-probabilities"):
        served(url).complete([Request(requests[0].query, answers=("red",))])


def test_a_recipe_that_needs_no_log_probabilities_runs_to_its_report(url: str, tmp_path: Path) -> None:
    recipe = parse_recipe(
        {
            "data": {
                "world": {"preset": "first", "train": 60, "val": 10, "test": 10},
                **{"train_queries": 4, "val_queries": 2, "test_queries": 4},
            },
            "vlm": {"server": {"url": url, "model": "vlm"}},
            "pools": {"size": 6},
            "beam": {"queries": 1},
            "supervised": {"epochs": 0},
            "rce": {"epochs": 0},
            "reward": {"answer_probability": 0},
            "grpo": {"epochs": 1, "steps_per_epoch": 1, "num_generations": 2, "queries_per_step": 2},
            "evaluation": {"shots": [1], "random_draws": 1, "oracle_tries": 3, "resamples": 100},
        }
    )
    run = Run.create(tmp_path / "run", recipe)
    experiment.run(recipe, run, Silent())
    results = read_results(run.results)
    assert {"grpo", "oracle"} <= {result.selector for result in results} and all(result.text for result in results)
