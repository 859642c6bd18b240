"""The straight line between two networks' weights, and the relabelling of hidden units that shortens it."""

from interp._util.door import lazy_modules

__getattr__, __dir__ = lazy_modules(__name__)
