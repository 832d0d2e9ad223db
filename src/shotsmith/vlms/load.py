"""The VLM that a recipe names, whatever runs it."""

from __future__ import annotations

from shotsmith.recipe import VLMSettings
from shotsmith.vlms.local import load_vlm as load_local
from shotsmith.vlms.protocol import VLM
from shotsmith.vlms.server import load_server


def load_vlm(settings: VLMSettings) -> VLM:
    """The server's where the recipe names a server, else one in this process.

    Raises InputError where the recipe names what is not there, VLMError where a server does not answer.
    """
    return load_local(settings) if settings.server is None else load_server(settings, settings.server)
