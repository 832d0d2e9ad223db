"""The final comparison: per-query results and what follows from them."""
