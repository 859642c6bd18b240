"""A decoder-only transformer with the names, shapes and hook points of TransformerLens.

Its `config`, the `model`, its parts (`attention`, `components`, `layer_norm`), and the fast paths of circuit experiments:
`fused` for layers without hooks, `readout_block` and `staggered` for runs that differ from another run from one position on.
"""
