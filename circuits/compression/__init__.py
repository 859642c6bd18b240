"""Compression: smaller networks that still do the task: fewer units, links, ranks or principal components."""

from interp._util.door import lazy_modules

__getattr__, __dir__ = lazy_modules(__name__)
