"""Data files of Lever-LM and Lever-Plus, read into records of ours, and what is wrong in them."""
