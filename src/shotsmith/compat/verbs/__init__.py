"""The verbs import, convert and predecessor, one file each."""
