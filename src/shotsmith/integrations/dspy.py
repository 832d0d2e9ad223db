"""A selector as an optimizer of DSPy: every call of a program gets the demonstrations chosen for its inputs.

Needs the package dspy (`pip install 'shotsmith[dspy]'`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dspy
from dspy.teleprompt import Teleprompter

import shotsmith
from shotsmith.errors import InputError
from shotsmith.integrations.pictures import picture_of
from shotsmith.library.pictures import picture_files
from shotsmith.library.selector import Selector
from shotsmith.selectors.training_free import TRAINING_FREE

_STATE = "shotsmith"
"""Key of a saved program's state under which everything but its predictors is kept."""


@dataclass(frozen=True, slots=True)
class Fields:
    """What the fields of a program's signature and of its examples are called."""

    question: str = "question"
    image: str = "image"
    """Optional in an example: a `dspy.Image`, a path, bytes, a picture of Pillow, or a list of these."""
    answer: str = "answer"

    def row(self, example: Any, number: int) -> dict[str, Any]:
        """An example as a row of a bank. Raises InputError naming the field that is missing."""
        given = dict(example.items())
        if missing := [name for name in (self.question, self.answer) if name not in given]:
            raise InputError("the example lacks it", row=number, field=missing[0])
        answers = given[self.answer]
        row = {"id": number, "question": str(given[self.question])}
        row["answers"] = answers if isinstance(answers, list) else [str(answers)]
        return row if (picture := self.picture(given)) is None else {**row, "image": picture}

    def picture(self, given: Mapping[str, Any]) -> Any:
        """The picture among the inputs, or a list of them; None where there is none."""
        held = given.get(self.image)
        return [_picture(one) for one in held] if isinstance(held, list | tuple) else _picture(held)


class SelectedFewShot(dspy.Module):  # type: ignore[misc]
    """A program whose predictors are given, at every call, the demonstrations that a selector chooses for its inputs.

    Made by `ShotsmithFewShot.compile`. To load a saved one, make it with the uncompiled program alone and call `load`.
    """

    def __init__(
        self,
        program: dspy.Module,
        selector: Selector | None = None,
        examples: Sequence[Any] = (),
        *,
        shots: int = 4,
        fields: Fields | None = None,
    ) -> None:
        """`examples` are those that the bank's ids, 0 to N - 1, stand for."""
        super().__init__()
        self.program = program
        self.selector = selector
        self.examples = tuple(examples)
        self.shots = shots
        self.fields = fields or Fields()

    def forward(self, **inputs: Any) -> Any:
        """Call the program with the demonstrations for these inputs."""
        return self._with_demonstrations(inputs)(**inputs)

    async def aforward(self, **inputs: Any) -> Any:
        """The same, awaited."""
        return await self._with_demonstrations(inputs).acall(**inputs)

    def demonstrations(self, **inputs: Any) -> list[Any]:
        """The examples chosen for these inputs, in the order shown.

        Raises InputError where the question is missing or nothing is loaded yet, and whatever `Selector.select` does.
        """
        if self.selector is None:
            raise InputError("the program has no selector yet: compile it, or load a saved one")
        if self.fields.question not in inputs:
            raise InputError("the program's inputs lack it", field=self.fields.question)
        chosen = self.selector.select(
            question=str(inputs[self.fields.question]), image=self.fields.picture(inputs), shots=self.shots
        )
        return [self.examples[int(one)] for one in chosen.ids]

    def _with_demonstrations(self, inputs: Mapping[str, Any]) -> dspy.Module:
        """A copy of the program, so that calls in several threads do not see each other's demonstrations."""
        demonstrations = self.demonstrations(**inputs)
        program = self.program.deepcopy()
        for predictor in program.predictors():
            predictor.demos = list(demonstrations)
        return program

    def deepcopy(self) -> SelectedFewShot:
        """Another module with a copy of the program and the same selector."""
        return SelectedFewShot(
            self.program.deepcopy(), self.selector, self.examples, shots=self.shots, fields=self.fields
        )

    def dump_state(self, json_mode: bool = True) -> dict[str, Any]:
        """The state of the program's predictors, and the examples."""
        examples = [{name: _plain(value) for name, value in dict(example.items()).items()} for example in self.examples]
        own = {"shots": self.shots, "fields": asdict(self.fields), "examples": examples}
        return {**super().dump_state(json_mode=json_mode), _STATE: own}

    def load_state(self, state: dict[str, Any], *, allow_unsafe_lm_state: bool = False) -> None:
        """What `dump_state` returned. Raises InputError for the state of a program that was compiled otherwise."""
        if _STATE not in state:
            raise InputError("is not the state of a program compiled by ShotsmithFewShot", field=_STATE)
        super().load_state(state, allow_unsafe_lm_state=allow_unsafe_lm_state)
        own = state[_STATE]
        self.shots, self.fields = own["shots"], Fields(**own["fields"])
        self.examples = tuple(dspy.Example(**example) for example in own["examples"])

    def save(self, path: str | Path, save_program: bool = False, modules_to_serialize: Any = None) -> None:
        """Write the state into a JSON file, and the selector with its bank and images into a folder beside it.

        For `program.json` the folder is `program.selector`. Raises InputError for any other form: a selector is saved
        without pickles.
        """
        if save_program or Path(path).suffix != ".json":
            raise InputError("a program with a selector is saved as a .json file", file=path)
        if self.selector is None:
            raise InputError("the program has no selector yet", file=path)
        super().save(path)
        self.selector.save(_beside(path), images=True)

    def load(self, path: str | Path, allow_pickle: bool = False, allow_unsafe_lm_state: bool = False) -> None:
        """What `save` wrote. Raises InputError (CheckpointError) for a selector that is missing or damaged."""
        selector = Selector.from_pretrained(_beside(path))
        super().load(path, allow_pickle=allow_pickle, allow_unsafe_lm_state=allow_unsafe_lm_state)
        self.selector = selector


