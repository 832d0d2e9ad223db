"""The VLM that a recipe names, whatever runs it."""

from __future__ import annotations

from shotsmith.errors import PluginError
from shotsmith.recipe import VLMSettings
from shotsmith.recipe.servers import BACKENDS
from shotsmith.vlms.general import GeneralVLM
from shotsmith.vlms.pretrained.loading import load_pretrained
from shotsmith.vlms.protocol import VLM
from shotsmith.vlms.qwen.local import is_for, local_vlm
from shotsmith.vlms.remote.cluster import load_cluster
from shotsmith.vlms.remote.server import load_server


def load_vlm(settings: VLMSettings) -> VLM:
    """That of a backend where the recipe names one, of many workers where it has a cluster, the server's where it
    names a server, else one in this process, the faster where it fits.

    Raises InputError where the recipe names what is not there, VLMError where a server does not answer or no worker
    can be started.
    """
    if settings.backend is not None:
        vlm = BACKENDS[settings.backend.name].load(settings)
        if not isinstance(vlm, VLM):
            raise PluginError(f"the backend '{settings.backend.name}' gives a {type(vlm).__name__}, not a VLM")
        return vlm
    if settings.ray is not None:
        return load_cluster(settings, settings.ray, load_vlm)
    if settings.server is not None:
        return load_server(settings, settings.server)
    pretrained = load_pretrained(settings)
    fast = is_for(pretrained.model, settings)
    return local_vlm(pretrained, settings) if fast else GeneralVLM(pretrained, settings)
