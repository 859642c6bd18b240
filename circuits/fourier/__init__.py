"""Restricted and excluded loss: the loss of a network with some Fourier frequencies of its logits kept or removed."""
