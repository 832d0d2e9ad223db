"""The built-in data set: pictures of artefacts, and questions about them that need outside knowledge."""

from shotsmith.data.world.make import make_world

__all__ = ["make_world"]
