"""Shotsmith learns which demonstrations to show a vision-language model, in which order, and how many.

    import shotsmith

    selector = shotsmith.load("runs/demo")
    chosen = selector.select(image="a.jpg", question="What is it for?", shots=4)
    chosen.messages()

The names in `__all__` are stable. Each is loaded when it is first used: `import shotsmith` loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.2.0"

if TYPE_CHECKING:
    from shotsmith.errors import ShotsmithError
    from shotsmith.library.bank import Bank
    from shotsmith.library.experiments import compare, evaluate, headroom, run
    from shotsmith.library.load import load, selector
    from shotsmith.library.milvus import MilvusBank
    from shotsmith.library.queries import Query
    from shotsmith.library.selection import Selection
    from shotsmith.library.selector import Selector
    from shotsmith.records import Example

__all__ = [
    "Bank",
    "Example",
    "MilvusBank",
    "Query",
    "Selection",
    "Selector",
    "ShotsmithError",
    "compare",
    "evaluate",
    "headroom",
    "load",
    "run",
    "selector",
]

_HOMES = {
    "Bank": "library.bank",
    "Example": "records",
    "MilvusBank": "library.milvus",
    "Query": "library.queries",
    "Selection": "library.selection",
    "Selector": "library.selector",
    "ShotsmithError": "errors",
    "compare": "library.experiments",
    "evaluate": "library.experiments",
    "headroom": "library.experiments",
    "load": "library.load",
    "run": "library.experiments",
    "selector": "library.load",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'shotsmith' has no attribute {name!r}")
    value: object = getattr(import_module(f"shotsmith.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
