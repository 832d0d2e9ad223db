"""The frozen models."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from PIL import Image
from small_vlm import write_adapter
from transformers import AutoModelForImageTextToText

from setting_probes.stages import Heard, parts_of, run_of
from shotsmith.embeddings.load import load_encoder
from shotsmith.errors import InputError
from shotsmith.experiment.parts import Parts
from shotsmith.recipe import Recipe
from shotsmith.records import Example, Request
from shotsmith.vlms.load import load_vlm
from shotsmith.vlms.pretrained.lengths import load_lengths
from shotsmith.vlms.pretrained.loading import load_pretrained


def vlm(recipe: Recipe, folder: Path) -> object:
    """Which VLM is loaded, what it answers, and how many prompts it is given at a time."""
    heard = Heard()
    with Parts(recipe, run_of(recipe, folder), heard) as parts:
        examples = parts.splits.train
        try:
            identity = parts.collector.vlm.identity
        except InputError as error:
            return str(error)
        requests = [Request(examples[n], (examples[n + 1],), (examples[n].answer,)) for n in range(3)]
        return identity, str(parts.ask(requests, "here")), heard.amounts


def fitted(recipe: Recipe, folder: Path) -> object:
    """How many demonstrations and images the prompts of three demonstrations show."""
    with Parts(recipe, run_of(recipe, folder), Heard()) as parts:
        tasks = parts.tasks("test")
        requests = [tasks.request(query, (0, 1, 2)) for query in range(len(tasks.queries))]
        return [(len(request.demonstrations), len(request.images)) for request in requests]


def counted(recipe: Recipe, folder: Path) -> object:
    """How many tokens a prompt has before a server or a backend is asked."""
    try:
        return load_lengths(recipe.vlm)(Request(Example(1, (), 1, "what?", ("red",))))
    except InputError as error:
        return str(error)


def placed(recipe: Recipe, folder: Path) -> object:
    """Where the weights are put, and by whom."""
    with pytest.MonkeyPatch.context() as patch:
        asked: list[object] = []
        load = AutoModelForImageTextToText.from_pretrained
        patch.setattr(
            AutoModelForImageTextToText,
            "from_pretrained",
            lambda *args, **options: asked.append(options["device_map"]) or load(*args, **options),
        )
        vlm = load_vlm(recipe.vlm)
        return type(vlm).__name__, asked


def adapted(recipe: Recipe, folder: Path) -> object:
    """What the VLM thinks of an answer with the adapter that is named, which is drawn at random, or with none."""
    if recipe.vlm.lora is not None:
        write_adapter(Path(recipe.vlm.lora), load_pretrained(recipe.vlm.model_copy(update={"lora": None})).model)
    completion = load_vlm(recipe.vlm).complete([Request(Example(1, (), 1, "what?", ("red",)), answers=("red",))])
    return str(completion)


def kept_features(recipe: Recipe, folder: Path) -> object:
    """Where the vision features of two prompts are kept on disk."""
    with Parts(recipe, run_of(recipe, folder), Heard()) as parts:
        parts.ask([Request(example) for example in parts.splits.train[:2]], "here")
    return sorted(str(file.relative_to(folder).parent) for file in folder.rglob("*.safetensors"))


def backed(recipe: Recipe, _folder: Path) -> object:
    """Which VLM a backend of another package gives, and what it answers."""
    vlm = load_vlm(recipe.vlm)
    return vlm.identity, recipe.vlm.gives_log_probs, str(vlm.complete([Request(Example(1, (), 1, "what?", ("red",)))]))


def served(recipe: Recipe, folder: Path) -> object:
    """What a server is sent that never answers well, with what key and patience, and how much at a time."""
    sent: list[object] = []
    timeout = asyncio.timeout

    def reply(request: httpx2.Request) -> httpx2.Response:
        sent.append((request.method, str(request.url), request.headers.get("authorization"), request.content))
        if request.method == "GET":
            return httpx2.Response(200, stream=Chunks(b'{"data": [{"id": "one"}, {"id": "two"}]}'))
        return httpx2.Response(200, stream=Chunks(b'{"model": "one", "choices": []}'))

    class Chunks(httpx2.AsyncByteStream):
        def __init__(self, content: bytes) -> None:
            self.content = content

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield self.content

    client = functools.partial(httpx2.AsyncClient, transport=httpx2.MockTransport(reply))
    with pytest.MonkeyPatch.context() as patch, parts_of(recipe, folder) as parts:
        patch.setenv("STUB_KEY", "key")
        patch.setattr("shotsmith.vlms.remote.connection.httpx2.AsyncClient", client)
        patch.setattr("shotsmith.vlms.remote.retry.FIRST_PAUSE", 0.0)
        patch.setattr("shotsmith.vlms.remote.retry.asyncio.timeout", lambda most: sent.append(most) or timeout(most))
        vlm = load_vlm(recipe.vlm)
        return vlm.batch_tokens, str(vlm.complete([Request(parts.splits.train[0])])), sent


def seen_by_policies(recipe: Recipe, folder: Path) -> object:
    """The embeddings as policies are given them."""
    with Parts(recipe, run_of(recipe, folder), Heard()) as parts:
        batch = parts.inputs("test").batch(range(2))
        return batch.queries.tolist(), batch.candidates.tolist()


def encoder(recipe: Recipe, folder: Path) -> object:
    """The embeddings, and how many images and questions are embedded at a time."""
    heard = Heard()
    with Parts(recipe, run_of(recipe, folder), heard) as parts:
        return parts.embeddings["test"].joined.tolist(), heard.amounts


def encoder_of_the_hub(recipe: Recipe, folder: Path) -> object:
    """The embeddings of a picture and a text, by models that are in the cache of the hub."""
    Image.new("RGB", (9, 9), (200, 30, 90)).save(folder / "picture.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder.parent / "hub"))
        loaded = load_encoder(recipe.encoder)
    return loaded.embed_images([folder / "picture.png"]).tolist(), loaded.embed_texts(["what is this"]).tolist()


def placed_encoder(recipe: Recipe, folder: Path) -> object:
    """The encoder, or why there is none where it is to run."""
    try:
        return load_encoder(recipe.encoder).identity
    except InputError as error:
        return str(error)
