"""The analysis ``circuit``: the smallest circuit that does the task, and when its components became necessary."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from circuits.claims.parts import circuit_claims
from circuits.discovery.discover import Circuit, NothingToDo, discover
from circuits.discovery.over_training import necessary_from, necessity
from circuits.engine.evaluation import make_evaluation
from circuits.interventions.apply import applied
from interp.errors import require_range
from interp.hooked import HookedMLP, HookedModel, HookedTransformer
from interp.plugins.analysis import Result, analysis
from interp.scores import of_constant, score
from interp.subject import Subject
from probes.claims.performance import better

CHECKPOINTS = 6  # of a series, at which the circuit is followed
SAMPLE = 2048  # inputs that circuits are searched and scored on: every element costs a run of the network


@analysis(
    "circuit",
    needs=("answers", "activations"),
    summary="The smallest circuit that does the task, against random ones of its size",
    order=56,
    question="needs",
    renamed={"keep": "faithfulness", "random": "n_random"},
)
def circuit(
    subject: Subject,
    *,
    faithfulness: float = 0.99,
    value: Literal["mean", "zero"] = "mean",
    edges: bool = True,
    n_random: int = 10,
    checkpoints: int = CHECKPOINTS,
    dtype: Literal["float32", "float64"] = "float32",
) -> Result:
    """Circuit discovery: the smallest set of heads and neurons (and, in a transformer, of edges) that keeps the accuracy.

    Args:
        subject: with a task whose answers are right or wrong.
        faithfulness: that the circuit must reach: its share of the way from the network with everything ablated to the
            whole network.
        value: what replaces everything outside the circuit.
        edges: search the edges of a transformer as well.
        n_random: random circuits of the same size, for comparison.
        checkpoints: of a series, at how many the circuit is followed; 0 leaves that out.
        dtype: the network runs in this; scores are averaged in float64.

    Returns:
        the circuits of nodes and edges, random ones of their size, and for a series when each component became necessary.
    """
    for name, number, low, high in (
        ("faithfulness", faithfulness, 0, 1),
        ("n_random", n_random, 0, 1000),
        ("checkpoints", checkpoints, 0, 10_000),
    ):
        require_range(name, number, low, high)
    result, model = Result(), subject.model
    if not any(model.component_sites(kind) for kind in ("heads", "neurons")):
        result.headline = "The network has no named heads or neurons, so there are no nodes to search a circuit among"
        return result
    how: dict[str, Any] = {"value": value, "dtype": getattr(torch, dtype), "inputs": _sample(subject)}
    try:
        found = {"nodes": discover(subject, faithfulness=faithfulness, n_random=n_random, **how)}
    except NothingToDo as error:
        result.headline = str(error)
        return result
    if edges and isinstance(model, HookedTransformer) and model.config.post_norm:
        result.notes.append(
            "Edges were not searched: they are terms of a sum, and this network normalises its residual stream after "
            "every layer (post_norm)."
        )
    elif edges and isinstance(model, HookedTransformer) and model.config.n_layers:
        found["edges"] = discover(subject, faithfulness=faithfulness, n_random=n_random, of="edges", **how)
    solved = better(score(subject.require_task(), subject.logits()).all, of_constant(subject.require_task()).all)
    for of, one in found.items():
        _add(result, of, one)
        result.claims += circuit_claims(
            len(one), len(one.elements), one.faithfulness, one.completeness, one.random["faithfulness"].to_list(), one.metric,
            _noun(model) if of == "nodes" else "edges", faithfulness, solved, f"circuit of {of}",
        )  # fmt: skip
    nodes = found["nodes"]
    result.lead = "circuit of nodes"
    result.headline = _headline(nodes)
    what = "its mean over the inputs, at each position its own" if value == "mean" else "zero"
    result.notes.append(
        f"Everything outside a circuit is replaced by {what}. Faithfulness: the circuit's share of the way from the network with "
        "everything ablated to the whole network. Completeness: the same share for everything but the circuit. Minimality: the "
        "least faithfulness that is lost with any one element. Random circuits have as many elements at every place. The search "
        "is greedy: another circuit may do as well."
    )
    if how["inputs"] is not None:
        on_all, n = _on_all(subject, nodes), len(subject.require_task().inputs)
        result.metrics[f"nodes_{nodes.metric}_on_all_inputs"] = on_all
        result.notes.append(
            f"Circuits are searched and scored on {SAMPLE:,} inputs drawn at random. On all {n:,} the circuit of nodes has "
            f"{nodes.metric} {on_all:.4f}."
        )
    if isinstance(model, HookedMLP) and edges:
        result.notes.append(
            "Edges of an MLP are its single weights: circuits.discover(subject, of='edges') searches them."
        )
    if checkpoints and subject.series is not None and len(subject.series) > 1 and len(nodes):
        _follow(result, subject, nodes, checkpoints, how)
    return result


def _noun(model: HookedModel) -> str:
    """What the nodes of a network are."""
    return " and ".join(kind for kind in ("heads", "neurons") if model.component_sites(kind))


def _sample(subject: Subject) -> Tensor | None:
    """Some of the task's inputs, drawn at random; None where it has no more than that."""
    inputs = subject.require_task().inputs
    if len(inputs) <= SAMPLE:
        return None
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    return inputs[order[:SAMPLE].to(inputs.device)]


