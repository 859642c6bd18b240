"""The features of a network at a site: units, principal components, or factors of its task; and the site without some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isqrt
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.two_networks.receiver import Receiver, Rows
from circuits.two_networks.sides import Side
from circuits.weight_sweeps.factor_measures import Meter
from interp.errors import InterpError, MissingCapability, UnknownName, unknown
from interp.hooked import HookedCPPN
from interp.hooked.cppn.plane import coordinates
from interp.hooked.foreign.several import rows_of
from interp.tasks import BinaryOperation
from interp.tasks.factors import Factors
from probes.spectra import ROUNDING, pca

Kind = Literal["units", "components", "frequencies", "factors"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SEEN = 0.99  # share of the activation's variance that principal components must hold together
Part = Callable[[Tensor], Tensor]
DRAWN = 0.01  # share of a picture's variance from which it counts as having a factor


@dataclass(frozen=True, eq=False)
class FeatureList:
    """Features of one network at a site, over shared inputs.

    Attributes:
        kind: what a feature is.
        names: one each.
        rows: the site's activation about its mean ``[n, d]``, in float64.
        mean: that mean ``[d]``.
        directions: of the activation, orthonormal ``[k, d]``; None where features are functions of the inputs.
        parts: of functions of the inputs, the part that belongs to each, ``[n, d]`` to ``[n, d]``; None where features are
            directions. They are orthogonal.
        rank: number of functions of the largest of these; 0 where random functions say nothing.
        listed: which of them the network has: all directions that vary, or the factors that its outputs are made of.
    """

    kind: Kind
    names: tuple[str, ...]
    rows: Float[Tensor, "n d"]
    mean: Float[Tensor, "d"]
    directions: Float[Tensor, "k d"] | None
    parts: tuple[Part, ...] | None
    listed: tuple[int, ...]
    rank: int = 0

    @property
    def coordinates(self) -> Float[Tensor, "n k"]:
        """Values of directions over the inputs, about their mean."""
        assert self.directions is not None
        return self.rows @ self.directions.T

    @cached_property
    def variance(self) -> Float[Tensor, "k"]:
        """Share of the activation's variance that each feature holds."""
        total = self.rows.square().sum().clamp_min(1e-300)
        if self.parts is None:
            return self.coordinates.square().sum(0) / total
        return torch.stack([part(self.rows).square().sum() for part in self.parts]) / total

    def without(self, chosen: Sequence[int]) -> Rows:
        """The site's rows with some features at their mean."""
        chosen = list(chosen)
        whole = self.rows + self.mean
        if self.parts is None:
            assert self.directions is not None
            axes = self.directions[chosen]
            return lambda part: whole[part] - self.rows[part] @ axes.T @ axes
        rest = whole - sum((self.parts[i](self.rows) for i in chosen), torch.zeros_like(whole))
        return lambda rows: rest[rows]


def feature_list(into: Receiver, kind: Kind) -> FeatureList:
    """The features of a network at a site.

    Args:
        into: the site.
        kind: ``units``; principal ``components`` that hold 99% of the variance; ``frequencies`` of addition modulo n; or
            ``factors`` of the task's symmetry: representations of a group, Walsh functions of bits, the even and the odd part
            of a picture.

    Returns:
        all of them, and which the network has.

    Raises:
        UnknownName: no such kind.
        MissingCapability: a task without such factors.
    """
    if kind not in KINDS:
        raise UnknownName(unknown("kind of feature", kind, KINDS))
    whole = into.rows.double()
    mean = whole.mean(0)
    rows = whole - mean
    if kind == "units":
        alive = rows.square().sum(0) > ROUNDING * whole.square().sum(0).clamp_min(1e-300)
        names = tuple(f"unit {i}" for i in range(rows.shape[1]))
        axes = torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
        return FeatureList(kind, names, rows, mean, axes, None, tuple(alive.nonzero()[:, 0].tolist()))
    if kind == "components":
        found = pca(whole)
        seen = found.singular_values.square().cumsum(0)
        count = int((seen < SEEN * seen[-1]).sum()) + 1 if bool(seen[-1] > 0) else 0
        axes = found.basis.directions[:count]
        return FeatureList(kind, found.basis.names[:count], rows, mean, axes, None, tuple(range(count)))
    names, parts, listed, rank = _factors(into.side, kind, len(rows))
    return FeatureList(kind, names, rows, mean, None, parts, listed, rank)


