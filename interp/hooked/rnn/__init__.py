"""Recurrent networks (tanh, ReLU, GRU, LSTM) over tokens or vectors, with a hook point at every gate and state.

Its `config`, the `model` and its `parts`.
"""
