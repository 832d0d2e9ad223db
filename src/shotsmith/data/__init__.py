"""Examples: read from files in the official VQA layout, split, and drawn as queries."""
