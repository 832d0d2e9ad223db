"""Everything that maps (query, pool, number of shots) to a sequence, behind one protocol."""