class ShotsmithFewShot(Teleprompter):  # type: ignore[misc]
    """Compiles a program so that a selector chooses its demonstrations from the training set at every call.

    `selector` is a trained one (as `shotsmith.load` takes or returns it), or the name of a training-free one. With
    `recipe` (without a section `data`) a selector is trained on the training set and judged on the validation set.
    """

    def __init__(
        self,
        selector: Selector | str | Path = "mixed",
        *,
        recipe: Mapping[str, Any] | None = None,
        folder: str | Path = "runs/dspy",
        shots: int = 4,
        fields: Fields | None = None,
    ) -> None:
        """`folder` is that of the run which a recipe fills."""
        super().__init__()
        self.selector = selector
        self.recipe = recipe
        self.folder = Path(folder)
        self.shots = shots
        self.fields = fields or Fields()

    def compile(
        self,
        student: dspy.Module,
        *,
        trainset: Sequence[Any],
        teacher: dspy.Module | None = None,
        valset: Sequence[Any] | None = None,
        **_others: Any,
    ) -> SelectedFewShot:
        """The program with the training set as its bank. The student stays as it is; no teacher is needed.

        Raises InputError naming row and field of an example without question or answer; with a recipe also for a
        missing validation set, and whatever `shotsmith.run` raises.
        """
        rows = [self.fields.row(example, number) for number, example in enumerate(trainset)]
        selector = self._selector() if self.recipe is None else self._trained(self.recipe, rows, valset)
        selector.index(rows)
        return SelectedFewShot(student.reset_copy(), selector, trainset, shots=self.shots, fields=self.fields)

    def _selector(self) -> Selector:
        if isinstance(self.selector, Selector):
            return self.selector
        named = isinstance(self.selector, str) and self.selector in TRAINING_FREE
        return shotsmith.selector(str(self.selector)) if named else shotsmith.load(self.selector)

    def _trained(
        self, recipe: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], valset: Sequence[Any] | None
    ) -> Selector:
        if not valset:
            raise InputError("training needs a validation set, on which the selector is judged", field="valset")
        tables = self.folder.with_name(f"{self.folder.name}-data")
        held_out = [self.fields.row(example, number) for number, example in enumerate(valset)]
        files = {"train": _write(tables, "train", rows), "test": _write(tables, "test", held_out)}
        pictured = any("image" in row for row in (*rows, *held_out))
        columns = {"image": "image" if pictured else None}
        given = {"name": self.folder.name, **recipe, "data": {**recipe.get("data", {})}}
        given["data"]["table"] = {**files, "columns": columns}
        return shotsmith.load(shotsmith.run(given, self.folder).folder)


def _picture(held: Any) -> Any:
    return picture_of(held.url if isinstance(held, dspy.Image) else held)


def _write(folder: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of rows, their pictures beside it; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.jsonl"
    with file.open("w", encoding="utf-8") as out:
        for row in rows:
            told = {"question": row["question"], "answers": row["answers"]}
            if pictures := picture_files(row.get("image"), folder / "images"):
                told["image"] = [str(picture) for picture in pictures]
            out.write(json.dumps(told, ensure_ascii=False) + "\n")
    return str(file.absolute())


def _beside(path: str | Path) -> Path:
    return Path(path).with_suffix(".selector")


def _plain(value: Any) -> Any:
    """A value as JSON holds it; pictures become data URLs."""
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
