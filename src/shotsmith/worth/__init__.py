"""What the entries of a bank are worth in a finished run: which help, which harm, which labels are likely wrong.

Everything is computed from the run folder: the data, the embeddings, the log of prompts with its completions, and the
results of the evaluation. No model is loaded.
"""
