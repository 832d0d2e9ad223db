"""The scripts train_v3.sh and inference.sh: their arguments and variables as settings, and what they write."""
