"""Restricted and excluded loss: the loss of a network with some Fourier frequencies of its logits kept or removed."""

from interp._util.door import lazy_modules

__getattr__, __dir__ = lazy_modules(__name__)
