"""Claims: what the measurements of an analysis say of a network, each with its rule. Pure functions of numbers."""
