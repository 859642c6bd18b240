"""A network whose circuit is known, and how a set of edges that was found compares with it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from circuits.known.mlp_weights import mlp_edges
from circuits.known.transformer_weights import transformer_edges
from interp.errors import InterpError, kind_of
from interp.hooked import HookedMLP, HookedTransformer
from interp.subject import Subject


@dataclass(frozen=True)
class EdgeComparison:
    """How edges that were found compare with the true ones.

    Attributes:
        precision: share of the edges found that are true; those in `KnownCircuit.constant` and ``interference`` do not count.
            NaN if none was found.
        recall: share of the true edges that were found.
        recall_needed: the same without the edges that another one makes up for.
        missed: true edges that were not found.
        spurious: edges found that are not true.
    """

    precision: float
    recall: float
    recall_needed: float
    missed: frozenset[str]
    spurious: frozenset[str]

    def __repr__(self) -> str:
        wrong = "".join(
            f"; {what}: {_listed(edges)}" for what, edges in (("missed", self.missed), ("spurious", self.spurious))
        )
        return (
            f"EdgeComparison: precision {self.precision:.3f}, recall {self.recall:.3f} ({self.recall_needed:.3f} of the edges "
            f"that are needed){wrong}"
        )


@dataclass(frozen=True, eq=False, repr=False)
class KnownCircuit:
    """A network that does its task without a mistake, and the edges through which it does.

    Attributes:
        name: as in `names`.
        subject: the network with its task, in float64.
        clean: inputs ``[n, ...]``.
        corrupted: a counterfactual input for each of them, of another answer, as similar as there is one.
        edges: the true edges, from the weights (`transformer_edges`, `mlp_edges`), with the labels of
            ``circuits.discover(of="edges")``.
        why: how the network computes its answers, a sentence or two.
        redundant: edges among these that others make up for: none changes an answer when it alone is ablated.
        constant: edges that carry the same on every input, such as a position: true in the weights, and seen only by those
            who ablate with zero.
        interference: edges of a stream with too few dimensions that the program does not have: true in the weights, small, and
            in no answer's way.
        metric: what scores its ablations well.
    """

    name: str
    subject: Subject
    clean: Tensor
    corrupted: Tensor
    edges: frozenset[str]
    why: str
    redundant: frozenset[str] = frozenset()
    constant: frozenset[str] = frozenset()
    interference: frozenset[str] = frozenset()
    metric: str = "logit_diff"

    @property
    def nodes(self) -> frozenset[str]:
        """Heads, MLPs and neurons that its edges touch."""
        ends = {end.split()[0] if "mlp" not in end else end for edge in self.edges for end in edge.split(" > ")}
        return frozenset(end for end in ends if end.startswith("L"))

    def compare(self, edges: Iterable[str], heads: bool = False) -> EdgeComparison:
        """Compare edges that were found with the true ones.

        Args:
            edges: labels, or the Circuit that ``circuits.discover(of="edges")`` returns.
            heads: whether an edge into a head's queries, keys or values is one into the head.

        Returns:
            precision, recall, and the edges behind them.

        Raises:
            InterpError: something else than labels.
        """
        edges = getattr(edges, "components", edges)
        given = list(edges) if isinstance(edges, Iterable) and not isinstance(edges, str) else None
        if given is None or not all(isinstance(edge, str) for edge in given):
            raise InterpError(
                f"edges are labels such as {min(self.edges)!r}, got {kind_of(edges)}; a Circuit has them as .components"
            )
        merged = _into_heads if heads else frozenset
        true, redundant = merged(self.edges), merged(self.redundant)
        found = merged(given) - (merged(self.constant | self.interference) - true)
        right, needed = found & true, true - redundant
        return EdgeComparison(
            _share(len(right), len(found)), _share(len(right), len(true)), _share(len(right & needed), len(needed)),
            true - found, found - true,
        )  # fmt: skip

    def __repr__(self) -> str:
        backup = f", {len(self.redundant)} of them redundant" if self.redundant else ""
        return f"KnownCircuit {self.name}: {len(self.edges)} true edges{backup}, {len(self.clean)} pairs. {self.why}"


def _listed(edges: Iterable[str], shown: int = 5) -> str:
    """The first of some edges by name, and how many more there are."""
    names = sorted(edges)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more or "none"


def _into_heads(edges: Iterable[str]) -> frozenset[str]:
    """The edges with heads as receivers: ``embed > L0H1`` for ``embed > L0H1 queries``."""
    return frozenset(re.sub(r" (queries|keys|values)$", "", edge) for edge in edges)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def known_circuit(name: str, subject: Subject, why: str, redundant: Iterable[str] = (), metric: str = "logit_diff",
                  answer: int | None = None) -> KnownCircuit:  # fmt: skip
    """The known circuit of a network, with its edges from the weights and its counterfactual pairs from the task.

    Args:
        name: of the circuit.
        subject: a transformer without norms, or an MLP, with a task whose examples are all that it is meant for.
        why: how it computes its answers.
        redundant: edges that others make up for.
        metric: what scores its ablations well.
        answer: clean inputs are those with this answer; None: all.

    Returns:
        the circuit.

    Raises:
        InterpError: a wrong answer to one of the task's examples, or another kind of network.
    """
    model, task = subject.model, subject.require_task()
    right = task.correct(subject.logits())
    if not bool(right.all()):
        raise InterpError(
            f"{name}: {int((~right).sum())} of {len(right)} answers are wrong, so its circuit is not known"
        )
    inputs = task.inputs.to(model.dtype) if task.inputs.is_floating_point() else task.inputs
    if isinstance(model, HookedTransformer):
        own, all_edges = (transformer_edges(model, inputs, task.readout or 0, varying) for varying in (True, False))
    elif isinstance(model, HookedMLP):
        own, all_edges = (mlp_edges(model, inputs, varying) for varying in (True, False))
    else:
        raise InterpError(f"{name}: edges are known of transformers and MLPs, not of {kind_of(model)}")
    rows = torch.arange(len(inputs)) if answer is None else (task.labels == answer).nonzero().flatten()
    partners = counterfactuals(task.inputs, task.labels)[rows]
    return KnownCircuit(
        name,
        subject,
        task.inputs[rows],
        task.inputs[partners],
        own,
        why,
        frozenset(redundant),
        all_edges - own,
        metric=metric,
    )


def counterfactuals(inputs: Tensor, labels: Tensor) -> Tensor:
    """For every input the nearest one with another answer.

    Args:
        inputs: ``[n, ...]``.
        labels: ``[n]``.

    Returns:
        its index ``[n]``; of several as near, one drawn with a fixed seed.

    Raises:
        InterpError: all inputs have the same answer.
    """
    if len(labels.unique()) < 2:
        raise InterpError("all inputs have the same answer, so none has a counterfactual one")
    flat = inputs.flatten(1)
    distance = (flat[:, None] != flat[None]).sum(-1).double()
    distance[labels[:, None] == labels[None]] = torch.inf
    nearest = [(row == row.min()).nonzero().flatten() for row in distance]
    draw = torch.Generator().manual_seed(0)
    return torch.stack([ties[torch.randint(len(ties), (), generator=draw)] for ties in nearest])
