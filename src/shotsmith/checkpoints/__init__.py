"""Policies on disk, and which of them is best."""
