"""The chat template of a model, rendered within a time limit: it is a program that came with the model's files."""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator
from typing import Any

import jinja2

from shotsmith.errors import InputError

SECONDS = 10.0
"""Longest time that rendering one prompt may take."""


def render_chat(processor: Any, chat: list[dict[str, Any]], **options: object) -> str:
    """The text of a chat. Raises InputError where the template fails, or takes longer than SECONDS."""
    try:
        with _limited(SECONDS):
            return str(processor.apply_chat_template(chat, tokenize=False, **options))
    except _TooSlow as error:
        raise InputError(
            f"its chat template takes more than {SECONDS:g} seconds for one prompt", field=_FIELD
        ) from error
    except (
        jinja2.TemplateError,
        TypeError,
        ValueError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RecursionError,
        MemoryError,
    ) as error:
        raise InputError(f"its chat template cannot render the prompt: {error}", field=_FIELD) from error


_FIELD = "vlm.path"


class _TooSlow(Exception):
    """Rendering has not ended in time."""


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise _TooSlow in this thread once the time is over."""
    thread, lock, over = threading.get_ident(), threading.Lock(), False

    def stop() -> None:
        with lock:
            if not over:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(_TooSlow))

    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            over = True
        timer.cancel()
