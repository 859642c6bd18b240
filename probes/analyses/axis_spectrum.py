"""The analysis `axis_spectrum`: power by frequency along one axis of a tensor that the user names."""

from __future__ import annotations

import pandas as pd

from interp.errors import InterpError, MissingCapability, UnknownName, unknown
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.subject import Subject
from probes import fourier


@analysis(
    "axis_spectrum", needs=("weights",), summary="Power by frequency along one axis of a weight that you name", order=72
)
def axis_spectrum(subject: Subject, *, tensor: str | None = None, axis: int = 0, first: int | None = None) -> Result:
    """Power by frequency along an axis of one weight, in a network of any kind.

    Nanda et al. 2023, Progress measures for grokking via mechanistic interpretability, https://arxiv.org/abs/2301.05217.

    Args:
        subject: any network; its weights suffice.
        tensor: name of the weight, such as ``embed.W_E``.
        axis: which axis is in the order of Z_p.
        first: how many entries of the axis to use, without the rows of other tokens; all by default.

    Returns:
        A table and a bar chart of shares, the key frequencies and the Gini coefficient.

    Raises:
        MissingCapability: no weight is named.
        UnknownName: the network has no such weight.
        InterpError: it has no such axis, or fewer entries than ``first``.
    """
    known = {name: p.detach() for name, p in subject.model.named_parameters() if p.ndim}
    if tensor is None:
        raise MissingCapability("name a weight: --set axis_spectrum.tensor=NAME, with axis=0 or another")
    if tensor not in known:
        raise UnknownName(unknown("weight", str(tensor), known))
    values = known[tensor]
    if not -values.ndim <= axis < values.ndim:
        raise InterpError(f"axis_spectrum: {tensor} {list(values.shape)} has no axis {axis}")
    values = values.movedim(axis, 0)
    if first is not None and not 2 <= first <= len(values):
        raise InterpError(f"axis_spectrum: first must be 2 to {len(values)}, got {first}")
    power = fourier.spectrum(values[:first])
    share, keys = fourier.shares(power), fourier.key_frequencies(power)
    n, gini = len(values[:first]), float(fourier.gini(power))
    table = pd.DataFrame({"frequency": range(len(power)), "power": power.tolist(), "share": share.tolist()})
    figure = figures.bars(
        table["frequency"].tolist()[1:], table["share"].to_numpy()[1:],
        title=f"{tensor}, axis {axis}: power by frequency of Z_{n}",
        x_title="frequency", y_title="share of the non-constant power", highlight=keys,
    )  # fmt: skip
    held = ", ".join(map(str, keys)) or "none"
    return Result(
        {"key_frequencies": keys, "gini": gini}, {"spectrum": table}, {"spectrum": figure},
        headline=f"Key frequencies of {tensor} along axis {axis} (Z_{n}): {held}; Gini coefficient {gini:.2f}",
    )  # fmt: skip
