"""Similarity of two representations of the same inputs, beside what chance gives, as functions of tensors."""

from __future__ import annotations

from probes.similarity.measures import MEASURES, Measure
from probes.similarity.products import Products, StreamedProducts

__all__ = ["MEASURES", "Measure", "Products", "StreamedProducts"]
