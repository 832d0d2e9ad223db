"""Selectors with trainable weights."""
