"""Rows of the claims that rest on the twins of the evolved pictures: recipes compared seed by seed, at each choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from answers.spans import half_width
from answers.tables import DRAWN, MEASURED

if TYPE_CHECKING:
    from claims import Claims

COMMAND = "python examples/long_runs/evidence.py skull_twins"
THRESHOLDS = (1e-5, 1e-4, 1e-3)
FACTORS = (2.0, 1.5)  # of a late drop; the first is the criterion's
PUBLISHED_LR = 3e-3
LIKE = (0.8, 0.7, 0.9)  # likeness to the picture, likewise
# what a network is known by in every table
KEY = ["run", "picture", "variant", "width", "weight_decay", "steps", "seed"]
RUNS = {  # variant and width: runs that have it
    ("plain", 1): "skull_64, skull_64_seed3, skull_64_decays",
    ("plain", 2): "skull_64_width2, skull_64_width2_seeds, skull_64_width2_seed3, skull_64_width2_decay4, "
    "skull_64_width2_decay4_seed3",
    ("plain", 4): "skull_64_width4, skull_64_width4_more", ("relu", 1): "skull_64_relu",
    ("gaussian-adjusted", 4): "skull_64_gaussian, skull_64_gaussian_more",
}  # fmt: skip


def tables() -> dict[str, pd.DataFrame]:
    """The measured tables by name: twins, units, layers, losses; but for twins without networks that draw nothing."""
    found = {name: pd.read_csv(MEASURED / f"skull_{name}.csv") for name in ("twins", "units", "layers", "losses")}
    failed = found["twins"].loc[found["twins"]["mse"] >= DRAWN, KEY]
    for name in ("units", "layers", "losses"):
        joined = found[name].merge(failed, how="left", on=KEY, indicator=True)
        found[name] = joined[joined["_merge"] == "left_only"].drop(columns="_merge")
    return found


def cell(table: pd.DataFrame, variant: str = "plain", width: float = 1, decay: float | None = None,
         picture: str = "skull", batch: bool = False) -> pd.DataFrame:  # fmt: skip
    """The longest runs of one recipe, a row per seed; ``batch``: those trained on random pixels.

    Networks that did not learn to draw the picture are left out: ``attrs["failed"]`` counts them.
    """
    own = table[(table["picture"] == picture) & (table["variant"] == variant) & (table["width"] == width)]
    own = own if decay is None else own[np.isclose(own["weight_decay"].astype(float), decay, rtol=1e-6, atol=0)]
    if "run" in own:
        own = own[own["run"].str.contains("random_pixels") == batch]
    own = own[own["steps"] == own["steps"].max()] if "steps" in own else own
    found = (drawn(own) if "mse" in own else own).sort_values("seed")
    found.attrs["failed"] = len(own) - len(found)
    return found


def drawn(twins: pd.DataFrame) -> pd.DataFrame:
    """All but the networks that did not learn to draw their picture."""
    return twins[~(twins["mse"] >= DRAWN)]


def caveats(*cells: pd.DataFrame) -> str:
    """What sets some recipes apart, in words: networks that draw nothing, another learning rate; empty if nothing does."""
    failed = sum(one.attrs["failed"] for one in cells)
    said = [f"{failed} network{'s' * (failed > 1)} that did not draw the picture in the end left out"] if failed else []
    for one in cells:
        if not np.allclose(one["lr"], PUBLISHED_LR):
            variant, width, lr = one.iloc[0][["variant", "width", "lr"]]
            said.append(f"learning rate {lr:g} in place of {PUBLISHED_LR:g} for {variant} networks of width {width:g}")
    return "; ".join(said)


def interval(values: pd.Series, digits: int = 0) -> str:
    """The mean with its 95% interval over seeds by Student's t; the number itself for one seed."""
    mean, n = values.mean(), len(values)
    if n == 1:
        return f"{mean:.{digits}f}"
    half = half_width(values)
    return f"{mean:.{digits}f} [{mean - half:.{digits}f}, {mean + half:.{digits}f}]"


def size(*cells: pd.DataFrame) -> dict[str, float]:
    """What ran: the fewest steps and seeds of some recipes."""
    return {"steps": int(min(c["steps"].min() for c in cells)), "seeds": min(c["seed"].nunique() for c in cells)}


