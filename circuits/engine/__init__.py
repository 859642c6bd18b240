"""The engine under the experiments. Private: import `ablate`, `patch` and the others from `circuits` instead.

An experiment is an `Evaluation` (network, inputs, metrics; `clean_corrupted` pairs two runs) and the parts that are changed
one by one (`components` of a network, `patch_cells` of an activation). `effects` measures many ablations and `patch_resume`
many patches with the numbers of one forward pass each, by running again only what a change reaches. Read `effects` first:
its docstring names the three routes.
"""
