"""A selector over HTTP, and an OpenAI-compatible proxy that inserts demonstrations (`shotsmith[serve]`)."""
