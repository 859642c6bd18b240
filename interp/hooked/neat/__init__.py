"""A NEAT genome as a network: layers of nodes that may read every earlier node.

Its `config`, the `model`, its `activation_functions` and `aggregations`, which are those of neat-python.
"""
