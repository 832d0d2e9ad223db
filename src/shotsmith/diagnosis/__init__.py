"""From signals to findings: what went wrong in a run, what it means, and which setting to change."""
