"""Interventions: what can be changed inside a network, and the context manager that changes it.

`kinds` has the interventions (ablate, patch, freeze, scale, add, remove, keep) as frozen values, `values` what an ablated
part is replaced by (mean, zero, resample, fixed), `apply` runs a network with them in place, `storage` writes them to a file
and reads them back. Read `kinds` first, then `apply`; `layout` is their geometry: which axis of an activation is which.
"""

from interp._util.door import lazy_modules

__getattr__, __dir__ = lazy_modules(__name__)
