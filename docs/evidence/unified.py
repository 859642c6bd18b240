"""Tables and pictures of regularisation_and_width.md, from examples/measured: ``python docs/evidence/unified.py``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

matplotlib.use("svg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[2]
PAGE = Path(__file__).with_name("regularisation_and_width.md")
IMAGES = ROOT / "docs" / "images"
sys.path.insert(0, str(ROOT / "examples"))

from answers import picbreeder_vs_sgd, twin_rows  # noqa: E402
from claims import Claims  # noqa: E402

BLUE, RED, GREEN, ORANGE, GREY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#8a939d"
GENERALISES = 0.99  # test accuracy
LEAST = 3  # networks a side, below which no interval is given
STYLE = {"svg.hashsalt": "interp", "svg.fonttype": "none", "font.size": 8, "path.simplify_threshold": 1.0}
OF_TASKS = {  # question: (what, run and settings of the one, of the other)
    "decay": (
        ("p = 53, 60% trained on, 0.3 against 0.03", ("decay0.6", 0.3), ("decay0.6", 0.03)),
        ("p = 53, 80%, 0.3 against 0", ("decay0.8", 0.3), ("decay0.8", 0.0)),
        ("p = 53, 95%, 0.3 against 0", ("decay0.95", 0.3), ("decay0.95", 0.0)),
        ("p = 53, 95%, width 16, 0.3 against 0", ("width16", 0.3), ("width16", 0.0)),
        ("p = 53, 95%, width 48, 0.3 against 0", ("width48", 0.3), ("width48", 0.0)),
        ("p = 53, 95%, width 192, 0.3 against 0", ("width192", 0.3), ("width192", 0.0)),
        ("p = 113, 80%, 0.3 against 0", ("p113", 0.3), ("p113", 0.0)),
        ("parity, 1,000 examples, 0.01 against 0", ("parity_decay1000", 0.01), ("parity_decay1000", 0.0)),
        ("parity, width 32, 0.01 against 0", ("parity_width32", 0.01), ("parity_width32", 0.0)),
        ("parity, width 512, 0.01 against 0", ("parity_width512", 0.01), ("parity_width512", 0.0)),
    ),
    "width": (
        ("p = 53, no decay, 192 against 16", ("width192", 0.0), ("width16", 0.0)),
        ("p = 53, no decay, 192 against 48", ("width192", 0.0), ("width48", 0.0)),
        ("p = 53, decay 0.3, 192 against 16", ("width192", 0.3), ("width16", 0.3)),
        ("p = 53, decay 0.3, 192 against 48", ("width192", 0.3), ("width48", 0.3)),
        ("parity, no decay, 512 against 32", ("parity_width512", 0.0), ("parity_width32", 0.0)),
        ("parity, decay 0.01, 512 against 32", ("parity_width512", 0.01), ("parity_width32", 0.01)),
    ),
}


def networks(table: pd.DataFrame, run: str, decay: float, least: float = 0.0) -> pd.DataFrame:
    """The networks of a cell at their last step that have a test accuracy of at least so much."""
    own = table[table["run"].isin((run, f"{run}_more")) & (table["weight_decay"] == decay)]
    last = own[own["step"] == own.groupby("seed")["step"].transform("max")]
    return last[last["test_accuracy"] >= least]


def difference(one: pd.Series, other: pd.Series) -> tuple[float, float, float] | None:
    """Difference of two means with its 95% interval by Welch's t; None below three values a side."""
    if min(len(one), len(other)) < LEAST:
        return None
    found = ttest_ind(one, other, equal_var=False).confidence_interval()
    return float(one.mean() - other.mean()), float(found.low), float(found.high)


def effects(question: str, least: float = GENERALISES) -> pd.DataFrame:
    """Factors that a random move touches: differences of cells, at a step of 0.3 and at matched effect.

    Args:
        question: decay or width.
        least: test accuracy of the networks that count.

    Returns:
        A row per comparison: ``what``, ``n`` and ``n_other`` networks, ``one`` and ``other`` means, and for ``step`` and
        ``matched`` the difference with ``low`` and ``high``.
    """
    table = pd.read_csv(ROOT / "examples" / "measured" / "fractured_or_unified.csv")
    rows = []
    for what, first, second in OF_TASKS[question]:
        one, other = networks(table, *first, least), networks(table, *second, least)
        row: dict[str, object] = {"what": what, "n": len(one), "n_other": len(other)}
        row |= {"one": one["input_factors"].mean(), "other": other["input_factors"].mean()}
        for choice, column in (("step", "input_factors"), ("matched", "matched_input_factors")):
            found = difference(one[column], other[column]) or (np.nan,) * 3
            row |= dict(zip((choice, f"{choice}_low", f"{choice}_high"), found, strict=True))
        rows.append(row)
    return pd.DataFrame(rows)


