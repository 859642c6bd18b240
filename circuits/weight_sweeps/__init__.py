"""Weight sweeps: how a network's output changes when its weights move.

The changes tell a fractured entangled representation (FER) from a unified factored representation (UFR).
"""

from interp._util.door import lazy_modules

__getattr__, __dir__ = lazy_modules(__name__)
