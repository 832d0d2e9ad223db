"""Files of the predecessor, read into records of ours, and what is wrong in them."""