def verdict(row: pd.Series) -> str:
    """What the two intervals say: fewer or more where both lie on one side of 0."""
    if np.isnan(row["step"]):
        return "too few generalise"
    if row["step_high"] < 0 and row["matched_high"] < 0:
        return "fewer"
    if row["step_low"] > 0 and row["matched_low"] > 0:
        return "more"
    return "undecided"


def lines(found: pd.DataFrame) -> list[str]:
    """Rows of a Markdown table."""
    told = []
    for _, row in found.iterrows():
        cells = [str(row["what"]), f"{row['n']} and {row['n_other']}"]
        if np.isnan(row["step"]):
            cells += ["", "", ""]
        else:
            cells.append(f"{row['one']:.1f} and {row['other']:.1f}")
            cells += [f"{row[c]:+.1f} [{row[f'{c}_low']:+.1f}, {row[f'{c}_high']:+.1f}]" for c in ("step", "matched")]
        told.append(f"| {' | '.join([*cells, verdict(row)])} |")
    return told


def twin_lines() -> list[str]:
    """Rows of the table of networks that draw the skull and the butterfly, a recipe a row, means over seeds."""
    table = twin_rows.drawn(twin_rows.tables()["twins"])
    keys = ["picture", "variant", "width", "weight_decay", "size", "batch", "steps"]
    order = {
        name: i for i, name in enumerate(("evolved", "published SGD", "random", "plain", "gaussian-adjusted", "relu"))
    }
    told = []
    groups = sorted(table.groupby(keys, dropna=False), key=lambda g: (g[0][0] != "skull", order[g[0][1]], g[0][2:]))  # type: ignore[index]
    for values, own in groups:
        key = dict(zip(keys, values, strict=True))
        cells = [f"{key['picture']}, {_recipe(key)}", str(len(own))]
        cells += [twin_rows.interval(own[f"used_{threshold:g}"]) for threshold in twin_rows.THRESHOLDS]
        cells += [f"{own['total'].iloc[0]:.0f}", twin_rows.interval(100 * own["symmetric_share"]) + "%"]
        cells += [twin_rows.interval(own["effective_rank"], 1)]
        cells += [twin_rows.interval(own[c], 2) for c in ("random_antisymmetric_share", "random_change_rank_share")]
        cells += [twin_rows.interval(100 * own["random_dead_0.0001"]) + "%"]
        told.append(f"| {' | '.join(cells)} |")
    return told


def _recipe(key: dict[str, object]) -> str:
    if key["variant"] in ("evolved", "published SGD", "random"):
        return str(key["variant"])
    pixels = f"{key['size']:.0f} pixels" if np.isnan(float(str(key["batch"]))) else f"{key['batch']:,.0f} random pixels"  # type: ignore[str-format]
    words = f"{key['variant']}, width {key['width']:g}, decay {key['weight_decay']:g}, {pixels}"  # type: ignore[str-format]
    return f"{words}, {key['steps']:,.0f} steps"  # type: ignore[str-format]


def draw_effects(target: Path) -> None:
    """The differences of both questions with their intervals."""
    figure, panels = plt.subplots(1, 2, figsize=(8.6, 2.6), layout="constrained")
    for axes, question in zip(panels, OF_TASKS, strict=True):
        found = effects(question).dropna(subset=["step"]).reset_index(drop=True)
        for shift, choice, colour in ((-0.12, "step", BLUE), (0.12, "matched", ORANGE)):
            spread = [found[choice] - found[f"{choice}_low"], found[f"{choice}_high"] - found[choice]]
            label = {"step": "a step of 0.3", "matched": "matched effect"}[choice]
            axes.errorbar(
                found[choice], found.index + shift, xerr=spread, fmt="o", ms=3, lw=1, color=colour, label=label
            )
        axes.axvline(0, color=GREY, lw=0.8)
        axes.set(yticks=found.index, yticklabels=found["what"], xlabel="difference of factors touched")
        axes.set_title({"decay": "With weight decay", "width": "With width"}[question])
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
    panels[1].legend(frameon=False, loc="lower right")
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def draw_units(target: Path) -> None:
    """Units in use against the threshold, and likeness to the picture by layer, a curve a recipe."""
    tables = twin_rows.tables()
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 2.6), layout="constrained")
    palette = {"evolved": BLUE, "published SGD": RED, "random": GREY}
    twins = tables["units"].query("picture == 'skull' and variant == 'plain' and width == 1")
    decays = dict(zip(sorted(twins["weight_decay"].unique()), (ORANGE, GREEN, "#CC79A7", "#56B4E9"), strict=False))
    for name, axes, value in (("units", left, "used"), ("layers", right, "largest")):
        table = tables[name].query("picture == 'skull'")
        table = table[(table["activation"] == "all") if name == "units" else (table["basis"] == "units")]
        x = "threshold" if name == "units" else "layer"
        curves = [
            (kind, table[table["variant"] == kind], colour) for kind, colour in palette.items()
        ]  # each its own picture
        curves += [(f"twins, decay {d:g}", twin_rows.cell(table, decay=d), colour) for d, colour in decays.items()]
        for label, own, colour in curves:
            mean = own.groupby(x)[value].agg(["mean", "min", "max"])
            places = mean.index + (name == "layers")
            axes.plot(places, mean["mean"], color=colour, lw=1.2, marker="o", ms=2.5, label=label)
            axes.fill_between(places, mean["min"], mean["max"], color=colour, alpha=0.15, lw=0)
    left.set(xscale="log", xlabel="threshold: mean squared change of the picture", ylabel="units in use", ylim=(0, 270))
    right.set(xlabel="layer", ylabel="largest |correlation| with the picture", ylim=(0, 1.03))
    right.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


