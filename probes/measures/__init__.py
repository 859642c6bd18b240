"""Measures: numbers of one checkpoint, followed over a run; a file per quantity, beside its maths in `probes`."""

from interp._util.door import lazy_modules

__getattr__, __dir__ = lazy_modules(__name__)
