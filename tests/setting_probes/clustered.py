"""Workers on a cluster that is not there."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import ActorDiedError

from shotsmith.embeddings.load import load_encoder
from shotsmith.embeddings.on_cluster import ClusterEncoder, on_cluster
from shotsmith.errors import ShotsmithError
from shotsmith.recipe import Recipe
from shotsmith.vlms.load import load_vlm


def hired(recipe: Recipe, folder: Path) -> object:
    """How Ray is found, what workers it is asked for, which servers they get, and after how much it is given up."""
    told: list[object] = []
    clock = iter(range(0, 10**6, 7))

    def options(**wanted: object) -> object:
        told.append(wanted)

        def remote(settings: Any, *_: object) -> object:
            told.append(settings.server and settings.server.url)
            return SimpleNamespace(load=SimpleNamespace(remote=object))

        return SimpleNamespace(remote=remote)

    def wait(references: list[object], **_: object) -> object:
        """Nobody has started for a while, then all die."""
        told.append(len(references))
        return ([], references) if len(told) < 12 else (references[:1], references[1:])

    def get(_reference: object) -> object:
        raise ActorDiedError()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: next(clock))
        patch.setattr(ray, "is_initialized", lambda: False)
        patch.setattr(ray, "init", lambda *at, **_: told.append(at))
        patch.setattr(ray, "remote", lambda _: SimpleNamespace(options=options))
        patch.setattr(ray, "wait", wait)
        patch.setattr(ray, "get", get)
        patch.setattr(ray, "cluster_resources", dict)
        try:
            load_vlm(recipe.vlm)
        except ShotsmithError as error:
            told.append(str(error))
    return told


def embedded(recipe: Recipe, folder: Path) -> object:
    """How Ray is found, what is asked for each part, and how many parts are under way before all fail."""
    told: list[object] = []

    def remote(**wanted: object) -> object:
        told.append(wanted)
        return lambda _: SimpleNamespace(remote=lambda *_: object())

    def wait(references: list[object], **_: object) -> object:
        told.append(len(references))
        return references, []

    def get(_reference: object) -> object:
        raise ActorDiedError()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray, "is_initialized", lambda: False)
        patch.setattr(ray, "init", lambda *at, **_: told.append(at))
        patch.setattr(ray, "remote", remote)
        patch.setattr(ray, "wait", wait)
        patch.setattr(ray, "get", get)
        encoder = on_cluster(load_encoder(recipe.encoder), recipe.encoder)
        assert isinstance(encoder, ClusterEncoder)
        try:
            encoder.keeping_in(folder / "parts").embed_texts([f"what is {number}?" for number in range(5000)])
        except ShotsmithError as error:
            told.append(str(error))
    return told