OF_SOURCE = (
    "units_decay", "units_decay_strong", "units_decay_pixels", "units_decay_butterfly", "units_wider", "units_wider_evolved",
    "units_width4", "units_gaussian", "gaussians_all", "gaussians_preferred", "units_relu", "sweeps_decay", "sweeps_improve",
    "dead_sweeps",
    "skull_features", "symmetric_gaussian", "components_meaningful", "singular_meaningful", "late_drop", "late_drop_twins",
)  # fmt: skip


def claim_lines() -> list[str]:
    """Rows of the table of the source's claims on regularisation and width: where, what came out, verdict."""
    claims = Claims("picbreeder_vs_sgd")
    picbreeder_vs_sgd.answer(claims)
    told = []
    for name in OF_SOURCE:
        claim, found = claims.claims[name], claims.answers[name]
        here = ". ".join(part for part in (found.here, found.note) if part)
        told.append(f"| {claim['claim']} | {claim['where']} | {here} | **{found.verdict}** |".replace("\n", " "))
    return told


def basis_lines() -> list[str]:
    """Rows of the table of bases: of each network the share of the variance that symmetric features hold."""
    layers = twin_rows.tables()["layers"]
    layers = layers[~(layers["steps"] < layers["steps"].max())]  # of others than twins there are no steps
    layers = layers.assign(pixels=twin_rows.on_random_pixels(layers))
    recipe = ["picture", "variant", "width", "weight_decay", "pixels"]
    shares = layers.groupby([*recipe, "basis"], dropna=False)["symmetric_variance"].mean().unstack("basis")
    told = []
    for (picture, kind, width, decay, pixels), row in shares.iterrows():  # type: ignore[misc]
        trained = (
            f", width {width:g}, decay {decay:g}{', random pixels' * pixels}"
            if kind not in ("evolved", "published SGD", "random")
            else ""
        )
        cells = " | ".join(f"{row[basis]:.0%}" for basis in ("units", "components", "singular"))
        told.append(f"| {picture}, {kind}{trained} | {cells} |")
    return told


def blocks() -> dict[str, str]:
    """What stands between ``<!-- name -->`` and ``<!-- end -->`` on the page, by name."""
    head = "| | networks | factors touched | difference, a step of 0.3 | at matched effect | |"
    head += "\n| --- | --- | --- | --- | --- | --- |"
    every = [effects(question, 0.0) for question in OF_TASKS]
    of_twins = ("", "networks", "in use at 1e-5", "at 1e-4", "at 1e-3", "of", "symmetric", "effective rank", "antisymmetric",
                "rank of changes", "dead")  # fmt: skip
    tables = {
        "decay": [head, *lines(effects("decay"))],
        "width": [head, *lines(effects("width"))],
        "all": [head, *lines(pd.concat(every))],
        "twins": [f"| {' | '.join(of_twins)} |", "| --- " * len(of_twins) + "|", *twin_lines()],
        "bases": [
            "| | units | principal components | singular directions |",
            "| --- | --- | --- | --- |",
            *basis_lines(),
        ],
        "claims": ["| claim | where | here | verdict |", "| --- | --- | --- | --- |", *claim_lines()],
    }
    return {name: "\n".join(told) for name, told in tables.items()}


def filled(page: str) -> str:
    """A page with its blocks as the tables say now.

    Raises:
        ValueError: a block that is not there.
    """
    for name, text in blocks().items():
        block = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
        if not block.search(page):
            raise ValueError(f"the page has no block {name}")
        page = block.sub(lambda found, text=text: f"{found[1]}\n{text}\n{found[2]}", page)
    return page


def make() -> None:
    """Both pictures, and the page's tables."""
    with plt.rc_context(STYLE):
        draw_effects(IMAGES / "unified_effects.svg")
        draw_units(IMAGES / "unified_units.svg")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf8")), encoding="utf8")


if __name__ == "__main__":
    make()
