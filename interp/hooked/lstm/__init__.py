"""An LSTM that reads a sequence and answers at its end, with a hook point at every gate and state.

Its `config`, the `model` and its `parts`.
"""
