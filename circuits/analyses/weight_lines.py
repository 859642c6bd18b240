"""The joint analysis ``connectivity``: the straight line between networks' weights, before and after their units are matched."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from circuits.weight_line.connectivity import LinearConnectivity, linear_connectivity
from circuits.weight_line.pair import architectures_differ
from interp.errors import MissingCapability, require_range
from interp.plugins.joint import joint_analysis
from interp.plugins.result import Result
from interp.report import figures
from interp.subject import Subject

MOST = 6  # networks: five lines
SHOWN = ("plain", "matched")


@joint_analysis(
    "connectivity",
    needs=("outputs",),
    summary="Is the loss high between networks' weights, and does matching their units lower it",
    order=80,
    most=MOST,
)
def connectivity(subjects: Mapping[str, Subject], *, points: int = 11, starts: int = 4, seed: int = 0) -> Result:
    """The line from the first network's weights to every other's; see `circuits.linear_connectivity`.

    Args:
        subjects: networks; those of another architecture than the first have no line to it and are left out.
        points: on each line, both ends among them.
        starts: of the matching.
        seed: of the matching.

    Returns:
        the barrier of each line before and after matching, and the loss along it.

    Raises:
        MissingCapability: no other network has the first one's architecture.
    """
    require_range("points", points, 3)
    (name, first), *others = subjects.items()
    fit = {other: one for other, one in others if not architectures_differ(first.model, one.model)}
    if not fit:
        raise MissingCapability(f"no other network has the architecture of {name}, so no line joins their weights")
    lines = {
        other: linear_connectivity(first, one, points=points, starts=starts, seed=seed) for other, one in fit.items()
    }
    result = _result(name, lines)
    if left := [other for other, _ in others if other not in fit]:
        result.notes.append(f"Left out, since their architecture is another: {', '.join(left)}.")
    return result


def _result(name: str, lines: Mapping[str, LinearConnectivity]) -> Result:
    rows = pd.concat([line.barriers.assign(network=other) for other, line in lines.items()], ignore_index=True)
    table = rows.set_index("network").reset_index()
    before, after = (table.loc[table["matched"] == matched, "barrier"] for matched in (False, True))
    hill = float(table.loc[~table["matched"].astype(bool), "barrier_over_line"].mean())
    curves = {
        f"{other}, {SHOWN[bool(matched)]}": (own["alpha"], own["loss"])
        for other, line in lines.items()
        for matched, own in line.line.groupby("matched", sort=False)
    }
    drawn = figures.lines(
        curves, title=f"Loss along the line from {name}", x_title=f"share of the way from {name}", y_title="loss",
        markers=True,
    )  # fmt: skip
    result = Result(lead="loss along the line", tables={"barriers": table}, figures={"loss along the line": drawn})
    result.metrics = {
        "lines": len(lines), "mean_barrier": float(before.mean()), "mean_barrier_matched": float(after.mean()),
        "lowered_by_matching": int((after.to_numpy() < before.to_numpy()).sum()),
    }  # fmt: skip
    lowered, count = result.metrics["lowered_by_matching"], len(lines)
    result.headline = (
        f"Loss barrier from {name}: {before.mean():.3g} on average over {count} line{'s' if count > 1 else ''} "
        f"({max(hill, 0):.2g} above the line between both ends' losses), "
        f"{after.mean():.3g} once units are matched (lower on {lowered} of {count}"
        + ("; matching brings weights nearer, not losses)" if after.mean() > before.mean() else ")")
    )
    judge = next(iter(lines.values())).judge
    result.notes = [
        f"Barrier: the largest loss along the line minus the mean of the ends' losses; the loss is that of {judge}. Matching "
        "relabels units without changing the function; where a barrier stays, no relabelling that was found removes it."
    ]
    return result
