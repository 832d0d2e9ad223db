"""Texts that are a printed container: a list, record or array that a tool wrote as its text into a cell.

Taken for an answer, such a text would be shown to the VLM and compared with what it says. Lists of texts are read as
the lists they are; every other container is a fault. A text in brackets without quotes, such as `[stop]`, is a text.
"""

from __future__ import annotations

import ast
import json
import re

_TEXT = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_ITEM = rf"(?:(?:np|numpy)\.str_\(\s*{_TEXT}\s*\)|{_TEXT})"
_LIST = re.compile(
    rf"(?:(?:np\.|numpy\.)?array\(\s*)?\[\s*{_ITEM}(?:\s*,\s*{_ITEM}|\s+{_ITEM})*\s*,?\s*\]"
    rf"(?:\s*,\s*dtype=[^)]*)?\s*\)?|\(\s*{_ITEM}\s*,\s*(?:{_ITEM}\s*,?\s*)*\)",
    re.DOTALL,
)
"""A list, tuple or array of texts as Python and numpy print it; numpy puts no commas."""
_PRINTED = re.compile(
    r"\s*(?:(?:\[|(?:np\.|numpy\.)?array\(|Series\()\s*(?:['\"{]|\[\s*['\"{]|array\(|None\b|nan\b|np\.|numpy\.|<pyarrow)"
    r"|\{\s*['\"]|b'|b\"|<pyarrow)"
)
"""How the text of a container, or of bytes, begins."""
_ENDS = ("]", ")", "}", "'", '"', ">")
_LONGEST = 100_000
"""Characters; a longer text is judged by how it begins and ends."""


def texts_in(text: str) -> list[str] | None:
    """The texts of a printed list of texts, or of a JSON list of them; None where the text is something else."""
    stripped = text.strip()
    if not stripped.startswith(("[", "(", "array(", "np.array(", "numpy.array(")):
        return None
    found = _json(stripped)
    if isinstance(found, list) and found and all(isinstance(item, str) for item in found):
        return found
    if not _LIST.fullmatch(stripped):
        return None
    try:
        return [str(ast.literal_eval(item)) for item in re.findall(_TEXT, _without_type(stripped), re.DOTALL)]
    except (ValueError, SyntaxError):
        return None


def is_container(text: str, *, numbers: bool = False) -> bool:
    """Whether a text is a printed container or bytes; with `numbers` also where it holds numbers alone.

    A list of numbers may be what somebody answered, such as a box or a place.
    """
    stripped = text.strip()
    if not stripped.endswith(_ENDS):
        return False
    if _PRINTED.match(stripped) or texts_in(stripped) is not None:
        return True
    if not stripped.startswith(("[", "{", "(")):
        return False
    found = _literal(stripped)
    if not isinstance(found, list | tuple | dict | set):
        return False
    return numbers or not found or not all(isinstance(item, int | float) for item in found)


def _without_type(text: str) -> str:
    return re.sub(r",\s*dtype=[^)]*\)?\s*$", "", text)


def _json(text: str) -> object:
    try:
        value: object = json.loads(text) if len(text) <= _LONGEST else None
    except (ValueError, RecursionError):
        return None
    return value


def _literal(text: str) -> object:
    if (found := _json(text)) is not None:
        return found
    try:
        value: object = ast.literal_eval(text) if len(text) <= _LONGEST else None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return value
