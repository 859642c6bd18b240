"""Faithfulness over sparsity: how well circuits of growing size do what the network does, and the areas CPR and CMD."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from circuits.findings import Findings
from interp.errors import InterpError

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # of edges, as in MIB


@dataclass(frozen=True, eq=False)
class Faithfulness(Findings):
    """Faithfulness of circuits of growing size: ``(m - empty) / (clean - empty)`` of their metric ``m``.

    Areas are those of MIB: by the trapezoidal rule over the shares that were asked for, on a linear scale, of circuits of
    ``int(share * edges)`` edges. In small networks the first shares keep no edges.

    Attributes:
        points: ``share, size, faithfulness``.
        method: by which edges were ranked.
    """

    points: pd.DataFrame
    method: str

    @property
    def cpr(self) -> float:
        """CPR: the area under the curve. Higher is better.

        Above 1 where circuits do better than the network.

        Mueller et al. 2025, MIB, https://arxiv.org/abs/2504.13151.
        """
        return float(np.trapezoid(self.points["faithfulness"], self.points["share"]))

    @property
    def cmd(self) -> float:
        """CMD: the area between the curve and 1. Lower is better: 0 is as good as the whole network.

        Mueller et al. 2025, MIB, https://arxiv.org/abs/2504.13151.
        """
        return float(np.trapezoid((1 - self.points["faithfulness"]).abs(), self.points["share"]))

    @property
    def rows(self) -> pd.DataFrame:
        """`points`."""
        return self.points

    @property
    def table(self) -> pd.DataFrame:
        """A row per size, as every finding has it."""
        own = self.points
        return pd.DataFrame({
            "component": [f"{n} edges" for n in own["size"]], "site": "", "index": own["size"], "metric": "faithfulness",
            "clean": 1.0, "changed": own["faithfulness"], "change": own["faithfulness"] - 1,
        })  # fmt: skip

    @property
    def summary(self) -> dict[str, Any]:
        """Method and areas."""
        return {"method": self.method, "CPR (higher is better)": self.cpr, "CMD (lower is better)": self.cmd}

    def figure(self) -> go.Figure:
        """The curve, over the share of edges."""
        return draw([self])

    def __repr__(self) -> str:
        sizes = self.points["size"]
        return (
            f"Faithfulness of circuits of {sizes.min()} to {sizes.max()} edges by {self.method}: CPR {self.cpr:.4f} (higher is "
            f"better), CMD {self.cmd:.4f} (lower is better)"
        )


def curve(
    method: str, total: int, faithful: Callable[[Sequence[int]], list[float]], shares: Sequence[float] | None = None
) -> Faithfulness:
    """The curve of a ranking.

    Args:
        method: its name.
        total: number of edges.
        faithful: the faithfulness of the first n edges, for several n.
        shares: of all edges, between 0 and 1.

    Returns:
        the curve.

    Raises:
        InterpError: shares outside 0 to 1, or fewer than two.
    """
    given = sorted(SHARES if shares is None else set(shares))
    if len(given) < 2 or not all(0 <= s <= 1 for s in given):
        raise InterpError(f"a curve needs at least two shares of edges between 0 and 1, got {given}")
    sizes = [int(s * total) for s in given]
    each = sorted(set(sizes))
    found = dict(zip(each, faithful(each), strict=True))
    return Faithfulness(
        pd.DataFrame({"share": given, "size": sizes, "faithfulness": [found[n] for n in sizes]}), method
    )


def draw(curves: Sequence[Faithfulness]) -> go.Figure:
    """Curves over the share of edges, one line a method.

    Args:
        curves: with different methods.

    Returns:
        the figure.
    """
    from interp.notebook.figure import Figure
    from interp.report import figures

    figure = Figure()
    for i, one in enumerate(
        curves
    ):  # equal curves stay visible: open markers within each other, dashes over what is solid
        color, symbol = figures.PALETTE[i % len(figures.PALETTE)], figures.SYMBOLS[i % len(figures.SYMBOLS)]
        figure.add_scatter(
            x=one.points["share"], y=one.points["faithfulness"], mode="lines+markers", name=f"{one.method} (CMD {one.cmd:.3f})",
            line={"color": color, "dash": figures.DASHES[i % len(figures.DASHES)]},
            marker={"color": color, "symbol": f"{symbol}-open", "size": 6 + 2 * (len(curves) - 1 - i)},
        )  # fmt: skip
    return figures.style(figure, "Faithfulness of circuits of the first edges", "share of edges kept", "faithfulness")
