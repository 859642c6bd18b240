"""Factors and units: which units carry a factor of the task, in how many groups, and how many factors each unit carries."""

from interp._util.door import lazy_modules

__getattr__, __dir__ = lazy_modules(__name__)
