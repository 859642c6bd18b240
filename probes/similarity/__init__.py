"""Similarity of two representations of the same inputs, beside what chance gives, as functions of tensors.

A representation is a matrix ``[inputs, features]``. Where one is the same for all inputs no similarity is defined, and every
measure returns NaN; anything that is not a representation raises an InterpError.
"""

from __future__ import annotations

from probes.similarity.association import Mantel, mantel
from probes.similarity.cca import CanonicalCorrelations, canonical_correlations, mean_cca
from probes.similarity.measures import MEASURES, Measure, measure
from probes.similarity.nulls import Excess, permuted, rotated
from probes.similarity.procrustes import procrustes_angle
from probes.similarity.products import Products, StreamedProducts
from probes.similarity.soft_matching import soft_matching_distance
from probes.similarity.subspace_angles import shared_rank, subspace_overlap
from probes.similarity.unit_matching import UnitMatching, match_units, matched_correlation

__all__ = [
    "MEASURES", "CanonicalCorrelations", "Excess", "Mantel", "Measure", "Products", "StreamedProducts", "UnitMatching",
    "canonical_correlations", "mantel", "match_units", "matched_correlation", "mean_cca", "measure", "permuted",
    "procrustes_angle", "rotated", "shared_rank", "soft_matching_distance", "subspace_overlap",
]  # fmt: skip
