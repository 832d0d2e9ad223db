"""Diagnosis: detect what went wrong in a run, what it means, and which setting to change."""