Factored = tuple[tuple[str, ...], tuple[Part, ...], tuple[int, ...], int]


def _factors(side: Side, kind: Kind, n: int) -> Factored:
    """Names of a task's factors, their parts, which of them the outputs are made of, and the largest rank."""
    subject, task = side.subject, side.subject.task
    if kind == "frequencies":
        subject.require_cyclic()
    if isinstance(subject.model, HookedCPPN) and side.examples is None:
        return _of_picture(side, n)
    factors = subject.require_task().factors()
    assert task is not None
    if isinstance(factors, str):
        raise MissingCapability(f"{side.name}: {factors}")
    if side.examples is None or len(side.examples) != len(task.inputs):
        raise MissingCapability(
            f"{side.name}: factors are functions over all {len(task.inputs):,} examples of {task.name}; compare on all of them "
            "(n_inputs=None, without inputs)"
        )
    outputs = torch.empty_like(side.clean)
    outputs[side.examples.to(side.clean.device)] = side.clean
    keys = Meter.of(subject, outputs).keys
    counted = [i for i in range(len(factors.names)) if i != factors.constant]
    modes = [_modes(factors, i, side).to(side.clean) for i in counted]
    parts = tuple(_onto(m) for m in modes)
    names = tuple(f"{factors.kind} {factors.names[i]}" for i in counted)
    return names, parts, tuple(counted.index(k) for k in keys), max(m.shape[1] for m in modes)


def _onto(modes: Tensor) -> Part:
    return lambda x: modes @ (modes.T @ x)


def _modes(factors: Factors, factor: int, side: Side) -> Tensor:
    """Orthonormal functions of the inputs that belong to a factor: of each argument, and of a pair's answer."""
    task, examples = side.subject.task, side.examples
    assert task is not None
    assert examples is not None
    columns = []
    for axis in factors.inputs:
        rows = axis.basis[axis.factor == factor].double()  # [function, value]
        placed = torch.zeros(len(task.inputs), len(rows), dtype=torch.float64)
        placed[axis.index.cpu()] = rows.T[:, None].expand(-1, axis.index.shape[1], -1)
        columns.append(placed)
    if isinstance(task, BinaryOperation) and factors.outputs is not None:
        axis = factors.outputs
        by_answer = torch.zeros(task.n_symbols, int((axis.factor == factor).sum()), dtype=torch.float64)
        by_answer[axis.index[:, 0].cpu()] = axis.basis[axis.factor == factor].double().T
        columns.append(by_answer[task.labels.cpu()])
    functions = torch.cat(columns, 1)[examples]
    u, s, _ = torch.linalg.svd(functions - functions.mean(0), full_matrices=False)
    return u[:, s > 1e-9 * s[0]]


def _of_picture(side: Side, n: int) -> Factored:
    """What is even and what is odd under the left-right mirror, on a square of pixels."""
    edge = isqrt(n)
    plane = rows_of(side.evaluation.inputs)
    if edge * edge != n or not torch.equal(plane, coordinates(edge, edge).to(plane)):
        raise InterpError(f"{side.name}: even and odd parts need the plane's pixels, not inputs of one's own")

    def part(sign: int) -> Part:
        return lambda x: (x + sign * x.unflatten(0, (edge, edge)).flip(1).flatten(0, 1)) / 2

    clean = side.clean - side.clean.mean(0)
    parts = (part(1), part(-1))
    shares = [float(p(clean).square().sum() / clean.square().sum().clamp_min(1e-300)) for p in parts]
    return ("even part", "odd part"), parts, tuple(i for i, share in enumerate(shares) if share >= DRAWN), 0
