"""What a recipe will cost, before anything runs: prompts, VLM calls, tokens, bytes and hours."""
