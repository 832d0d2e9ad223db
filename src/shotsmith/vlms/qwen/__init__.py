"""The fast way for Qwen2.5-VL: batches, shared beginnings, kept vision features."""
