"""The joint analysis ``stitching``: each network's last hidden layer put into every other, beside random networks."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import pandas as pd

from circuits.two_networks.sides import last_site, sides
from circuits.two_networks.stitching import Sent, stitches
from circuits.two_networks.stitching_result import Stitching
from interp.errors import require_range
from interp.plugins.joint import joint_analysis
from interp.plugins.result import Result
from interp.report import figures
from interp.subject import Subject

IDLE = "No better on the judged examples than with a constant layer, so that accuracy cannot tell:"
MOST = 12  # networks, 132 ordered pairs


@joint_analysis(
    "stitching",
    needs=("outputs",),
    summary="Does each network go on with what another has computed",
    order=60,
    most=MOST,
)
def stitching(
    subjects: Mapping[str, Subject], *, site: str | None = None, ridge: float = 0.0, n_random: int = 3, n_inputs: int = 4096,
    seed: int = 0,
) -> Result:  # fmt: skip
    """Stitch the last hidden layer of every network into every other by an affine map; see `circuits.stitch`.

    Args:
        subjects: networks whose inputs agree.
        site: a hook point that all have; each network's last hidden layer by default.
        ridge: of the maps, as a share of the covariance's mean diagonal.
        n_random: random networks of each sender's architecture.
        n_inputs: at most so many of the inputs that all have.
        seed: of the random networks and the draw of inputs.

    Returns:
        a row per ordered pair, and the matrix of stitched accuracy (or loss) beside the random networks'.
    """
    require_range("n_random", n_random, 1, 100)
    found, note = sides(subjects, None, n_inputs, seed)
    places = {name: last_site(side, site) for name, side in found.items()}
    sent = {name: Sent.of(side, [places[name]], n_random, seed) for name, side in found.items()}
    rows, notes = [], [note]
    for one, other in permutations(found, 2):
        made = stitches(sent[one], found[other], [(places[one], places[other])], ridge=ridge)
        rows += made.rows
        notes += [n for n in made.notes if n not in notes]
    whole = Stitching(rows, {}, {n: s.loss_name for n, s in found.items()}, (), all(s.answers for s in found.values()))
    return _result(whole, list(found), notes)


def _result(whole: Stitching, names: list[str], notes: list[str]) -> Result:
    rows, metric = whole.rows, whole.metric
    result = Result(lead="stitched")
    result.tables["stitches"] = rows
    for name, column in (("stitched", metric), ("random networks", f"random_{metric}")):
        grid = _grid(rows, names, column)
        for own in names:
            value = rows.loc[rows["receiver"] == own, f"clean_{metric}"].iloc[0]
            grid.loc[own, own] = value if name == "stitched" else float("nan")
        result.figures[name] = figures.heatmap(
            grid.to_numpy(), x=names, y=names, x_title="receiver", y_title="sender", unit=metric,
            title=f"{metric.capitalize()}: {'stitched (diagonal: clean)' if name == 'stitched' else 'random networks stitched'}",
        ).update_yaxes(autorange="reversed")  # fmt: skip
        if metric == "accuracy":
            result.figures[name].update_traces(zmin=0, zmax=1)
    means = {
        c: _mean(rows[c].to_list()) for c in (metric, f"clean_{metric}", f"random_{metric}", "explained", "relative")
    }
    beyond = sum(bool(one) for one in rows["beyond_random"])
    result.metrics = {**{f"mean_{k}": v for k, v in means.items()}, "beyond_random": beyond, "pairs": len(rows)}
    text = "{:.1%}" if metric == "accuracy" else "{:.3g}"
    own, clean, random = (text.format(means[c]) for c in (metric, f"clean_{metric}", f"random_{metric}"))
    result.headline = (
        f"Stitched {metric} {own} on average over {len(rows)} ordered pairs (clean {clean}, layers of random networks {random}); "
        f"{beyond} of {len(rows)} better than every random network"
    )
    idle = (
        rows.loc[rows[f"clean_{metric}"] <= rows[f"constant_{metric}"], "receiver"].unique()
        if metric == "accuracy"
        else ()
    )
    result.notes = [
        *notes,
        *(
            [
                f"No better on the judged examples than with a constant layer, so accuracy cannot tell: {', '.join(idle)}."
            ]
            if len(idle)
            else []
        ),
        "Stitching: the receiver runs on from an affine map of the sender's activation, fitted by least squares. relative: 0 as "
        "good as random networks' layers, 1 as good as the clean receiver.",
    ]
    return result


def _grid(rows: pd.DataFrame, names: list[str], column: str) -> pd.DataFrame:
    return rows.pivot_table(column, "sender", "receiver").reindex(index=names, columns=names)


def _mean(values: list[float]) -> float:
    """The mean of what is known; NaN where nothing is."""
    known = [float(v) for v in values if v == v]
    return sum(known) / len(known) if known else float("nan")
