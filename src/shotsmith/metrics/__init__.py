"""Measures of an answer's quality: pure functions of a prediction and the human answers, and the table of them."""
