"""Measures: numbers of one checkpoint, followed over a run; a file per quantity, beside its maths in `probes`."""
