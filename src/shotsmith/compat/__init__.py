"""Lever-LM and Lever-Plus: their files, checkpoints, settings, scripts and messages, for those who come from there.

Nothing outside this folder imports it. `entry_points.txt` enters what it adds in the tables of the core
(`shotsmith.plugins`), in the way that other packages do; without the folder the core works, and has less in its tables.
"""
