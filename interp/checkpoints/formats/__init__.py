"""Formats: from the bytes of a file to named tensors and plain values. Nothing that a file names is imported or run."""
