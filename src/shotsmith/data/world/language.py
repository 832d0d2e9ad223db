"""The words of the world: what can be seen, what can be asked, what can be answered.

A question *kind* states one or two *facts*. What a fact depends on differs from kind to kind, so that a demonstration
is relevant to a query when both share the deciding property, whatever else they share.
"""

from __future__ import annotations

from dataclasses import dataclass

SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond", "ring", "arrow")
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "cyan", "black")

NAMES = tuple(
    (
        "dax wug blick toma zup fep kiki bova lumo rill sark pim gorp nalu tesk vint mool jax hesp quon drib "
        "yalt crun opli"
    ).split()
)
PLACES = tuple(
    (
        "norland suvia kepra mandor elthos brinn palau cascar virel oshen tundar zamora ishtal fenwick galdor rovina"
    ).split()
)
USES = tuple(
    (
        "digging fishing cooking weaving hunting painting sailing healing trading singing building writing "
        "mining dancing cutting lifting"
    ).split()
)
KEEPERS = tuple(("amos bela ciro dara edda falk gwen hugo inga joss kira leon mira nils olga pavo").split())


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that can be stated about an artefact."""

    name: str
    depends_on: str
    """'shape', 'colour' or 'both': artefacts that agree in it share the fact."""
    answers: tuple[str, ...]
    visible: bool = False
    """Whether the picture shows it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of question: its phrasings and the facts its answer states, in order."""

    name: str
    phrasings: tuple[str, ...]
    facts: tuple[str, ...]
    """Names of facts; 'keeper:first' and 'keeper:last' are the oldest and the newest statement of a changing fact."""


FACTS = {
    fact.name: fact
    for fact in (
        Fact("name", "shape", NAMES),
        Fact("place", "colour", PLACES),
        Fact("use", "both", USES),
        Fact("keeper", "shape", KEEPERS),
        Fact("colour", "colour", COLOURS, visible=True),
        Fact("shape", "shape", SHAPES, visible=True),
    )
}

KINDS = {
    kind.name: kind
    for kind in (
        Kind("name", ("what is it called?", "what do people call it?"), ("name",)),
        Kind("place", ("where is it from?", "which place does it come from?"), ("place",)),
        Kind("use", ("what is it for?", "what do people use it for?"), ("use",)),
        Kind("keeper", ("who keeps it?", "which person does it belong to?"), ("keeper:last",)),
        Kind(
            "pair",
            ("what is it called and where is it from?", "which name and which place belong to it?"),
            ("name", "place"),
        ),
        Kind(
            "history",
            ("who kept it first and who keeps it now?", "which person did it belong to first and which now?"),
            ("keeper:first", "keeper:last"),
        ),
        Kind("colour", ("what colour is it?", "which colour does it have?"), ("colour",)),
        Kind("shape", ("what shape is it?", "which shape does it have?"), ("shape",)),
    )
}


def fact_key(fact: Fact, shape: str, colour: str) -> tuple[str, ...]:
    """Which fact of the world this is: artefacts with the same key share the answer."""
    return {
        "shape": (fact.name, shape),
        "colour": (fact.name, colour),
        "both": (fact.name, shape, colour),
    }[fact.depends_on]


def split_fact(name: str) -> tuple[Fact, str]:
    """'keeper:first' -> (the fact, 'first'); a plain name means the newest statement, 'last'."""
    base, _, which = name.partition(":")
    return FACTS[base], which or "last"
