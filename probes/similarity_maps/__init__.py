"""Maps of similarity: every two of many networks, checkpoints or layers, beside what chance gives, and changes along training."""

from __future__ import annotations

from probes.similarity_maps.all_pairs import all_pairs_cka
from probes.similarity_maps.features import Features
from probes.similarity_maps.mapping import similarity_map
from probes.similarity_maps.over_training import similarity_over_training
from probes.similarity_maps.result import SimilarityMap
from probes.similarity_maps.scaling import classical_scaling
from probes.similarity_maps.segments import RepresentationChange, representation_changes

__all__ = [
    "Features", "RepresentationChange", "SimilarityMap", "all_pairs_cka", "classical_scaling", "representation_changes",
    "similarity_map", "similarity_over_training",
]  # fmt: skip
