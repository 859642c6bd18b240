"""The analysis `axis_spectrum`: power by frequency along the axes of the weights, of a network of any kind."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from torch import Tensor

from interp.errors import InterpError, MissingCapability, UnknownName, unknown
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.subject import Subject
from probes import fourier

SHORTEST = 8  # entries of an axis that is looked at unasked
FEWEST = 4  # columns of such an axis: the spectrum of a single one is peaked by chance
MOST = 64  # weights that are looked at unasked


@analysis(
    "axis_spectrum",
    needs=("weights",),
    summary="Power by frequency along the axes of the weights",
    order=72,
    question="represents",
)
def axis_spectrum(subject: Subject, *, tensor: str | None = None, axis: int = 0, first: int | None = None) -> Result:
    """Power by frequency along an axis of one weight; without a name all axes are compared and the most periodic is drawn.

    Nanda et al. 2023, Progress measures for grokking via mechanistic interpretability, https://arxiv.org/abs/2301.05217.

    Args:
        subject: any network; its weights suffice.
        tensor: name of the weight, such as ``embed.W_E``; by default the axis with the largest Gini coefficient of all.
        axis: which axis is in the order of Z_p.
        first: how many entries of the axis to use, without the rows of other tokens; all by default.

    Returns:
        A table and a bar chart of shares, the key frequencies and the Gini coefficient; without a name also a row an axis.

    Raises:
        MissingCapability: no matrix has an axis that is long enough.
        UnknownName: the network has no such weight.
        InterpError: it has no such axis, or fewer entries than ``first``.
    """
    known = {name: p.detach() for name, p in subject.model.named_parameters() if p.ndim}
    tables = {}
    if tensor is None:
        tables["axes"] = _all_axes(known)
        tensor, axis = tables["axes"].iloc[0][["weight", "axis"]]
    values = _along(known, str(tensor), int(axis), first)
    power = fourier.spectrum(values)
    share, keys = fourier.shares(power), fourier.key_frequencies(power)
    n, gini = len(values), float(fourier.gini(power))
    tables["spectrum"] = pd.DataFrame(
        {"frequency": range(len(power)), "power": power.tolist(), "share": share.tolist()}
    )
    figure = figures.bars(
        list(range(1, len(power))), share[1:].tolist(), title=f"{tensor}, axis {axis}: power by frequency of Z_{n}",
        x_title="frequency", y_title="share of the non-constant power", highlight=keys,
    )  # fmt: skip
    held = ", ".join(map(str, keys)) or "none"
    return Result(
        {"tensor": str(tensor), "axis": int(axis), "key_frequencies": keys, "gini": gini}, tables, {"spectrum": figure},
        headline=f"Key frequencies of {tensor} along axis {axis} (Z_{n}): {held}; Gini coefficient {gini:.2f}",
    )  # fmt: skip


def _along(known: Mapping[str, Tensor], tensor: str, axis: int, first: int | None) -> Tensor:
    """The weight with the axis in front, cut to its first entries."""
    if tensor not in known:
        raise UnknownName(unknown("weight", tensor, known))
    values = known[tensor]
    if not -values.ndim <= axis < values.ndim:
        raise InterpError(f"axis_spectrum: {tensor} {list(values.shape)} has no axis {axis}")
    values = values.movedim(axis, 0)
    if first is not None and not 2 <= first <= len(values):
        raise InterpError(f"axis_spectrum: first must be 2 to {len(values)}, got {first}")
    return values[:first]


def _all_axes(known: Mapping[str, Tensor]) -> pd.DataFrame:
    """The Gini coefficient of every long axis of the matrices, the largest first."""
    matrices = {n: t for n, t in known.items() if t.ndim > 1 and bool(t.isfinite().all())}
    rows = [
        (name, axis, length, float(fourier.gini(fourier.spectrum(tensor.movedim(axis, 0)))))
        for name, tensor in list(matrices.items())[:MOST]
        for axis, length in enumerate(tensor.shape)
        if length >= SHORTEST and tensor.numel() >= FEWEST * length
    ]
    if not rows:
        raise MissingCapability(f"needs a finite matrix with an axis of at least {SHORTEST} entries")
    table = pd.DataFrame(rows, columns=pd.Index(["weight", "axis", "length", "Gini coefficient"]))
    return table.sort_values("Gini coefficient", ascending=False, kind="stable", ignore_index=True)
