"""Tests of circuits.factor_units."""
