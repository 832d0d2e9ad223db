"""What is added to a candidate's score for what has been chosen before it: one idea a file.

They are listed by name in `policies/entry_points.txt`, which `recipe.policy.GAINS` reads.
"""
