"""The graph of edges of a network: what each component of a transformer reads, or the single weights of an MLP."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from circuits.discovery.graph import Graph
from circuits.discovery.mlp_edges import MLPEdges
from circuits.discovery.transformer_edges import TransformerEdges
from circuits.engine.evaluation import Evaluation
from circuits.interventions.counterfactual import Counterfactual, paired
from circuits.interventions.values import Mean, Value, Zero
from interp.activations.batches import placed
from interp.errors import InterpError
from interp.hooked import HookedMLP, HookedTransformer
from interp.hooked.foreign.bridge import WrappedBridge
from interp.hooked.foreign.bridge_twin import transformer_of
from interp.hooked.foreign.several import shown_inputs


def edge_graph(evaluation: Evaluation, value: Value, max_bytes: int, by_position: bool = False) -> Graph:
    """The graph of all edges of a transformer or an MLP; of a TransformerLens bridge that of a transformer with its weights.

    Args:
        evaluation: the network, the inputs and the metrics.
        value: what an ablated edge carries: the mean over the inputs, zero, or what it carries for another input.
        max_bytes: working memory in addition to the captured activations.
        by_position: tell edges of a transformer apart by the position at which they are read.

    Returns:
        the graph.

    Raises:
        InterpError: another kind of network; another value; corrupted inputs that do not align with the inputs.
    """
    value = paired(value, evaluation.inputs)
    if not isinstance(value, Mean | Zero | Counterfactual) or (isinstance(value, Mean) and "unit" in value.over):
        raise InterpError(f"an ablated edge carries its sender's Mean, Zero, Resample or Counterfactual, not {value}")
    if isinstance(value, Mean):
        value = value.bound(evaluation.task)
    reference = evaluation.inputs if value.inputs is None else placed(value.inputs, evaluation.model)
    if not isinstance(reference, Tensor):
        raise InterpError(f"{value}: edges are of networks with one input, not {shown_inputs(reference)}")
    if reference.shape[1:] != evaluation.inputs.shape[1:]:
        raise InterpError(
            f"{value}: an example of the reference set has shape {list(reference.shape[1:])}, an input has "
            f"{list(evaluation.inputs.shape[1:])}"
        )
    if isinstance(evaluation.model, WrappedBridge):
        twin = transformer_of(evaluation.model)
        evaluation = replace(evaluation, model=twin, whole=twin)
    if isinstance(evaluation.model, HookedTransformer):
        return TransformerEdges(evaluation, evaluation.model, value, reference, max_bytes, by_position)
    if isinstance(evaluation.model, HookedMLP):
        return MLPEdges(evaluation, evaluation.model, value, reference, max_bytes)
    raise InterpError(
        f"edges are defined for transformers and MLPs, not for a {type(evaluation.model).__name__}; search its nodes (of='nodes')"
    )
