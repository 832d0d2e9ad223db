"""Checkpoint files of Lever-Plus: read without running anything in them, converted in both directions, written."""