def _on_all(subject: Subject, nodes: Circuit) -> float:
    """The circuit's metric over all examples of the task."""
    evaluation = make_evaluation(subject, nodes.metric)
    with applied(evaluation.model, list(nodes.interventions), strict=False):
        return float(evaluation.run()[0])


def _add(result: Result, of: str, one: Circuit) -> None:
    best = max(one.random["faithfulness"].to_list(), default=None)
    result.metrics |= {
        of: len(one), f"{of}_in_all": len(one.elements), f"{of}_{one.metric}": one.score,
        f"{of}_faithfulness": one.faithfulness, f"{of}_completeness": one.completeness, f"{of}_minimality": one.minimality,
        f"{of}_best_random_faithfulness": best,
    }  # fmt: skip
    result.tables[of] = one.elements.sort_values(["kept", "faithfulness_lost"], ascending=False, ignore_index=True)
    result.tables[f"random circuits of {of}"] = one.random
    result.figures[f"circuit of {of}"] = one.figure()


def _headline(one: Circuit) -> str:
    by_site = one.elements.query("kept").groupby("site", sort=False).size()
    parts = ", ".join(f"{n} at {site}" for site, n in by_site.items())
    text = (
        f"{len(one)} of {len(one.elements)} heads and neurons ({parts or 'none'}) reach {one.metric} {one.score:.4f} "
        f"(whole network {one.clean:.4f}"
    )
    if len(one.random):
        text += f", best of {len(one.random)} random circuits of that size {max(one.random['score'].to_list()):.4f}"
    return f"{text})"


def _follow(result: Result, subject: Subject, nodes: Circuit, checkpoints: int, how: dict[str, Any]) -> None:
    assert subject.series is not None
    every = -(-len(subject.series) // checkpoints)
    table = necessity(subject, nodes, every=every, **how)
    since = necessary_from(table)
    result.tables |= {
        "worth over the run": table.rows,
        "necessary from": since.rows.sort_values("step", ignore_index=True),
    }
    result.figures["worth over the run"] = table.figure()
    if known := since["step"].dropna().to_list():
        result.metrics |= {"first_necessary_step": min(known), "last_necessary_step": max(known)}
    result.notes.append(
        "Worth over the run: how much worse the last checkpoint's circuit gets without a component, at each checkpoint. A "
        "component counts as necessary from the first checkpoint from which on it is worth at least half of its worth at the end."
    )
