"""Modules that others wrote, with hook points.

`wrap` gives any ``nn.Module`` hook points (`axes` finds them and their axis names, `structures` reaches tensors inside nested
outputs), `bridge` does it for TransformerLens's bridges, and `guest` is what both share.
"""