def paired(one: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The seeds that two recipes share, in one order."""
    both = sorted(set(one["seed"]) & set(other["seed"]))
    return tuple(c.set_index("seed").loc[both].reset_index() for c in (one, other))  # type: ignore[return-value]


class Rows:
    """Answers from the tables.

    Args:
        claims: to be answered.
        found: of `tables`.
    """

    def __init__(self, claims: Claims, found: Mapping[str, pd.DataFrame]):
        self.claims, self.tables, self.twins = claims, found, found["twins"]
        self.evolved = self.twins[(self.twins["variant"] == "evolved") & (self.twins["picture"] == "skull")].iloc[0]
        self.published = self.twins[self.twins["variant"] == "published SGD"].set_index("picture")

    def not_run(self, name: str, runs: str) -> None:
        """Say which runs the answer waits for."""
        note = f"Waits for the runs {runs} (make evidence; minutes of a core in long_runs/evidence/picbreeder.toml)"
        self.claims.answer(name, "", holds=None, note=note, command=COMMAND)

    def fewer(self, name: str, less: pd.DataFrame, more: pd.DataFrame, words: tuple[str, str], runs: str,
              share: float = 0.9) -> None:  # fmt: skip
        """Units in use of two recipes, seed by seed, at each threshold: the first has at most a share of the second's."""
        one, other = paired(less, more)
        if one.empty:
            self.not_run(name, runs)
            return
        here, holds = [], {}
        for threshold in THRESHOLDS:
            column = f"used_{threshold:g}"
            here.append(
                f"{interval(one[column])} {words[0]}, {interval(other[column])} {words[1]} (threshold {threshold:g})"
            )
            holds[f"threshold {threshold:g}"] = bool((one[column] <= share * other[column]).all())
        note = f"{len(one)} seeds; of {one['total'].iloc[0]:.0f} and {other['total'].iloc[0]:.0f} units"
        note = "; ".join(filter(None, [note, caveats(less, more)]))
        self.claims.answer(name, "; ".join(here), holds=holds, note=note, command=COMMAND, ran=size(one, other))

    def at_most(self, name: str, own: pd.DataFrame, runs: str) -> None:
        """Units in use of a recipe against the evolved network's, a quarter more at most."""
        if own.empty:
            self.not_run(name, runs)
            return
        here, holds = [], {}
        for threshold in THRESHOLDS:
            column = f"used_{threshold:g}"
            here.append(f"{interval(own[column])}, evolved {self.evolved[column]} (threshold {threshold:g})")
            holds[f"threshold {threshold:g}"] = bool((own[column] <= 1.25 * self.evolved[column]).all())
        note = "; ".join(filter(None, [f"Of {own['total'].iloc[0]:.0f} units", caveats(own)]))
        self.claims.answer(name, "; ".join(here), holds=holds, note=note, command=COMMAND, ran=size(own))

    def nearer(self, name: str, less: pd.DataFrame, more: pd.DataFrame, words: tuple[str, str], runs: str) -> None:
        """Antisymmetric shares of random columns, at a step of 1 and at matched effect: the first is lower, intervals apart."""
        one, other = paired(less, more)
        if one.empty:
            self.not_run(name, runs)
            return
        here, holds = [], {}
        for choice, kind in (("a step of 1", "random"), ("matched effect", "random_matched")):
            column = f"{kind}_antisymmetric_share"
            here.append(f"{interval(one[column], 2)} {words[0]}, {interval(other[column], 2)} {words[1]} at {choice}")
            holds[choice] = bool((one[f"{column}_high"] < other[f"{column}_low"]).all())
        here.append(f"evolved {self.evolved['random_antisymmetric_share']:.2f}")
        note = caveats(less, more)
        self.claims.answer(name, "; ".join(here), holds=holds, note=note, command=COMMAND, ran=size(one, other))

    def drops(self, name: str, own: pd.DataFrame, most: bool, runs: str) -> None:
        """Late drops of the loss, by each factor: of every network, or of most."""
        own = own.dropna(subset=["drop_factor"]) if "drop_factor" in own else own.iloc[:0]
        if own.empty:
            self.not_run(name, runs)
            return
        fell = {f: (own["drop_factor"] >= f) & (own["drop_p_value"] <= 0.01) for f in FACTORS}
        holds = {f"a factor of {f:g}": bool(x.mean() > 0.5 if most else x.all()) for f, x in fell.items()}
        largest = own.loc[own["drop_factor"].idxmax()]
        here = "; ".join(
            f"{x.sum()} of {len(own)} networks drop by {f:g} or more with p <= 0.01" for f, x in fell.items()
        )
        here += f"; the largest by {largest['drop_factor']:.2f} (p = {largest['drop_p_value']:.3f}), between steps "
        here += f"{largest['drop_low']:,.0f} and {largest['drop_high']:,.0f}"
        self.claims.answer(name, here, holds=holds, command=COMMAND, ran=size(own))

    def first_like(self, own: pd.DataFrame, least: float) -> pd.Series:
        """The first layer, counted from 1, with a unit of this likeness to the picture, by network; infinite where none is."""
        units = own[own["basis"] == "units"]
        seen = units[units["largest"] >= least].groupby("seed", dropna=False)["layer"].min() + 1
        return seen.reindex(units["seed"].unique()).fillna(np.inf)

    def told(self, first: pd.Series) -> str:
        """Layers in words."""
        return ", ".join("no layer" if np.isinf(layer) else f"layer {layer:.0f}" for layer in first)

    def bases(self, own: pd.DataFrame) -> pd.DataFrame:
        """Shares of symmetric features over all layers, by network and basis: of the variance and of the number."""
        grouped = own.groupby(["picture", "seed", "basis"], dropna=False)
        return pd.DataFrame(
            {
                "variance": grouped["symmetric_variance"].mean(),
                "number": grouped.apply(
                    lambda g: (g["symmetric_share"] * g["features"]).sum() / g["features"].sum(), include_groups=False
                ),
            }
        )
