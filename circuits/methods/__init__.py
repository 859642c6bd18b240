"""Circuit discovery by its published methods, one a file, each named after its paper: EAP, EAP-IG, ACDC and others."""

from interp._util.door import lazy_modules

__getattr__, __dir__ = lazy_modules(__name__)
