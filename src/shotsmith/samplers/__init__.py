"""Samplers: which candidates each query may be shown."""
