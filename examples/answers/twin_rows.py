"""Rows of the claims that rest on the twins of the evolved pictures: recipes compared seed by seed, at each choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from probes.late_drops import late_drop

from answers.intervals import mean, said
from answers.tables import DRAWN, MEASURED
from answers.waiting import waits

if TYPE_CHECKING:
    from claims import Claims

COMMAND = "python examples/long_runs/evidence.py skull_twins"
THRESHOLDS = (1e-5, 1e-4, 1e-3)
FACTORS = (2.0, 1.5)  # of a late drop; the first is the criterion's
PUBLISHED_LR = 3e-3
EDGE = "pixels an edge"
FACES = (5, 8)  # layers, counted from 1: "around layer 6/7"
LIKE = (0.8, 0.7, 0.9)  # likeness to the picture, likewise
# what a network is known by in every table
KEY = ["run", "picture", "variant", "width", "weight_decay", "steps", "seed"]
RUNS = {  # variant and width: runs that have it
    ("plain", 1): "skull_64, skull_64_seed3, skull_64_decays, skull_64_decay4_seed3",
    ("plain", 2): "skull_64_width2, skull_64_width2_seeds, skull_64_width2_seed3, skull_64_width2_decay4, "
    "skull_64_width2_decay4_seed3",
    ("plain", 4): "skull_64_width4, skull_64_width4_more, skull_64_width4_seed3", ("relu", 1): "skull_64_relu",
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
        own = own[on_random_pixels(own) == batch]
    own = own[own["steps"] == own["steps"].max()] if "steps" in own else own
    found = (drawn(own) if "mse" in own else own).sort_values("seed")
    found.attrs["failed"] = len(own) - len(found)
    return found


def on_random_pixels(table: pd.DataFrame) -> pd.Series:
    """Whether each row's network was trained on random pixels of the whole picture."""
    return table["run"].str.contains("random_pixels")


def drawn(twins: pd.DataFrame) -> pd.DataFrame:
    """All but the networks that did not learn to draw their picture."""
    return twins[~(twins["mse"] >= DRAWN)]


def caveats(*cells: pd.DataFrame) -> str:
    """What sets some recipes apart, in words: networks that draw nothing, another learning rate; empty if nothing does."""
    cells = tuple({(*one[KEY].itertuples(index=False, name=None),): one for one in cells}.values())  # each once
    failed = sum(one.attrs["failed"] for one in cells)
    told = [f"{failed} network{'s' * (failed > 1)} that did not draw the picture in the end left out"] if failed else []
    for one in cells:
        if not np.allclose(one["lr"], PUBLISHED_LR):
            variant, width, lr = one.iloc[0][["variant", "width", "lr"]]
            told.append(f"learning rate {lr:g} in place of {PUBLISHED_LR:g} for {variant} networks of width {width:g}")
    return "; ".join(told)


def interval(values: pd.Series, digits: int = 0) -> str:
    """The mean with its 95% interval over seeds by Student's t; the number itself for one seed."""
    return f"{values.iloc[0]:.{digits}f}" if len(values) == 1 else said(mean(values), f"{{:.{digits}f}}")


def size(*cells: pd.DataFrame) -> dict[str, float]:
    """What ran: the fewest steps, seeds and pixels along an edge of some recipes."""
    return {
        "steps": int(min(c["steps"].min() for c in cells)), "seeds": min(c["seed"].nunique() for c in cells),
        EDGE: int(min(c["size"].min() for c in cells)),
    }  # fmt: skip


