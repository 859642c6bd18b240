"""Verdicts on small networks for parity: few units from the start, more training, L1, and a wide network made sparse."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from answers.intervals import apart, said
from answers.parity_tables import COMMAND, absent, table
from answers.spans import difference, several, share, span
from claims import Claims, Verdict

ASKED = {"five_units_never": (5, False), "six_units_trained": (6, True), "four_units_trained": (4, True)}
SAME_UPDATES = "5,000 examples for a fifth of the epochs, so for as many updates"


def small(claims: Claims) -> None:
    """Few units from the start."""
    found = table("small")
    rows = {key: own.iloc[0] for key, own in found.groupby(["run", "units", "l1"])} if len(found) else {}
    for name, (units, some) in ASKED.items():
        row = rows.get(("parity_few", units, 0.0))
        if row is None:
            absent(claims, (name,), "parity_few")
            continue
        larger = rows.get(("parity_few_5000", units, 0.0))
        claims.answer(
            name, shown(row), holds=bool(row.solved > 0) == some, command=COMMAND, ran=size(row),
            note="" if larger is None else f"With 5,000 examples {shown(larger)}",
        )  # fmt: skip
    base = rows.get(("parity_few", 5, 0.0))
    attempts(claims, base)
    more = {
        "5,000 examples": rows.get(("parity_few_5000", 5, 0.0)),
        "5,000 epochs": rows.get(("parity_few_long", 5, 0.0)),
    }
    compared(
        claims, "more_training", base, more, 0.05, ("parity_few", "parity_few_5000", "parity_few_long"), SAME_UPDATES
    )
    with_l1 = {f"L1 {l1:g}": rows.get(("parity_five_l1", 5, l1)) for l1 in (3e-4, 1e-3)}
    compared(claims, "l1", rows.get(("parity_five_l1", 5, 0.0)), with_l1, 0.025, ("parity_five_l1",))


def attempts(claims: Claims, row: pd.Series | None) -> None:
    """Whether an attempt with five units rather fails, and how many in a row do."""
    if row is None:
        absent(claims, ("five_units",), "parity_few")
        return
    (low, high), fails = share(row.solved, row.starts), 1 - row.solved / row.starts
    text = shown(row)
    if 0.5 < fails < 1:
        many = int(math.log(0.5) / math.log(fails))
        text += f"; at this share {many} attempts all fail with a probability of {fails**many:.0%}"
    holds: Verdict = True if high < 0.5 else False if low > 0.5 else "undecided"
    claims.answer("five_units", text, holds=holds, command=COMMAND, ran=size(row))


def size(row: pd.Series) -> dict[str, float]:
    return {"starts": int(row.starts), "epochs": int(row.epochs)}


def shown(row: pd.Series) -> str:
    low, high = share(row.solved, row.starts)
    return f"{row.solved:.0f} of {row.starts:.0f} starts ({row.solved / row.starts:.1%} [{low:.1%}, {high:.1%}])"


def compared(
    claims: Claims,
    name: str,
    base: pd.Series | None,
    others: dict[str, pd.Series | None],
    least: float,
    runs: Sequence[str],
    note: str = "",
) -> None:
    """Whether shares of starts are larger than the base's, by the interval of the difference."""
    if base is None or any(row is None for row in others.values()):
        absent(claims, (name,), *runs)
        return
    intervals = {
        k: difference(row.solved, row.starts, base.solved, base.starts) for k, row in others.items() if row is not None
    }
    text = f"{shown(base)} at the recipe; " + "; ".join(
        f"{k}: {shown(row)}, {intervals[k][0]:+.1%} to {intervals[k][1]:+.1%}"
        for k, row in others.items()
        if row is not None
    )
    above = [low > 0 for low, _ in intervals.values()]
    holds: Verdict = any(above) if name == "l1" else several(above)
    if not holds:
        holds = False if all(high < least for _, high in intervals.values()) else "undecided"
    ran = {
        "starts": int(min(base.starts, *(row.starts for row in others.values() if row is not None))),
        "epochs": int(base.epochs),
    }
    claims.answer(name, text, holds=holds, note=note, command=COMMAND, ran=ran)


def wide(claims: Claims) -> None:
    """A wide network made sparse."""
    found = table("wide")
    if "l1" not in found:
        absent(claims, ("wide_weights", "wide_to_five", "l1_wide"), "parity_wide_l1")
        return
    groups = dict(iter(found.groupby("l1")))
    text = {}
    for l1, rows in groups.items():
        answering = int((rows.test_accuracy > 0.99).sum())
        text[l1] = f"{span(rows.units_left.dropna())} units ({answering} of {len(rows)} seeds answer 99%)"
    ran = {"seeds": min(len(rows) for rows in groups.values()), "epochs": int(found["epochs"].min())}
    plain = groups[0.0]
    near, alive = plain["weights_within_0.001"], plain.units_alive
    claims.answer(
        "wide_weights",
        f"by seed {', '.join(f'{share:.0%}' for share in near)} of the weights of W within 0.001 of 0, and "
        f"{', '.join(map(str, alive))} of 500 units with a weight further than 0.01 from 0",
        holds=several([bool((near > 0.5).all()), bool((alive > 5).all())]), command=COMMAND, ran=ran,
        note="Weight decay alone multiplies a weight by 0.999 a step, to 1e-14 after 32,000, and never makes it exactly 0",
    )  # fmt: skip
    five = f"; five suffice in {(plain.units_left <= 5).sum()} of {len(plain)}"
    claims.answer(
        "wide_to_five", text[0.0] + five, holds=bool(not (plain.units_left <= 5).any()), command=COMMAND, ran=ran
    )
    good = {l1: rows for l1, rows in groups.items() if l1 and (rows.test_accuracy > 0.99).all()}
    change = {l1: apart(rows.units_left.to_numpy(), plain.units_left.to_numpy()) for l1, rows in good.items()}
    fewer = {l1: high < 0 for l1, (_, _, high) in change.items()}
    reached = any(fewer[l1] and (rows.units_left <= 5).mean() > 0.5 for l1, rows in good.items())
    open_ones = any(low <= 0 <= high for _, low, high in change.values())
    few = ", ".join(f"{(rows.units_left <= 5).sum()} of {len(rows)} at {l1:g}" for l1, rows in groups.items())
    claims.answer(
        "l1_wide", "; ".join(f"L1 {l1:g}: {words}" for l1, words in text.items()) + f"; five suffice in {few}",
        holds=True if reached else "in part" if any(fewer.values()) else "undecided" if open_ones else False,
        note="Units against no L1: " + ", ".join(f"{said(found)} at {l1:g}" for l1, found in change.items()),
        command=COMMAND, ran=ran,
    )  # fmt: skip
