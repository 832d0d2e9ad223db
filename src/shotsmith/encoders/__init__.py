"""Frozen encoders: image and text embeddings of examples, computed once."""
