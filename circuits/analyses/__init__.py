"""The analyses of circuits: each turns a Subject into a Result for a report."""

from interp._util.door import lazy_modules

__getattr__, __dir__ = lazy_modules(__name__)
