"""Completions: kept for ever under what decides them, so that no prompt is answered twice."""
