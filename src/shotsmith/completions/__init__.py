"""Completions of the VLM, stored permanently under a hash of what determines them, so that no prompt is sent twice."""
