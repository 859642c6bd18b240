"""Circuit discovery: the smallest set of heads, neurons or edges that does the task, and when each became necessary."""

from interp._util.door import lazy_modules

__getattr__, __dir__ = lazy_modules(__name__)
