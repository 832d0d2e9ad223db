"""Supervised learning, RCE warm-up and GRPO over the policy protocol."""
