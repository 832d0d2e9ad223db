"""Training of policies: supervised learning, reward-weighted cross-entropy (RCE) and GRPO."""
