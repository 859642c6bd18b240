"""Circuits: interventions as values, one context manager that applies them, and the experiments built of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp._util.door import lazy_exports

if TYPE_CHECKING:
    from circuits import analyses as analyses
    from circuits import bisection as bisection
    from circuits import compression as compression
    from circuits import discovery as discovery
    from circuits import experiments as experiments
    from circuits import factor_units as factor_units
    from circuits import fourier as fourier
    from circuits import interventions as interventions
    from circuits import known as known
    from circuits import lens as lens
    from circuits import methods as methods
    from circuits import metrics as metrics
    from circuits import two_networks as two_networks
    from circuits import weight_line as weight_line
    from circuits import weight_sweeps as weight_sweeps
    from circuits.compression.low_rank import Reduced as Reduced
    from circuits.compression.low_rank import rank_curve as rank_curve
    from circuits.compression.low_rank import reduce as reduce
    from circuits.compression.projection import component_curve as component_curve
    from circuits.compression.projection import project as project
    from circuits.compression.prune import prune as prune
    from circuits.compression.prune_by_task import Compacted as Compacted
    from circuits.compression.prune_image import Pruned as Pruned
    from circuits.compression.prune_image import drop_links as drop_links
    from circuits.compression.units_in_use import units_in_use as units_in_use
    from circuits.discovery.discover import Circuit as Circuit
    from circuits.discovery.discover import NothingToDo as NothingToDo
    from circuits.discovery.discover import discover as discover
    from circuits.discovery.each_checkpoint import CircuitsOverTraining as CircuitsOverTraining
    from circuits.discovery.each_checkpoint import circuits_over_training as circuits_over_training
    from circuits.discovery.interactions import Interactions as Interactions
    from circuits.discovery.interactions import ablate_pairs as ablate_pairs
    from circuits.discovery.over_training import necessary_from as necessary_from
    from circuits.discovery.over_training import necessity as necessity
    from circuits.experiments.ablation import ablate as ablate
    from circuits.experiments.attribution import attribute as attribute
    from circuits.experiments.intervals import Intervals as Intervals
    from circuits.experiments.intervals import ablation_intervals as ablation_intervals
    from circuits.experiments.intervene import intervene as intervene
    from circuits.experiments.patching import Patching as Patching
    from circuits.experiments.patching import patch as patch
    from circuits.experiments.path_patching import PathEffect as PathEffect
    from circuits.experiments.path_patching import path_patch as path_patch
    from circuits.experiments.record import Experiment as Experiment
    from circuits.experiments.record import Outcome as Outcome
    from circuits.factor_units.circuits_result import FactorCircuits as FactorCircuits
    from circuits.factor_units.fracture import fracture as fracture
    from circuits.factor_units.fracture_result import Fracture as Fracture
    from circuits.factor_units.over_training import factor_circuits as factor_circuits
    from circuits.fourier.losses import by_frequency as by_frequency
    from circuits.fourier.losses import excluded_loss as excluded_loss
    from circuits.fourier.losses import restricted_loss as restricted_loss
    from circuits.interventions.apply import NoEffect as NoEffect
    from circuits.interventions.apply import Record as Record
    from circuits.interventions.apply import applied as applied
    from circuits.interventions.apply import freeze as freeze
    from circuits.interventions.counterfactual import Counterfactual as Counterfactual
    from circuits.interventions.kinds import Ablate as Ablate
    from circuits.interventions.kinds import Add as Add
    from circuits.interventions.kinds import Freeze as Freeze
    from circuits.interventions.kinds import Intervention as Intervention
    from circuits.interventions.kinds import Keep as Keep
    from circuits.interventions.kinds import Patch as Patch
    from circuits.interventions.kinds import Remove as Remove
    from circuits.interventions.kinds import Scale as Scale
    from circuits.interventions.values import Fixed as Fixed
    from circuits.interventions.values import Mean as Mean
    from circuits.interventions.values import Resample as Resample
    from circuits.interventions.values import Value as Value
    from circuits.interventions.values import Zero as Zero
    from circuits.lens.attention_circuits import ov_circuit as ov_circuit
    from circuits.lens.attention_circuits import qk_circuit as qk_circuit
    from circuits.lens.composition_scores import CompositionScores as CompositionScores
    from circuits.lens.composition_scores import composition_scores as composition_scores
    from circuits.lens.copying_score import copying_score as copying_score
    from circuits.lens.head_detectors import head_detectors as head_detectors
    from circuits.lens.head_scores import HeadScores as HeadScores
    from circuits.lens.logit_attribution import LogitAttribution as LogitAttribution
    from circuits.lens.logit_attribution import logit_attribution as logit_attribution
    from circuits.lens.logit_lens import LogitLens as LogitLens
    from circuits.lens.logit_lens import logit_lens as logit_lens
    from circuits.lens.tuned_lens import TunedLens as TunedLens
    from circuits.lens.tuned_lens import tuned_lens as tuned_lens
    from circuits.lens.virtual_weights import effective_weights as effective_weights
    from circuits.lens.virtual_weights import virtual_weights as virtual_weights
    from circuits.methods.acdc import acdc as acdc
    from circuits.methods.alignment import Alignment as Alignment
    from circuits.methods.atp_star import atp_star as atp_star
    from circuits.methods.benchmark_result import Benchmark as Benchmark
    from circuits.methods.causal_scrubbing import causal_scrubbing as causal_scrubbing
    from circuits.methods.comparison import benchmark as benchmark
    from circuits.methods.das import das as das
    from circuits.methods.eap import eap as eap
    from circuits.methods.eap_ig import eap_ig as eap_ig
    from circuits.methods.edge_effects import edge_effects as edge_effects
    from circuits.methods.edge_pruning import edge_pruning as edge_pruning
    from circuits.methods.edge_scores import EdgeScores as EdgeScores
    from circuits.methods.faithfulness import Faithfulness as Faithfulness
    from circuits.methods.integrated_gradients import integrated_gradients as integrated_gradients
    from circuits.methods.node_scores import NodeScores as NodeScores
    from circuits.methods.optimal_ablation import OptimalAblation as OptimalAblation
    from circuits.methods.optimal_ablation import optimal_ablation as optimal_ablation
    from circuits.methods.scrubbed import Scrubbed as Scrubbed
    from circuits.methods.subnetwork_probing import subnetwork_probing as subnetwork_probing
    from circuits.metrics import LogitDiff as LogitDiff
    from circuits.metrics import Metric as Metric
    from circuits.two_networks.interchanged import Interchange as Interchange
    from circuits.two_networks.interchanged import interchange as interchange
    from circuits.two_networks.network_comparison import NetworkComparison as NetworkComparison
    from circuits.two_networks.network_comparison import compare as compare
    from circuits.two_networks.shared import shared_features as shared_features
    from circuits.two_networks.shared_result import SharedFeatures as SharedFeatures
    from circuits.two_networks.stitching import stitch as stitch
    from circuits.two_networks.stitching_result import Stitching as Stitching
    from circuits.weight_line.connectivity import LinearConnectivity as LinearConnectivity
    from circuits.weight_line.connectivity import linear_connectivity as linear_connectivity
    from circuits.weight_line.matching import WeightMatching as WeightMatching
    from circuits.weight_line.matching import match_weights as match_weights
    from circuits.weight_line.over_training import BarriersOverTraining as BarriersOverTraining
    from circuits.weight_line.over_training import barriers_over_training as barriers_over_training
    from circuits.weight_sweeps.any_network import matched_steps as matched_steps
    from circuits.weight_sweeps.any_network import sweep as sweep
    from circuits.weight_sweeps.directions import Direction as Direction
    from circuits.weight_sweeps.directions import random_directions as random_directions
    from circuits.weight_sweeps.directions import single_entries as single_entries
    from circuits.weight_sweeps.loss_sweep import loss_sweep as loss_sweep
    from circuits.weight_sweeps.network_sweep import NetworkSweep as NetworkSweep
    from circuits.weight_sweeps.sweep_result import Sweep as Sweep
    from probes.basis import Basis as Basis
else:
    _MOVED = {
        "ablation": "circuits.experiments.ablation", "apply": "circuits.interventions.apply",
        "attribution": "circuits.experiments.attribution", "components": "circuits.engine.components",
        "directions": "circuits.weight_sweeps.directions", "effects": "circuits.engine.effects",
        "frequencies": "circuits.fourier.losses", "low_rank": "circuits.compression.low_rank",
        "modes": "circuits.fourier.definitions", "nulls": "circuits.weight_sweeps.null_models",
        "patching": "circuits.experiments.patching", "paths": "circuits.experiments.path_patching",
        "projection": "circuits.compression.projection", "pruning": "circuits.compression.prune",
        "reduction": "circuits.compression.image_curves", "rendering": "circuits.weight_sweeps.render",
        "search": "circuits.discovery.search", "sweep_scores": "circuits.weight_sweeps.change_measures",
        "sweeps": "circuits.weight_sweeps.image_sweep", "values": "circuits.interventions.values",
    }  # fmt: skip
    __getattr__, __dir__, __all__ = lazy_exports(__name__, _MOVED)
