"""Embeddings of examples by frozen encoders, the nearest among them, and pools of candidates drawn by them."""
