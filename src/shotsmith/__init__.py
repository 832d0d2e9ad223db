"""Shotsmith learns which demonstrations to show a vision-language model, in which order, and how many."""

__version__ = "0.1.0"
