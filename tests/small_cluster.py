"""VLMs for workers on a cluster: they write down what they answer, and die, wait or fail where a question says so."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import ray

from shotsmith.errors import DataError, InputError, VLMError
from shotsmith.recipe import VLMSettings
from shotsmith.records import Completion, Example, Failure, Request


class Diary:
    """A VLM of a few prompts a part. `lora` of its settings is the folder where it keeps its notes."""

    identity = "diary"
    batch_tokens = 80

    def __init__(self, settings: VLMSettings) -> None:
        self.folder = Path(str(settings.lora))
        if (self.folder / "no start").exists():
            raise VLMError("cannot start today")

    def length(self, request: Request) -> int:
        return 1

    def complete(self, requests: list[Request]) -> list[Completion | Failure]:
        for request in requests:
            self.obey(request.query.question)
        with (self.folder / f"{os.getpid()}.log").open("a") as file:
            file.writelines(f"{request.query.id}\n" for request in requests)
        return [answer_to(request) for request in requests]

    def obey(self, question: str) -> None:
        word, _, rest = question.partition(" ")
        if word == "die" and (rest == "always" or note(self.folder / f"died at {rest}")):
            time.sleep(0.3)  # what was answered before is on its way back, and is had once it has come there
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "fail" and note(self.folder / f"failed at {rest}"):
            raise VLMError("out of order")
        if word == "wrong":
            raise DataError("is no image", file=rest, row=7)
        if word == "hold":
            unfinished = self.folder / f"{os.getpid()}.begins"
            unfinished.write_text(ray.get_runtime_context().get_node_id())
            unfinished.replace(unfinished.with_suffix(".holds"))
            while not (self.folder / "go").exists():
                time.sleep(0.01)


def load_diary(settings: VLMSettings) -> Diary:
    if settings.lora == "missing":
        raise InputError("no such adapter", file=settings.lora, field="vlm.lora")
    return Diary(settings)


def note(file: Path) -> bool:
    """Whether this is the first time."""
    try:
        file.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def asked(questions: dict[int, str], count: int) -> list[Request]:
    """Prompts numbered from 0, with the questions that are given by number."""
    return [Request(Example(n, (), n, questions.get(n, f"what is number {n}?"), ("red",))) for n in range(count)]


def answer_to(request: Request) -> Completion:
    return Completion(f"answer {request.query.id}")


def answered_by(folder: Path) -> dict[int, list[int]]:
    """What each process has answered, by its id."""
    return {int(file.stem): [int(line) for line in file.read_text().split()] for file in folder.glob("*.log")}


def times_answered(folder: Path) -> Counter[int]:
    return Counter(number for numbers in answered_by(folder).values() for number in numbers)
