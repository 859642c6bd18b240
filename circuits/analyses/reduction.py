"""The analysis ``reduction``: the smallest image network that still draws the picture, by four routes."""

from __future__ import annotations

import pandas as pd

from circuits.compression.image_curves import SIZE, curve
from circuits.compression.prune import prune
from circuits.compression.prune_image import Pruned, drop_links
from circuits.compression.spectra import Spectra
from circuits.weight_sweeps.image_network import as_cppn
from interp.errors import require_range
from interp.pictures import sheet
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.subject import Subject
from probes.claims.pictures import link_claims

MAX_ERROR = 1e-3  # mean squared error: a root mean square of 0.03, from black 0 to white 1


@analysis(
    "reduction",
    needs=("image",),
    summary="The smallest network that still draws the picture",
    order=7,
    question="needs",
    renamed={"within": "max_error"},
)
def reduction(subject: Subject, *, max_error: float = MAX_ERROR, size: int = SIZE) -> Result:
    """Remove unused units and links with a proof; then links, units, principal components and ranks against image error.

    Args:
        subject: of an image network.
        max_error: mean squared error up to which a picture counts as still drawn.
        size: pixels along each edge at which errors are measured.

    Returns:
        sizes before and after, image error against size, and the pictures of the reduced networks.
    """
    require_range("max_error", max_error, 0, 1)
    require_range("size", size, 8, 512)
    model = as_cppn(subject)
    unused, fewest = prune(model), drop_links(model, max_error)
    table, spectra = curve(model, size), Spectra.of(model)
    result = Result()
    still = table.query(f"mean_square <= {max_error}")
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
        shown[f"rank {rank}"] = spectra.truncated(model, spectra.same(rank))
    result.pictures["reduced"] = sheet([[m.draw(128) for m in shown.values()]], [list(shown)])
    _draw(result, table)
    result.claims = link_claims(fewest.links, fewest.links_before, fewest.mean_square, max_error, "reduced")
    result.headline = _headline(result, max_error)
    result.notes.append(
        "Units: the most important are kept, the others held at their mean. Components: every layer passes on its first "
        "principal components (PCs) only. Rank: every matrix truncated by SVD. Fewest links: those that change the picture least "
        "are removed first, as many together as the error allows. The routes are greedy: a smaller network may exist."
    )
    return result


def _headline(result: Result, max_error: float) -> str:
    m = result.metrics
    named = {"units": "units", "components": "PCs per layer", "rank": "rank"}
    others = {words: m[f"smallest_{name}"] for name, words in named.items() if m[f"smallest_{name}"] is not None}
    also = ", ".join(f"rank {n}" if words == "rank" else f"{n} {words}" for words, n in others.items())
    return (
        f"{m['fewest_links']} links{f' (or {also})' if also else ''} suffice for MSE <= {max_error:g}; without unused parts "
        f"{m['units_after_pruning']} of {m['units_before']} units and {m['links_after_pruning']} of {m['links_before']} links "
        f"draw the same picture (largest difference {m['largest_difference_after_pruning']:.1e})"
    )


def _draw(result: Result, table: pd.DataFrame) -> None:
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


def _smallest(still: pd.DataFrame, method: str) -> int | None:
    own = still.query(f"method == '{method}'")["left"].to_numpy()
    return int(own.min()) if len(own) else None


def _row(name: str, found: Pruned) -> dict[str, object]:
    return {
        "network": name, "arch": found.cppn.config.arch, "units": found.units, "of units": found.units_before,
        "links": found.links, "of links": found.links_before, "mean square": found.mean_square, "largest": found.difference,
    }  # fmt: skip
