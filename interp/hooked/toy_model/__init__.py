"""The toy model of superposition: more features than hidden dimensions, read back through the transposed weights.

Its `config` and the `model`.
"""
