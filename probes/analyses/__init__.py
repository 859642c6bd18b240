"""Analyses: functions of a Subject that return a Result, one file each. Only they draw figures."""

from interp._util.door import lazy_modules

__getattr__, __dir__ = lazy_modules(__name__)
