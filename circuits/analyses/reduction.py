"""The analysis ``reduction``: the smallest network that still draws the picture, by four routes."""

from __future__ import annotations

import pandas as pd

from circuits.compression.image_curves import SIZE, curve, svd_truncated
from circuits.compression.prune import prune
from circuits.compression.prune_image import Pruned, drop_links
from interp.errors import require_range
from interp.pictures import sheet
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.subject import Subject
from probes.analyses.feature_maps import require_cppn

WITHIN = 1e-3  # mean squared error: a root mean square of 0.03, from black 0 to white 1


@analysis("reduction", needs=("image",), summary="The smallest network that still draws the picture", order=7)
def reduction(subject: Subject, *, within: float = WITHIN, size: int = SIZE) -> Result:
    """Unused units and links removed with a proof; links, units, principal components and ranks against image error.

    Args:
        within: mean squared error up to which a picture counts as still drawn.
        size: pixels along each edge at which errors are measured.
    """
    require_range("within", within, 0, 1)
    require_range("size", size, 8, 512)
    model = require_cppn(subject)
    unused, fewest = prune(model), drop_links(model, within)
    table = curve(model, size)
    result = Result()
    still = table.query(f"mean_square <= {within}")
    result.metrics = {
        "units_before": unused.units_before, "units_after_pruning": unused.units,
        "links_before": unused.links_before, "links_after_pruning": unused.links,
        "largest_difference_after_pruning": unused.difference,
        "fewest_links": fewest.links, "fewest_links_mean_square": fewest.mean_square,
        "fewest_links_arch": fewest.cppn.config.arch,
        **{f"smallest_{m}": _smallest(still, m) for m in ("units", "components", "rank")},
    }  # fmt: skip
    result.tables = {
        "curve": table,
        "pruned": pd.DataFrame([_row("unused removed", unused), _row("fewest links", fewest)]),
    }
    shown = {"whole": model, "unused removed": unused.cppn, "fewest links": fewest.cppn}
    for rank in sorted({max(1, model.config.width // 4), max(1, model.config.width // 2)}):
        shown[f"rank {rank}"] = svd_truncated(model, rank)
    result.pictures["reduced"] = sheet([[m.draw(128) for m in shown.values()]], [list(shown)])
    for x in ("left", "parameters"):
        curves = {}
        for method in ("units", "components", "rank"):
            rows = table.query(f"method == '{method}'").sort_values(x)
            share = rows["left"] / rows["left"].max() if x == "left" else rows[x]
            curves[method] = (share.to_numpy(), rows["mean_square"].clip(lower=1e-12).to_numpy())
        label = "share of units, components or rank that is left" if x == "left" else "weights"
        result.figures[f"error by {x}"] = figures.lines(
            curves,
            title=f"Image error against {label}",
            x_title=label,
            y_title="mean squared error",
            log_y=True,
            markers=True,
        )
    m = result.metrics
    result.headline = (
        f"without what the picture does not depend on, {m['units_after_pruning']} of {m['units_before']} units and "
        f"{m['links_after_pruning']} of {m['links_before']} links draw it to {m['largest_difference_after_pruning']:.1e}; within "
        f"{within:g} do {m['fewest_links']} links, or {_text(m['smallest_units'])} units, {_text(m['smallest_components'])} "
        f"components a layer, rank {_text(m['smallest_rank'])}"
    )
    result.notes.append(
        "Units: the most important are kept, the others held at their mean. Components: every layer passes on its first "
        "principal components. Rank: every matrix truncated by SVD. Fewest links: those that change the picture least go "
        "first, together as many as the error allows. The routes are greedy: a smaller network may exist."
    )
    return result


def _smallest(still: pd.DataFrame, method: str) -> int | None:
    own = still.query(f"method == '{method}'")["left"].to_numpy()
    return int(own.min()) if len(own) else None


def _row(name: str, found: Pruned) -> dict[str, object]:
    return {
        "network": name, "arch": found.cppn.config.arch, "units": found.units, "of units": found.units_before,
        "links": found.links, "of links": found.links_before, "mean square": found.mean_square, "largest": found.difference,
    }  # fmt: skip


def _text(value: int | None) -> str:
    return "no number of" if value is None else str(value)
