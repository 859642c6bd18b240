"""Weight matching of two networks: unit for unit, with permutations and signs that leave the function as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from typing_extensions import override

from circuits.engine.arguments import require_whole
from circuits.findings import Findings
from circuits.weight_line.assignment import Descent
from circuits.weight_line.correlations import orders_by_correlation
from circuits.weight_line.pair import pair_of
from circuits.weight_line.relabelling import Relabelling
from circuits.weight_line.tables import symmetries_of
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.base import HookedModel
from interp.hooked.coerce import as_model
from interp.subject import Subject

if TYPE_CHECKING:
    import plotly.graph_objects as go

By = Literal["weights", "activations"]
STARTS, ITERATIONS = 8, 100


@dataclass(frozen=True, eq=False, repr=False)
class WeightMatching(Findings):
    """Which unit of one network corresponds to which of another.

    Attributes:
        relabelling: for every group of units, ``permutations`` and ``signs``: the unit of b that takes each place, and whether
            what it reads changes its sign.
        units: a row per unit of a: ``group, unit, matched`` (b's), ``sign``, and the cosine between the weights of both:
            ``cosine_before`` for the units of the same index, ``cosine`` for the matched.
        numbers: distances and how they were found.
    """

    relabelling: Relabelling
    units: pd.DataFrame
    numbers: dict[str, Any]

    @property
    def permutations(self) -> dict[str, Tensor]:
        """By group, b's unit that takes each place ``[unit]``; within heads ``[head, dimension]``."""
        return {
            n: p for n, p in self.relabelling.permutations.items() if not self.relabelling.symmetries.groups[n].fixed
        }

    @property
    def signs(self) -> dict[str, Tensor]:
        """By group, 1 or -1 in the shape of `permutations`."""
        return {n: self.relabelling.signs[n] for n in self.permutations}

    @property
    def distance(self) -> float:
        """Euclidean distance of all weights after matching."""
        return self.numbers["distance"]

    @property
    def distance_before(self) -> float:
        """Euclidean distance of all weights as they were."""
        return self.numbers["distance before"]

    def apply(self, b: Subject | HookedModel) -> HookedModel:
        """A network with b's weights in other places; it computes what b computes, up to the rounding of sums in another order.

        Args:
            b: the network that was matched, or another of its architecture.

        Returns:
            a new model.

        Raises:
            InterpError: a network of another architecture.
        """
        model = as_model(b)
        self.require_fits(model)
        weights = {n: p.detach() for n, p in model.named_parameters()}
        return type(model).from_weights(model.config, self.relabelling.weights(weights))

    def require_fits(self, model: HookedModel) -> None:
        """Refuse a network of another architecture than those that were matched."""
        if symmetries_of(model) != self.relabelling.symmetries:
            raise InterpError(
                "the matching is of networks of another architecture; circuits.match_weights(a, b) makes one"
            )

    @property
    @override
    def rows(self) -> pd.DataFrame:
        """`units`."""
        return self.units

    @property
    @override
    def table(self) -> pd.DataFrame:
        """A row per unit; the metric is the cosine between its weights and the other's, ``clean`` before matching."""
        own = self.units
        first = {
            "component": [f"{g} {u}" for g, u in zip(own["group"], own["unit"], strict=True)], "site": own["group"],
            "index": own["unit"], "metric": "cosine", "clean": own["cosine_before"], "changed": own["cosine"],
            "change": own["cosine"] - own["cosine_before"],
        }  # fmt: skip
        return pd.DataFrame({**first, "matched": own["matched"], "sign": own["sign"]})

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """Distances before and after, and how they were found."""
        return self.numbers

    @override
    def figure(self) -> go.Figure:
        """The cosines between the weights of corresponding units, sorted, before and after matching."""
        from interp.report import figures

        share = np.linspace(0, 1, len(self.units))
        curves = {"as they are": "cosine_before", "matched": "cosine"}
        return figures.lines(
            {name: (share, np.sort(self.units[column].to_numpy(float))[::-1]) for name, column in curves.items()},
            title="Weights of corresponding units", x_title="share of the units", y_title="cosine",
        )  # fmt: skip


@with_bar
@torch.no_grad()
def match_weights(
    a: Subject | HookedModel,
    b: Subject | HookedModel,
    *,
    by: By = "weights",
    inputs: Tensor | None = None,
    seed: int = 0,
    starts: int = STARTS,
    iterations: int = ITERATIONS,
    progress: Callable[[int, int], None] | bool | None = None,
) -> WeightMatching:
    """Weight matching: relabel b's hidden units so that its weights come nearest to a's, its function unchanged.

    Hidden units have no order of their own, so two networks that compute the same may look unlike weight by weight. Units are
    permuted within their layer (of a CPPN: among units with the same activation function; heads with all that belongs to
    them, and the dimensions within a head; the residual stream's entries with the gains of its norms), and change their sign
    where their function is odd (tanh, sin, linear) or even (square, cos, gaussian: what they read alone). One group after the
    other is assigned (scipy's ``linear_sum_assignment``) while the others stay, until nothing improves; the best of several
    starts is kept (Ainsworth et al. 2022, Git Re-Basin, https://arxiv.org/abs/2209.04836). Exact for one hidden layer over
    inputs that keep their order and no embedding; elsewhere a local optimum.

    Not searched: scalings (what a ReLU reads times 2, what reads it divided by 2), rotations (of a residual stream without
    norms, of queries and keys), and what `summary` names. Misleads where units are idle or alike: any assignment of those
    is as good.

    Args:
        a: stays as it is.
        b: of the same architecture.
        by: ``"weights"``; or ``"activations"``: hidden neurons are assigned on the correlations of their activations (of odd
            functions, the absolute correlations); signs, and everything but neurons, on weights.
        inputs: for ``by="activations"``, what both run on; by default the inputs of a's task, or of b's, or a picture's pixels.
        seed: of the starts.
        starts: how many: the first goes through the layers in order, the second from the units as they are, the others from
            random relabellings.
        iterations: the most passes over all layers for each start.
        progress: called with (starts done, starts in all). By default a notebook shows a bar; False leaves it out.

    Returns:
        `WeightMatching`: ``.apply(b)`` is the relabelled network, ``.distance`` beside ``.distance_before``,
        ``.permutations``, ``.signs``, a row per unit.

    Raises:
        InterpError: networks of different architectures or widths, or of one whose units are not known.
        UnknownName: another ``by``.

    >>> import interp
    >>> a, b = (interp.HookedMLP(interp.MLPConfig((4,), 3, d_in=2)).init_weights(seed=s) for s in (0, 1))
    >>> found = match_weights(a, b)
    >>> found.distance < found.distance_before
    True
    """
    one, other = pair_of(a, b)
    if by not in get_args(By):
        raise UnknownName(unknown("way to match", by, get_args(By)))
    for name, value, low in (("starts", starts, 1), ("iterations", iterations, 1), ("seed", seed, 0)):
        require_whole(name, value, low)
    symmetries = symmetries_of(one.model)
    weights = [{n: p.detach().cpu().double() for n, p in s.model.named_parameters()} for s in (one, other)]
    held = orders_by_correlation(one, other, symmetries, inputs) if by == "activations" else {}
    descent, shown = Descent(symmetries, weights[0], weights[1], held), told("starts", progress)
    best: tuple[Relabelling, float, int] | None = None
    values = []
    for start in range(starts):
        generator = torch.Generator().manual_seed(seed * 100_003 + start)
        begin = Relabelling.identity(symmetries) if start < 2 else Relabelling.random(symmetries, generator)
        for name, order in held.items():
            begin = begin.replaced(name, order, begin.signs[name])
        found = descent.run(begin, iterations, generator if start else None)
        values.append(found[1])
        if best is None or found[1] > best[1]:
            best = found
        shown(start + 1, starts)
    assert best is not None
    relabelling = best[0]
    moved = relabelling.weights(weights[1])
    units = _units(relabelling, weights[0], weights[1])
    numbers = {
        "by": by,
        "distance before": _distance(*weights), "distance": _distance(weights[0], moved),
        "distance of orthogonal weights": float(np.hypot(_norm(weights[0]), _norm(weights[1]))),
        "norm of a": _norm(weights[0]), "norm of b": _norm(weights[1]),
        "units moved": int((units["unit"] != units["matched"]).to_numpy().sum()),
        "signs changed": int((units["sign"] < 0).to_numpy().sum()),
        "units": len(units), "starts": starts, "starts that reach the best": int(sum(np.isclose(v, best[1]) for v in values)),
        "not searched": "; ".join(symmetries.notes),
    }  # fmt: skip
    return WeightMatching(relabelling, units, numbers)


def _norm(weights: dict[str, Tensor]) -> float:
    return float(torch.stack([w.square().sum() for w in weights.values()]).sum().sqrt())


def _distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    return _norm({n: one[n] - other[n] for n in one})


def _units(relabelling: Relabelling, a: dict[str, Tensor], b: dict[str, Tensor]) -> pd.DataFrame:
    """A row per unit with the cosine between its weights and those of its counterpart, before and after."""
    symmetries, frames = relabelling.symmetries, []
    identity = Relabelling.identity(symmetries)
    for name, group in symmetries.groups.items():
        if group.fixed:
            continue
        before, after = (_cosines(name, one, a, b) for one in (identity, relabelling))
        order, sign = relabelling.permutations[name], relabelling.signs[name]
        labels = _labels(
            torch.arange(group.size).expand(order.shape), relabelling.permutations, group.within, moved=False
        )
        frames.append(pd.DataFrame({
            "group": name, "unit": labels, "matched": _labels(order, relabelling.permutations, group.within, moved=True),
            "sign": sign.flatten().int().numpy(), "cosine_before": before.flatten().numpy(),
            "cosine": after.flatten().numpy(),
        }))  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def _labels(order: Tensor, permutations: Any, within: str, moved: bool) -> list[str]:
    """Names of units: their index, or ``outer.index`` within another group."""
    if not within:
        return [str(int(i)) for i in order]
    outer = permutations[within] if moved else torch.arange(len(order))
    return [f"{int(o)}.{int(i)}" for o, row in zip(outer, order, strict=True) for i in row]


def _cosines(group: str, relabelling: Relabelling, a: dict[str, Tensor], b: dict[str, Tensor]) -> Tensor:
    """Cosine between every unit's weights in ``a`` and in the relabelled ``b``, in the shape of its permutation; 0 for none."""
    symmetries = relabelling.symmetries
    within = symmetries.groups[group].within
    sums = [torch.zeros(relabelling.permutations[group].shape, dtype=torch.float64) for _ in range(3)]
    for parameter, k in symmetries.places(group):
        axes = symmetries.axes[parameter]
        kept = [i for i, axis in enumerate(axes) if within and axis.group == within] + [k]
        x, y = a[parameter].reshape(symmetries.shape(parameter)), relabelling.moved(parameter, b[parameter])
        for total, product in zip(sums, (x * y, x * x, y * y), strict=True):
            total += product.movedim(kept, tuple(range(len(kept)))).reshape(*total.shape, -1).sum(-1)
    return torch.nan_to_num(sums[0] / (sums[1] * sums[2]).sqrt(), posinf=0.0, neginf=0.0)
