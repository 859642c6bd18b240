"""Claims: what an intervention's outcome says of a network, each with its rule. Pure functions of numbers and tables."""
