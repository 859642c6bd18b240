"""Where similarity and intervention disagree: both in one table, layer by layer, with a verdict in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from circuits.two_networks.sides import Side
from probes.similarity.nulls import permuted

ALIKE = 0.5  # CKA from which layers count as alike, if it is beyond permuted inputs
WELL, POORLY = 0.5, 0.1  # of the way from random networks' layers (0) to the clean receiver (1)
RULE = (
    f"Alike: CKA of at least {ALIKE}, beyond permuted inputs. Stitches: at least {WELL:.0%} of the way from random networks' "
    f"layers to the clean receiver, better than each of them; does not: at most {POORLY:.0%}, or no better than they. Similarity "
    "and stitching disagree where layers are alike and do not stitch, or are not alike and stitch."
)


def similarity(first: Side, second: Side, pairs: list[tuple[str, str]], draws: int, seed: int) -> pd.DataFrame:
    """CKA of pairs of layers beside permuted inputs.

    Args:
        first: a network.
        second: another, on the same inputs.
        pairs: of their sites.
        draws: permutations of the inputs.
        seed: of these.

    Returns:
        ``site_a, site_b, cka, cka_null`` (mean of the draws), ``cka_excess``, ``cka_low`` and ``cka_high`` (the interval of the
        excess), ``cka_beyond``.
    """
    rows = []
    for one, other in pairs:
        x = first.rows(one)
        found = permuted("cka", x, second.rows(other).to(x.device), draws=draws, seed=seed)
        low, high = found.interval
        rows.append({
            "site_a": one, "site_b": other, "cka": found.value, "cka_null": found.null, "cka_excess": found.excess,
            "cka_low": low, "cka_high": high, "cka_beyond": found.beyond,
        })  # fmt: skip
    return pd.DataFrame(rows)


def verdict(row: Mapping[str, Any]) -> str:
    """What similarity and stitching say of a pair of layers, by `RULE`.

    Args:
        row: with ``cka, cka_beyond, relative, beyond_random``.

    Returns:
        the verdict; empty where one of both is missing.

    >>> verdict({"cka": 0.9, "cka_beyond": True, "relative": 0.02, "beyond_random": False})
    'disagree: alike, but does not stitch'
    >>> verdict({"cka": 0.2, "cka_beyond": True, "relative": 0.9, "beyond_random": True})
    'disagree: not alike, but stitches'
    """
    relative, beyond = row.get("relative"), row.get("beyond_random")
    if row.get("cka") is None or relative is None:
        return ""
    if relative != relative or row["cka"] != row["cka"]:
        return "no verdict: random networks' layers do as well as the receiver's own, or a layer is constant"
    alike = bool(row["cka_beyond"]) and row["cka"] >= ALIKE
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