def paired(one: pd.DataFrame, other: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The seeds that two recipes share, in one order."""
    both = sorted(set(one["seed"]) & set(other["seed"]))
    return tuple(c.set_index("seed").loc[both].reset_index() for c in (one, other))  # type: ignore[return-value]


Pairs = Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]  # two recipes by a choice that the source leaves open


def shared(pairs: Pairs) -> Pairs:
    """The pairs that share seeds, each in one order of seeds."""
    found = {choice: paired(*pair) for choice, pair in pairs.items()}
    return {choice: pair for choice, pair in found.items() if not pair[0].empty}


def joined(*words: str) -> str:
    """Words that are not empty, as one choice."""
    return ", ".join(filter(None, words))


class Rows:
    """Answers from the tables.

    Args:
        claims: to be answered.
        found: of `tables`.
    """

    def __init__(self, claims: Claims, found: Mapping[str, pd.DataFrame]):
        self.claims, self.tables, self.twins = claims, found, found["twins"]
        self.evolved = self.twins[(self.twins["variant"] == "evolved") & (self.twins["picture"] == "skull")].iloc[0]
        layers = found["layers"]
        self.like_evolved = self.faces(layers[(layers["variant"] == "evolved") & (layers["picture"] == "skull")])
        self.published = self.twins[self.twins["variant"] == "published SGD"].set_index("picture")

    def not_run(self, name: str, runs: str) -> None:
        """Say which runs the answer waits for: those that are not in the tables."""
        asked = runs.split(", ")
        missing = [run for run in asked if run not in set(self.twins["run"])] or asked
        self.claims.answer(name, "", holds=None, note=waits(*missing), command=COMMAND)

    def fewer(self, name: str, pairs: Pairs, words: tuple[str, str], runs: str, share: float = 0.9) -> None:
        """Units in use of two recipes, seed by seed, by choice and threshold: the first has at most a share of the second's."""
        found = shared(pairs)
        if not found:
            self.not_run(name, runs)
            return
        here, holds, totals = [], {}, []
        for choice, (one, other) in found.items():
            for threshold in THRESHOLDS:
                column = f"used_{threshold:g}"
                told = f"{interval(one[column])} {words[0]}, {interval(other[column])} {words[1]}"
                here.append(f"{told} ({joined(choice, f'threshold {threshold:g}')})")
                holds[joined(choice, f"threshold {threshold:g}")] = bool((one[column] <= share * other[column]).all())
            totals.append(joined(choice, f"{len(one)} seeds"))
        one, other = next(iter(found.values()))
        totals.append(f"of {one['total'].iloc[0]:.0f} and {other['total'].iloc[0]:.0f} units")
        self._of_pairs(name, here, holds, pairs, found, *totals)

    def at_most(self, name: str, cells: Mapping[str, pd.DataFrame], runs: str) -> None:
        """Units in use of a recipe against the evolved network's, by choice and threshold: a quarter more at most."""
        found = {choice: own for choice, own in cells.items() if not own.empty}
        if not found:
            self.not_run(name, runs)
            return
        here, holds = [], {}
        for choice, own in found.items():
            for threshold in THRESHOLDS:
                column, told = f"used_{threshold:g}", joined(choice, f"threshold {threshold:g}")
                here.append(f"{interval(own[column])}, evolved {self.evolved[column]} ({told})")
                holds[told] = bool((own[column] <= 1.25 * self.evolved[column]).all())
        own = next(iter(found.values()))
        note = "; ".join(filter(None, [f"Of {own['total'].iloc[0]:.0f} units", caveats(*found.values())]))
        self.claims.answer(name, "; ".join(here), holds=holds, note=note, command=COMMAND, ran=size(*found.values()))

    def nearer(self, name: str, pairs: Pairs, words: tuple[str, str], runs: str) -> None:
        """Antisymmetric shares of random columns, at a step of 1 and at matched effect: the first is lower, intervals apart."""
        found = shared(pairs)
        if not found:
            self.not_run(name, runs)
            return
        here, holds = [], {}
        for choice, (one, other) in found.items():
            for step, kind in (("a step of 1", "random"), ("matched effect", "random_matched")):
                column, told = f"{kind}_antisymmetric_share", joined(choice, step)
                here.append(f"{interval(one[column], 2)} {words[0]}, {interval(other[column], 2)} {words[1]} ({told})")
                holds[told] = bool((one[f"{column}_high"] < other[f"{column}_low"]).all())
        here.append(f"evolved {self.evolved['random_antisymmetric_share']:.2f}")
        self._of_pairs(name, here, holds, pairs, found)

    def _of_pairs(
        self, name: str, here: list[str], holds: dict[str, bool], pairs: Pairs, found: Pairs, *notes: str
    ) -> None:
        """Answer from pairs of recipes: with what sets them apart, and the size of the smallest."""
        note = "; ".join(filter(None, [*notes, caveats(*(own for choice in found for own in pairs[choice]))]))
        ran = size(*(own for pair in found.values() for own in pair))
        self.claims.answer(name, "; ".join(here), holds=holds, note=note, command=COMMAND, ran=ran)

    def drops(self, name: str, own: pd.DataFrame, most: bool, runs: str) -> None:
        """Late drops of the loss, by each factor: of every network, or of most; of a few, by where "late" begins, too."""
        own = own.dropna(subset=["drop_factor"]) if "drop_factor" in own else own.iloc[:0]
        if own.empty:
            self.not_run(name, runs)
            return
        parts = {"in the second half": own[["drop_factor", "drop_p_value"]]}
        if not most:
            parts["from a tenth of the run on"] = self.drops_from(own, 0.1)
        here, holds = [], {}
        for part, found in parts.items():
            for f in FACTORS:
                fell = (found["drop_factor"] >= f) & (found["drop_p_value"] <= 0.01)
                holds[joined(part, f"a factor of {f:g}")] = bool(fell.mean() > 0.5 if most else fell.all())
                here.append(f"{fell.sum()} of {len(found)} networks drop by {f:g} or more with p <= 0.01 {part}")
        largest = own.loc[own["drop_factor"].idxmax()]
        here.append(f"the largest in the second half by {largest['drop_factor']:.2f} (p = {largest['drop_p_value']:.3f}), "
                    f"between steps {largest['drop_low']:,.0f} and {largest['drop_high']:,.0f}")  # fmt: skip
        self.claims.answer(
            name, "; ".join(here), holds=holds, note="" if most else caveats(own), command=COMMAND, ran=size(own)
        )

    def drops_from(self, own: pd.DataFrame, start: float) -> pd.DataFrame:
        """The largest drop of each network's loss from a share of the run on."""
        curves = self.tables["losses"].merge(own[KEY], on=KEY)
        found = [
            late_drop(curve["step"].tolist(), curve["loss"].tolist(), start=start) for _, curve in curves.groupby(KEY)
        ]
        return pd.DataFrame({"drop_factor": [d.factor for d in found], "drop_p_value": [d.p_value for d in found]})

    def first_like(self, own: pd.DataFrame, least: float) -> pd.Series:
        """The first layer, counted from 1, with a unit of this likeness to the picture, by network; infinite where none is."""
        units = own[own["basis"] == "units"]
        seen = units[units["largest"] >= least].groupby("seed", dropna=False)["layer"].min() + 1
        return seen.reindex(units["seed"].unique()).fillna(np.inf)

    def faces(self, own: pd.DataFrame) -> dict[float, tuple[str, bool]]:
        """By likeness, the first layers like the picture in words, and whether all are those that the source names."""
        found = {least: self.first_like(own, least) for least in LIKE}
        return {least: (self.told(first), bool(first.between(*FACES).all())) for least, first in found.items()}

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
