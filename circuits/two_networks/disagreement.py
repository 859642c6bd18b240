"""Where similarity and intervention disagree: both in one table, layer by layer, with a verdict in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from circuits.two_networks.sides import Side
from interp.hooked.foreign.several import InputsLike
from probes.similarity_maps.mapping import similarity_map

ALIKE = 0.5  # CKA from which layers count as alike, if it is above chance
WELL, POORLY = 0.5, 0.1  # of the way from random networks' layers (0) to the clean receiver (1)
RULE = (
    f"Alike: CKA of at least {ALIKE}, above every draw of chance. Stitches: at least {WELL:.0%} of the way from random networks' "
    f"layers to the clean receiver, better than each of them; does not: at most {POORLY:.0%}, or no better than they. Similarity "
    "and stitching disagree where layers are alike and do not stitch, or are not alike and stitch."
)


def similarity(
    first: Side, second: Side, pairs: list[tuple[str, str]], inputs: InputsLike | None, n_inputs: int | None,
    draws: int, seed: int,
) -> tuple[pd.DataFrame, str]:  # fmt: skip
    """CKA of pairs of layers beside chance; see `probes.similarity_map`.

    Args:
        first: a network.
        second: another.
        pairs: of their sites.
        inputs: for both; None: those that both tasks have.
        n_inputs: at most so many.
        draws: pairs of random networks or, where none can be drawn, permutations of the inputs.
        seed: of the draws.

    Returns:
        ``site_a, site_b, cka, cka_null`` (mean of the draws), ``cka_low`` and ``cka_high`` (their range), ``cka_excess``,
        ``cka_above`` (above all draws); and what chance is.
    """
    two = {first.name: first.subject, second.name: second.subject}
    same = all(one == other for one, other in pairs)
    asked = [[one for one, _ in pairs]] if same else [{first.name: a, second.name: b} for a, b in pairs]
    rows, chance = [], ""
    for sites in asked:
        found = similarity_map(
            two, sites=sites, inputs=inputs, n_inputs=n_inputs, draws=draws, seed=seed, progress=False
        )
        chance = found.null
        rows += found.table.to_dict("records")
    order = {row["site"]: row for row in rows} if same else {}
    made = []
    for place, (one, other) in enumerate(pairs):
        row = order[one] if same else rows[place]
        made.append({
            "site_a": one, "site_b": other, "cka": row["value"], "cka_null": row["null"], "cka_low": row["low"],
            "cka_high": row["high"], "cka_excess": row["excess"], "cka_above": bool(row["value"] > row["high"]),
        })  # fmt: skip
    return pd.DataFrame(made), chance


def verdict(row: Mapping[str, Any]) -> str:
    """What similarity and stitching say of a pair of layers, by `RULE`.

    Args:
        row: with ``cka, cka_above, relative, beyond_random``.

    Returns:
        the verdict; empty where one of both is missing.

    >>> verdict({"cka": 0.9, "cka_above": True, "relative": 0.02, "beyond_random": False})
    'disagree: alike, but does not stitch'
    >>> verdict({"cka": 0.2, "cka_above": True, "relative": 0.9, "beyond_random": True})
    'disagree: not alike, but stitches'
    """
    relative, beyond = row.get("relative"), row.get("beyond_random")
    if row.get("cka") is None or relative is None:
        return ""
    if row["cka"] != row["cka"]:
        return "no verdict: a layer is the same for all inputs"
    if relative != relative:
        drawn = row.get("random_loss")
        why = "no random networks to stitch beside" if drawn is None or drawn != drawn else "random layers do as well"
        return f"no verdict: {why}"
    alike = bool(row["cka_above"]) and row["cka"] >= ALIKE
    stitches, fails = relative >= WELL and bool(beyond), relative <= POORLY or not beyond
    if not stitches and not fails:
        return "between: stitches in part"
    first = "alike" if alike else "not alike"
    if alike == stitches:
        return f"agree: {first}, and {'stitches' if stitches else 'does not stitch'}"
    return f"disagree: {first}, but {'stitches' if stitches else 'does not stitch'}"


def carried(interchange: pd.DataFrame) -> dict[str, float]:
    """How much of a part's effect on the outputs comes back when it is taken from the other network.

    Args:
        interchange: the rows of one sender and receiver, as in `Interchange`.

    Returns:
        ``shared_rank``; ``carried``: 1 less the change of the outputs with the shared part interchanged over that with it
        removed; ``carried_random``: the same of as many random directions. NaN where nothing is shared.
    """
    by = interchange.set_index(["part", "what"])
    found: dict[str, float] = {"shared_rank": int(by.loc[("shared", "interchanged"), "rank"])}
    for name, part in (("carried", "shared"), ("carried_random", "random")):
        swapped, gone = (float(by.loc[(part, what), "lost"]) for what in ("interchanged", "mean-ablated"))
        found[name] = 1 - swapped / gone if gone > 0 else float("nan")
    return found
