"""History: measures over the checkpoints of a run, in one pass, with a cache of what was measured before."""
