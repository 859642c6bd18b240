"""A multilayer perceptron over token pairs or vectors.

Its `config`, the `model`, its `parts`, and the `linear` map that also runs a whole stack of networks in one product.
"""
