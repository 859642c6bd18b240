"""The joint analysis `similarity`: how alike the insides of several networks are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from interp.plugins.claim import Claim, graded
from interp.plugins.joint import joint_analysis
from interp.plugins.result import Result
from interp.report import figures
from interp.sites import short_name
from interp.subject import Subject
from probes.analyses.chance_notes import NULL_NOTE, comma_separated
from probes.similarity_maps.mapping import similarity_map
from probes.similarity_maps.result import SimilarityMap, describe

MAPS, LINES = 4, 6  # heat maps of layers, and lines of pairs, that are drawn
CHANCE = {"null": "chance, mean", "low": "chance, least", "high": "chance, largest"}


@joint_analysis(
    "similarity",
    needs=("outputs",),
    order=10,
    question="represents",
    summary="How alike every two networks are inside, beside chance; a map and an embedding",
)
def similarity(
    subjects: Mapping[str, Subject],
    *,
    measure: str = "cka",
    sites: str | None = None,
    n_inputs: int = 2048,
    null: str = "auto",
    draws: int = 39,
    across_layers: bool = False,
    seed: int = 0,
) -> Result:
    """Similarity of every two networks at each layer that they share, beside that of random networks.

    Linear CKA, debiased: Kornblith et al. 2019, https://arxiv.org/abs/1905.00414.

    Args:
        subjects: networks whose inputs agree.
        measure: a name in `probes.similarity.MEASURES`.
        sites: hook points or globs, separated by commas; by default the hidden layers that all share.
        n_inputs: at most so many inputs.
        null: ``random`` networks, permuted ``inputs``, ``rotation``; ``auto`` takes random ones where they can be drawn.
        draws: of the null.
        across_layers: one map of all layers of all networks.
        seed: of inputs and nulls.

    Returns:
        A row per pair and site, similarity by layer; of more than two networks heat maps and an embedding.
    """
    found = similarity_map(
        subjects, sites=comma_separated(sites), measure=measure, n_inputs=n_inputs, null=null, draws=draws,
        across_layers=across_layers, seed=seed, progress=False,
    )  # fmt: skip
    last = found.sites[-1]
    most, least = found.extreme(last), found.extreme(last, most=False)
    result = Result(
        {
            "networks": len(found.at()[1]), "measure": measure, "most_alike": [most.get("a"), most.get("b")],
            "highest": most.get("value"), "lowest": least.get("value"), "null": found.null,
            "pairs": len(found.table),
        },
        {"pairs": found.table},
    )  # fmt: skip
    if len(found.sites) > 1:
        result.figures["by layer"] = by_layer(found)
    if len(subjects) > 2:  # a map of two networks is one number
        result.tables["embedding"] = found.embedding(last).rename_axis("network").reset_index()
        result.figures |= {f"map {site}": found.figure(site) for site in shown(found.sites)}
        result.figures["embedding"] = found.figures(last)["embedding"]
    result.lead = "embedding" if len(subjects) > 2 else next(iter(result.figures), None)
    rows = found.table[found.table["site"] == last]
    above, below = sum(rows["value"] > rows["high"]), sum(rows["value"] < rows["low"])
    result.metrics |= {"above_chance": above, "below_chance": below} if found.excesses else {}
    result.headline = f"At {last}: {describe(most)}" if len(subjects) == 2 else (
        f"At {last} {above} of {len(rows)} pairs lie above chance, {below} below; most alike {describe(most)}; least "
        f"{describe(least)}"
    )  # fmt: skip
    result.notes = [f"Compared on {found.inputs}.", f"Chance: {found.null}. {NULL_NOTE}", *found.notes]
    result.claims = [_claim(found, last)]
    return result


def shown(sites: list[str]) -> list[str]:
    """At most `MAPS` layers, first and last among them; the table has all."""
    return [sites[round(i * (len(sites) - 1) / max(1, MAPS - 1))] for i in range(MAPS)] if len(sites) > MAPS else sites


def by_layer(found: SimilarityMap) -> go.Figure:
    """Similarity by layer, a line per pair, or the mean of many; beside chance."""
    rows, layers = found.table.to_dict("records"), [short_name(site) for site in found.sites]
    pairs = list(dict.fromkeys((row["a"], row["b"]) for row in rows))

    def mean(column: str, pair: tuple[str, str] | None = None) -> list[float]:
        kept = [row for row in rows if pair is None or (row["a"], row["b"]) == pair]
        return [float(np.mean([row[column] for row in kept if row["site"] == site])) for site in found.sites]

    curves = {f"{a} and {b}": (layers, mean("value", (a, b))) for a, b in pairs}
    if len(pairs) > LINES:
        curves = {"mean of all pairs": (layers, mean("value"))}
    drawn = figures.lines(
        curves, title="Similarity by layer", x_title="layer", y_title=found.measure.name, markers=True,
    )  # fmt: skip
    for column, label in CHANCE.items() if found.excesses else ():
        drawn.add_scatter(x=layers, y=mean(column), name=label, line={"dash": "dot", "color": figures.GREY})
    return drawn


def _claim(found: SimilarityMap, site: str) -> Claim:
    """That the networks are more alike than by chance."""
    rows = found.table[found.table["site"] == site]
    sign = 1 if found.measure.higher_is_more_alike else -1
    count = sum(map(bool, rows["beyond"] & (sign * rows["excess"] > 0)))
    share = count / len(rows)
    return Claim(
        "The networks are more alike inside than by chance",
        graded(count == len(rows), share > 0.5),
        f"{found.measure.summary[:1].upper()}{found.measure.summary[1:]} at {site}",
        f"{count} of {len(rows)} pairs beyond chance; mean {rows['value'].mean():.3f}",
        "supported when every pair is beyond all draws of the null, in part when most are",
        f"{found.null}: mean {rows['null'].mean():.3f}, at most {rows['high'].max():.3f}",
        figure=f"map {site}" if len(found.at()[1]) > 2 else "by layer" if len(found.sites) > 1 else None,
    )
