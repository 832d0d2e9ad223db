"""The built-in data set: pictures of artefacts, and questions about them that need outside knowledge."""
