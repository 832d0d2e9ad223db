"""The built-in data set: pictures of artefacts, and questions about them that need outside knowledge."""

from shotsmith.data.world.make import check_world, make_world

__all__ = ["check_world", "make_world"]
