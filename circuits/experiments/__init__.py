"""Experiments: one function a question, each of a Subject, each returning `circuits.findings.Findings`.

`ablation.ablate` (what is a component needed for?), `patching.patch` (activation patching: where is the answer carried?),
`attribution.attribute` (the same from gradients), `path_patching.path_patch` (along which path?), `intervene.intervene` (any
interventions together), and `record`, which keeps an experiment with its outcome in a file. Read `ablation` first.
"""

from interp._util.door import lazy_modules

__getattr__, __dir__ = lazy_modules(__name__)
