"""Does regularisation unify, beyond what generalisation does? Does width? Answers from measured/fractured_or_unified*.csv.

A difference is that of two means over networks, with Welch's 95% interval; of pictures that of pairs, with Student's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from answers.intervals import apart, mean
from answers.tables import DRAWN, MEASURED

COMMAND = "python examples/long_runs/evidence.py unified_networks"
COMMAND_OF_PICTURES = "python examples/long_runs/evidence.py unified_pictures"
AT = {"one step": "input_factors", "matched effect": "matched_input_factors"}
KINDS = {"single weights": "single", "random columns": "random"}
FEWEST = 3  # networks on either side, below which no difference is taken

Sides = tuple[pd.DataFrame, pd.DataFrame]


class Difference(NamedTuple):
    """Two means, and the interval of the first minus the second."""

    one: float
    other: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.one:.2f} against {self.other:.2f}, difference [{self.low:.2f}, {self.high:.2f}]"


def networks() -> pd.DataFrame:
    """A row per network of the grids, and whether it generalises or memorises."""
    every = pd.read_csv(MEASURED / "fractured_or_unified.csv")
    return every.assign(
        generalises=every["test_accuracy"] >= 0.99,
        memorises=(every["train_accuracy"] >= 0.99) & (every["test_accuracy"] < 0.5),
        guesses=(every["train_accuracy"] >= 0.99) & (every["test_accuracy"] < 0.8),  # of parity, where chance is 0.5
    )


def pictures() -> pd.DataFrame:
    """A row per evolved network and per twin, and whether a twin did not learn to draw its picture."""
    every = pd.read_csv(MEASURED / "fractured_or_unified_pictures.csv")
    return every.assign(evolved=every["network"] == "evolved", failed=every["loss"] >= DRAWN)


def by_picture() -> pd.DataFrame:
    """A row per picture: means of the scores, evolved (True) beside twins (False)."""
    drawn = pictures().query("not failed")
    measured = [f"{kind}_{name}" for name in ("antisymmetric_share", "change_rank_share") for kind in KINDS.values()]
    return drawn.groupby(["picture", "evolved"])[measured].mean().unstack().dropna()


def difference(one: pd.DataFrame, other: pd.DataFrame, column: str) -> Difference:
    """Between networks that are not paired."""
    x, y = one[column].dropna(), other[column].dropna()
    _, low, high = apart(x.to_numpy(), y.to_numpy())
    return Difference(x.mean(), y.mean(), low, high)


def verdict(differences: list[Difference]) -> bool | str:
    """Holds where every interval lies below 0, in part where some do; undecided where all hold 0."""
    if all(found.low <= 0 <= found.high for found in differences):
        return "undecided"
    below = [found.high < 0 for found in differences]
    return True if all(below) else "in part" if any(below) else False


def comparisons() -> dict[str, dict[str, Sides]]:
    """By claim, the networks on either side under each condition; the claim says that the first side touches fewer factors."""
    every = networks()
    modular, parity = every[every["task"] == "modular"], every[every["task"] == "parity"]
    addition, p113 = modular[modular["run"] != "p113"], modular[modular["run"] == "p113"]

    def right(rows: pd.DataFrame, run: str, **settings: float) -> pd.DataFrame:
        """Networks of a family of runs that generalise, with these settings."""
        rows = rows[rows["generalises"] & rows["run"].str.startswith(run)]
        for setting, value in settings.items():
            rows = rows[rows[setting] == value]
        return rows

    def both(rows: pd.DataFrame, other: str, **settings: float) -> Sides:
        """Networks that generalise, and others under the same settings."""
        for setting, value in settings.items():
            rows = rows[rows[setting] == value]
        return rows[rows["generalises"]], rows[rows[other]]

    def decays(rows: pd.DataFrame, other: str) -> list[float]:
        """Weight decays at which some networks do not generalise in this way."""
        return sorted(rows.loc[rows[other], "weight_decay"].unique())

    sixty, few = addition[addition["train_fraction"] == 0.6], parity[parity["n_train"] == 300]
    decayed = right(parity, "parity_decay1000")
    return {
        "memorising_is_fractured": {
            f"60% trained on, weight decay {at:g}": both(sixty, "memorises", weight_decay=at)
            for at in decays(sixty, "memorises")
        },
        "decay_beyond_generalisation": {
            f"train fraction {at:g}": (
                right(addition, "decay", train_fraction=at, weight_decay=0.3),
                right(addition, "decay", train_fraction=at, weight_decay=0),
            )
            for at in (0.6, 0.8, 0.95)
        },
        "p113_decay": {"": (right(p113, "", weight_decay=0.3), right(p113, "", weight_decay=0))},
        "width_unifies": {
            f"weight decay {at:g}": (
                right(addition, "width", width=192, weight_decay=at, step=9000),
                right(addition, "width", width=16, weight_decay=at, step=9000),
            )
            for at in (0, 0.3)
        },
        "small_start_unifies": {
            f"weight decay {at:g}": (
                right(addition, "scale", init_scale=0.5, weight_decay=at),
                right(addition, "scale", init_scale=2, weight_decay=at),
            )
            for at in (0, 0.3)
        },
        "optimiser_matters": {
            "": (right(addition, "sgd", weight_decay=0), right(addition, "decay0.95", weight_decay=0))
        },
        "parity_unifies": {
            f"300 examples, weight decay {at:g}": both(few, "guesses", weight_decay=at) for at in decays(few, "guesses")
        },
        "parity_decay": {"": (decayed[decayed["weight_decay"] >= 0.01], decayed[decayed["weight_decay"] == 0])},
        "parity_width": {
            f"weight decay {at:g}": (
                right(parity, "parity_width", width=512, weight_decay=at),
                right(parity, "parity_width", width=32, weight_decay=at),
            )
            for at in (0, 0.01)
        },
    }


def differences() -> pd.DataFrame:
    """A row per comparison with enough networks on either side: claim, condition, networks, the means and the interval."""
    return pd.DataFrame([
        {"claim": name, "condition": label, "at": at, "networks": f"{len(sides[0])} and {len(sides[1])}"}
        | difference(*sides, column)._asdict()
        for name, conditions in comparisons().items()
        for label, sides in conditions.items() if min(map(len, sides)) >= FEWEST
        for at, column in AT.items()
    ])  # fmt: skip


def answer(claims: Any) -> None:
    """Answer every claim that rests on measured/fractured_or_unified*.csv."""
    for name, conditions in comparisons().items():
        compare(claims, name, conditions)
    compare_pictures(claims, "pictures_symmetric", "antisymmetric_share")
    compare_pictures(claims, "pictures_rank", "change_rank_share")


def compare(claims: Any, name: str, conditions: Mapping[str, Sides]) -> None:
    """Answer a claim: under every condition the first side touches fewer factors than the second."""
    smaller = {label: min(map(len, sides)) for label, sides in conditions.items()}
    enough = [label for label, count in smaller.items() if count >= FEWEST]
    left_out = [
        f"{label or 'all'} ({len(one)} and {len(other)})"
        for label, (one, other) in conditions.items()
        if label not in enough
    ]
    found = {at: [difference(*conditions[label], column) for label in enough] for at, column in AT.items()}

    def in_part(holds: bool | str) -> bool | str:
        """What holds under every condition that could be tried, and not all could."""
        return "in part" if holds is True and left_out else holds

    said = (
        f"{f'{label} ' if label else ''}({len(conditions[label][0])} and {len(conditions[label][1])} networks): "
        + ", ".join(f"{at} {found[at][i]}" for at in AT)
        for i, label in enumerate(enough)
    )
    claims.answer(
        name,
        "; ".join(said),
        holds={at: in_part(verdict(own)) for at, own in found.items()} if enough else "undecided",
        note=f"fewer than {FEWEST} networks on one side: {', '.join(left_out)}" if left_out else "",
        command=COMMAND,
        ran={"networks": min(smaller[label] for label in enough) if enough else max(smaller.values())},
    )


def compare_pictures(claims: Any, name: str, score: str) -> None:
    """Answer a claim: the score is lower in evolved networks than in their twins, picture by picture."""
    own, found = by_picture(), {}
    for words, kind in KINDS.items():
        both = own[f"{kind}_{score}"]
        _, low, high = mean(both[True] - both[False])
        found[words] = Difference(both[True].mean(), both[False].mean(), low, high)
    steps = int(pictures()["steps"].min())
    claims.answer(
        name,
        f"{len(own)} pictures, twins of {steps:,} steps: "
        + "; ".join(f"{words} {one}" for words, one in found.items()),
        holds={words: verdict([one]) for words, one in found.items()},
        command=COMMAND_OF_PICTURES,
        ran={"pictures": len(own), "steps": steps},
    )
