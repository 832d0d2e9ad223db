"""Bodies of `/select` and `/index`, and of what they answer."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, model_validator

from shotsmith.library.selection import Selection
from shotsmith.serve.settings import MAX_IMAGES, MAX_SHOTS

Id = StrictInt | Annotated[StrictStr, Field(max_length=1000)]
Ids = Annotated[list[Id], Field(max_length=100_000)]
Text = Annotated[str, Field(strict=True, min_length=1, max_length=20_000)]
ImageText = Annotated[
    str, Field(strict=True, description="A data URL, base64, or a file:// URL of a folder that the server allows.")
]

ImagesText = ImageText | Annotated[list[ImageText], Field(max_length=MAX_IMAGES)]


class Body(BaseModel):
    """A request's body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")


class QueryBody(Body):
    """A question about an image, about several, or about none."""

    question: Text
    image: ImagesText | None = None
    exclude: Ids = Field(default=[], description="Examples that must not be shown.")


class SelectBody(Body):
    """One query (`question`, `image`, `exclude`) or many (`queries`)."""

    question: Text | None = None
    image: ImagesText | None = None
    exclude: Ids = Field(default=[], description="Examples that must not be shown.")
    queries: list[QueryBody] | None = Field(default=None, min_length=1)
    shots: Annotated[int, Field(strict=True, ge=0, le=MAX_SHOTS)] | Literal["auto"] = 4
    pool: Ids | None = Field(default=None, description="The only examples that may be shown.")
    max_tokens: Annotated[int, Field(strict=True, ge=1, le=10**9)] | None = Field(
        default=None, description="Most tokens of the prompt: the demonstrations farthest from the query are left out."
    )
    unfamiliar: Literal["flag", "fallback"] = "flag"
    messages: bool = Field(default=False, strict=True, description="Answer with the chat messages to send, too.")
    images: Literal["data_url", "id"] = Field(
        default="data_url", description="How the messages name the bank's images."
    )

    @model_validator(mode="after")
    def _one_or_many(self) -> Self:
        if (self.question is None) == (self.queries is None):
            raise ValueError("give one of question and queries")
        if self.queries is not None and (self.image is not None or self.exclude):
            raise ValueError("image and exclude belong to each of the queries")
        return self

    def asked(self) -> list[QueryBody]:
        """The queries."""
        if self.queries is not None:
            return self.queries
        assert self.question is not None
        return [QueryBody.model_construct(question=self.question, image=self.image, exclude=self.exclude)]


class Shown(BaseModel):
    """A demonstration."""

    id: int | str
    question: str
    answer: str


class Selected(BaseModel):
    """The demonstrations for one query, in the order shown; the last stands next to the query."""

    ids: list[int | str]
    scores: list[float]
    chosen_by: str
    stopped: Literal["shots", "policy", "budget", "bank"]
    familiarity: float | None
    unfamiliar: bool
    tokens: int | None = Field(description="Tokens of the prompt, where max_tokens was given.")
    examples: list[Shown]
    messages: list[dict[str, Any]] | None = None


class Selections(BaseModel):
    """The answer of `/select`: as many selections as there were queries."""

    selections: list[Selected]


class ExampleBody(Body):
    """An example to add to the bank."""

    id: Id | None = Field(default=None, description="Numbered on where it is left out.")
    question: Text
    image: ImagesText | None = None
    answers: Text | Annotated[list[Text], Field(min_length=1, max_length=100)]


class IndexBody(Body):
    """Examples to add to the bank, and ids to remove from it."""

    add: list[ExampleBody] = []
    remove: Ids = []

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.add and not self.remove:
            raise ValueError("there is nothing to add or remove")
        if len({one.id is None for one in self.add}) > 1:
            raise ValueError("give every added example an id, or none of them")
        return self


class Indexed(BaseModel):
    """The answer of `/index`."""

    added: list[int | str]
    removed: int
    examples: int = Field(description="Examples that can be shown now.")


class Health(BaseModel):
    """The answer of `/healthz`."""

    status: Literal["ok"] = "ok"
    selector: str
    examples: int
    version: str


def told(selection: Selection, *, tokens: bool, messages: list[dict[str, Any]] | None) -> dict[str, Any]:
    """A selection as it is answered: `Selected`, without the paths of the bank's images."""
    answer: dict[str, Any] = {
        "ids": list(selection.ids),
        "scores": list(selection.scores),
        "chosen_by": selection.chosen_by,
        "stopped": selection.stopped,
        "familiarity": selection.familiarity,
        "unfamiliar": selection.unfamiliar,
        "tokens": selection.tokens if tokens else None,
        "examples": [
            {"id": one, "question": example.question, "answer": example.answer}
            for one, example in zip(selection.ids, selection.examples, strict=True)
        ],
    }
    return answer if messages is None else answer | {"messages": messages}
