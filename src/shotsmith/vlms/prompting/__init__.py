"""What a VLM is sent, and how its answer is read."""
