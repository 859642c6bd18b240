"""The analysis `feature_maps`: the images that the units of an image network draw, and how many units are distinct."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
import torch

from interp.pictures import Picture, from_signed, sheet
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.subject import Subject
from probes import feature_maps as fm
from probes.claims.pictures import compared_claims, unit_claims

COMPONENTS = 8


@analysis(
    "feature_maps",
    needs=("image",),
    summary="What every unit draws, and how many of them differ",
    order=5,
    question="represents",
)
def feature_maps(subject: Subject, *, size: int = fm.SIZE, tolerance: float = fm.ACTIVE) -> Result:
    """Numbers of active, distinct and symmetric units, effective rank of their maps, and all maps as one picture.

    Kumar et al. 2025, Questioning Representational Optimism in Deep Learning: The Fractured Entangled Representation
    Hypothesis, https://arxiv.org/abs/2505.11581.

    Args:
        subject: an image network (HookedCPPN).
        size: pixels along each edge of a map.
        tolerance: standard deviation over the image above which a unit is active.

    Returns:
        Counts over the network, with copies (padding of the layered form) counted separately; tables of units and layers.
    """
    model = fm.require_cppn(subject)
    found = fm.of(model, size, tolerance)
    result = Result(_metrics(found), {"units": _units(found), "layers": _layers(found)}, lead="picture")
    result.pictures = {
        "picture": model.draw(256),
        "feature maps": found.sheet(),
        "principal components": _component_sheet(found),
    }
    result.figures["layers"] = _by_layer(result.tables["layers"])
    result.figures["units"] = _interactive(found)
    m = result.metrics
    result.claims = unit_claims(m["symmetric_share"], m["active_own_units"], m["distinct_own_units"], "feature maps")
    share = "none" if m["symmetric_share"] is None else f"{m['symmetric_share']:.0%}"
    result.headline = (
        f"{m['active_units']} of {m['total_units']} units are active, {m['distinct_units']} of them distinct; without the "
        f"{m['active_copies']} that only carry an earlier value, {m['active_own_units']} are active, {share} of them "
        f"symmetric, with an effective rank of {m['effective_rank']:.1f}"
    )
    result.notes.append(
        f"Active: standard deviation over the image above {tolerance}. Distinct: chosen greedily in layer order, |correlation| "
        f"below {fm.DISTINCT} with every unit chosen before. Symmetric: correlation above {fm.SYMMETRIC} with the left-right or "
        "the up-down reflection. Copies (a cache slot that reads one value, times 1) are padding of the layered form: active "
        "and distinct count them, symmetry and rank do not. Rows of a sheet are layers; = marks a copy, - an inactive unit."
    )
    return result


def _metrics(found: fm.FeatureMaps) -> dict[str, int | float | None]:
    active, own = found.active, found.own
    symmetric = found.symmetric & own
    counted = fm.distinct(found.maps[own].flatten(1)) if bool(own.any()) else own[own]
    return {
        "active_units": int(active.sum()), "distinct_units": int(found.distinct.sum()),
        "copy_units": int(found.copies.sum()), "total_units": active.numel(),
        "active_copies": int((active & found.copies).sum()), "active_own_units": int(own.sum()),
        "distinct_own_units": int(counted.sum()),
        "symmetric_share": float(symmetric.sum() / own.sum()) if bool(own.any()) else None,
        "effective_rank": found.rank(), "effective_rank_with_copies": found.rank(active),
    }  # fmt: skip


def _units(found: fm.FeatureMaps) -> pd.DataFrame:
    layers, slots = found.copies.shape
    flat = {
        "standard deviation": found.deviation, "active": found.active, "copy": found.copies,
        "distinct": found.distinct, "symmetric": found.symmetric,
        "left-right": found.reflections[..., 0], "up-down": found.reflections[..., 1],
    }  # fmt: skip
    return pd.DataFrame(
        {
            "layer": [i for i in range(layers) for _ in range(slots)], "slot": list(range(slots)) * layers,
            "activation": list(found.kinds) * layers, **{name: t.flatten().cpu().numpy() for name, t in flat.items()},
        }
    )  # fmt: skip


def _layers(found: fm.FeatureMaps) -> pd.DataFrame:
    rows = []
    for i in range(len(found.maps)):
        layer = torch.zeros_like(found.copies)
        layer[i] = True
        own = int((found.own & layer).sum())
        rows.append(
            {"layer": i, "active": int(found.active[i].sum()), "copies": int((found.active & found.copies)[i].sum()),
             "new": int(found.distinct[i].sum()), "own": own,
             "symmetric share": float((found.symmetric & found.own)[i].sum() / own) if own else float("nan"),
             "effective rank": found.rank(found.own & layer), "effective rank with copies": found.rank(found.active & layer)}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _by_layer(layers: pd.DataFrame) -> go.Figure:
    curves = {name: (layers["layer"], layers[name]) for name in ("active", "own", "new", "effective rank")}
    return figures.lines(
        curves,
        title="Units by layer: active, of these not copies (own), not in an earlier layer (new)",
        x_title="layer",
        y_title="units",
        markers=True,
    )


def _component_sheet(found: fm.FeatureMaps) -> Picture:
    tiles, labels = [], []
    for i in range(len(found.maps)):
        maps, share = found.components(i, COMPONENTS)
        scale = maps.abs().amax((-2, -1), keepdim=True).clamp_min(1e-12)
        tiles.append([Picture(t) for t in from_signed(maps / scale)])
        labels.append([f"{s:.0%}" for s in share.tolist()])
    return sheet(tiles, labels, rows=[str(i) for i in range(len(tiles))])


def _interactive(found: fm.FeatureMaps) -> go.Figure:
    """All maps as one image, with each unit's numbers on hover."""
    step = max(1, found.maps.shape[-1] // 32)
    colours = from_signed(found.maps[..., ::step, ::step])
    layers, slots = found.copies.shape
    board = sheet([[Picture(t) for t in row] for row in colours])
    texts = [
        f"layer {i}, slot {j}: {found.kinds[j]}{', a copy' if found.copies[i, j] else ''}<br>"
        f"deviation {found.deviation[i, j]:.3g}, left-right {found.reflections[i, j, 0]:.2f}, "
        f"up-down {found.reflections[i, j, 1]:.2f}"
        for i in range(layers)
        for j in range(slots)
    ]  # fmt: skip
    x = [j for _ in range(layers) for j in range(slots)]
    y = [i for i in range(layers) for _ in range(slots)]
    figure = go.Figure(
        go.Scatter(x=x, y=y, mode="markers", marker={"size": 22, "opacity": 0}, text=texts, hoverinfo="text")
    )
    figures.style(figure, "Feature maps (hover for each unit's numbers)", "slot", "layer", 90 + 44 * layers)
    figure.add_layout_image(
        source=board.data_uri(),
        xref="x",
        yref="y",
        x=-0.5,
        y=-0.5,
        sizex=slots,
        sizey=layers,
        sizing="stretch",
        layer="below",
    )
    figure.update_xaxes(range=[-0.5, slots - 0.5], showgrid=False, zeroline=False)
    return figure.update_yaxes(range=[layers - 0.5, -0.5], showgrid=False, zeroline=False, dtick=1)


@feature_maps.compares
def compared(results: Mapping[str, Result]) -> Result:
    """Counts, symmetry and rank of several networks, each compared with the first.

    Args:
        results: of the analysis, by network.

    Returns:
        A row per network.
    """
    columns = (
        "active_units", "distinct_units", "copy_units", "total_units", "active_own_units", "distinct_own_units",
        "symmetric_share", "effective_rank",
    )  # fmt: skip
    table = pd.DataFrame([{"network": n, **{c: r.metrics[c] for c in columns}} for n, r in results.items()])
    (first, base), *others = [(n, r.metrics) for n, r in results.items()]
    parts = [
        f"{name} has {m['distinct_units']} distinct units ({first}: {base['distinct_units']}), maps of effective rank "
        f"{m['effective_rank']:.1f} ({base['effective_rank']:.1f}), and {_percent(m['symmetric_share'])} symmetric units "
        f"({_percent(base['symmetric_share'])})"
        for name, m in others
    ]
    return Result(
        tables={"units": table},
        headline="; ".join(parts),
        claims=compared_claims(
            {n: (r.metrics["symmetric_share"], r.metrics["active_own_units"]) for n, r in results.items()}
        ),
        notes=[
            "active_units and distinct_units count every slot, copies included; active_own_units, distinct_own_units, "
            "symmetric_share and effective_rank exclude copies, which only the layered form of an evolved network has. "
            "These are exact counts of one network each: they have no interval, and say nothing about other training seeds."
        ],
    )


def _percent(share: float | None) -> str:
    return "no" if share is None else f"{share:.0%}"
