"""What a recipe costs, before it runs: the most prompts and VLM calls, and an estimate from a pilot or another run."""
