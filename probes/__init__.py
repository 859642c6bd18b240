"""Probes: read-only measures of weights, activations and logits, and the analyses built on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp._util.door import lazy_exports

if TYPE_CHECKING:
    from interp.history.progress import progress as progress
    from probes import analyses as analyses
    from probes import basis as basis
    from probes import change_points as change_points
    from probes import clock_pizza as clock_pizza
    from probes import complexity as complexity
    from probes import cyclic_tables as cyclic_tables
    from probes import decoder_plane as decoder_plane
    from probes import deduction as deduction
    from probes import dimension as dimension
    from probes import effective_theory as effective_theory
    from probes import embedding_views as embedding_views
    from probes import entropy as entropy
    from probes import feature_likeness as feature_likeness
    from probes import feature_maps as feature_maps
    from probes import fourier as fourier
    from probes import genome_graph as genome_graph
    from probes import group_tables as group_tables
    from probes import growth as growth
    from probes import late_drops as late_drops
    from probes import leads as leads
    from probes import measures as measures
    from probes import neurons as neurons
    from probes import norms as norms
    from probes import parallelogram_sets as parallelogram_sets
    from probes import parallelograms as parallelograms
    from probes import plots as plots
    from probes import polygons as polygons
    from probes import representations as representations
    from probes import rqi_criteria as rqi_criteria
    from probes import similarity as similarity
    from probes import similarity_maps as similarity_maps
    from probes import sparsity as sparsity
    from probes import spectra as spectra
    from probes import stability as stability
    from probes.basis import Basis as Basis
    from probes.leads import changes_by_network as changes_by_network
    from probes.leads import lead_over_seeds as lead_over_seeds
    from probes.similarity.cca import mean_cca as mean_cca
    from probes.similarity.cka import cka as cka
    from probes.similarity.mutual_knn import mutual_knn as mutual_knn
    from probes.similarity.procrustes import procrustes_angle as procrustes_angle
    from probes.similarity.pwcca import pwcca as pwcca
    from probes.similarity.rsa import rsa as rsa
    from probes.similarity.soft_matching import soft_matching as soft_matching
    from probes.similarity.subspace_angles import shared_rank as shared_rank
    from probes.similarity.subspace_angles import subspace_angles as subspace_angles
    from probes.similarity.svcca import svcca as svcca
    from probes.similarity.unit_matching import match_units as match_units
    from probes.similarity_maps.mapping import similarity_map as similarity_map
    from probes.similarity_maps.over_training import similarity_over_training as similarity_over_training
    from probes.similarity_maps.result import SimilarityMap as SimilarityMap
    from probes.spectra import Reduction as Reduction
else:
    _MOVED = {
        "curves": "probes.analyses.curves", "performance": "probes.analyses.performance", "reduction": "probes.spectra",
        "tables": "probes.cyclic_tables", "weights": "probes.analyses.weights",
    }  # fmt: skip
    __getattr__, __dir__, __all__ = lazy_exports(__name__, _MOVED)
