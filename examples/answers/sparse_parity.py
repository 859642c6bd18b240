"""Verdicts on Fuangkawinsombut's claims, from measured/sparse_parity_*.csv. Intervals are those of `answers.spans`."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from answers.parity_noise import noise
from answers.parity_norms import bends, late_norms
from answers.parity_tables import COMMAND, absent, table
from answers.parity_units import small, wide
from answers.spans import several, span
from claims import Claims, Verdict

RUNS = {"k = 2": "parity_k2", "k = 3": "parity_k3"}


def answer(claims: Claims) -> None:
    """Answer every claim that rests on a table of long runs."""
    claims.answer("hybrid", "", holds=None, note="The source names no method, no task to transfer from and no number")
    published(claims)
    late_decay(claims)
    bends(claims)
    noise(claims)
    small(claims)
    wide(claims)


def sizes(own: pd.DataFrame) -> dict[str, float]:
    return {"epochs": int(own["epochs"].min()), "seeds": int(own["seed"].nunique())}


def published(claims: Claims) -> None:
    """The two tasks as published: events, spectral norms, clusters and densities."""
    networks, moments = table("networks"), table("moments")
    by = {k: networks[networks["run"] == run] for k, run in RUNS.items()}
    told = (("k2", "spectral_norm", "k = 2"), ("k3", "spectral_norm_k3", "k = 3"))
    for (groks, norm, k), run in zip(told, RUNS.values(), strict=True):
        own = by[k]
        if not len(own):
            absent(claims, (groks, norm), run)
            continue
        text = f"memorised at epoch {span(own.memorised)}, generalised at {span(own.generalised)} "
        text += f"({own.generalised.notna().sum()} of {len(own)} seeds)"
        holds = several((own.generalised > 3 * own.memorised).tolist())
        claims.answer(groks, text, holds=holds, command=COMMAND, ran=sizes(own))
        change = own.W_generalised / own.W_memorised
        moved = (change < 0.9 if k == "k = 2" else change > 1.1) & own.generalised.notna()
        text = f"W: {span(own.W_memorised)} at memorisation, {span(own.W_lowest)} at its lowest between, "
        text += f"{span(own.W_generalised)} at generalisation; u: {span(own.u_memorised)} to {span(own.u_generalised)}"
        claims.answer(norm, text, holds=several(moved.tolist()), command=COMMAND, ran=sizes(own))
    if not all(len(own) for own in by.values()):
        absent(claims, ("spectral_norm_leads", "clusters", "density"), *RUNS.values())
        return
    least = {
        "epochs": min(sizes(own)["epochs"] for own in by.values()),
        "seeds": min(sizes(own)["seeds"] for own in by.values()),
    }
    leads(claims, by, least)
    shapes(claims, moments, least)


def leads(claims: Claims, by: Mapping[str, pd.DataFrame], ran: dict[str, float]) -> None:
    before, texts, overlaps = [], [], False
    for k, own in by.items():
        first = own.W_change_high <= own.test_change_low
        later = own.W_change_low >= own.test_change_high
        overlaps |= bool((~first & ~later).any())
        before.append(bool(first.all()))
        texts.append(
            f"{k}: before in {first.sum()}, after in {later.sum()}, overlapping in {(~first & ~later).sum()} of {len(own)} seeds"
        )
    holds = several(before)
    claims.answer(
        "spectral_norm_leads", "; ".join(texts), holds="undecided" if holds is False and overlaps else holds,
        command=COMMAND, ran=ran,
    )  # fmt: skip


def shapes(claims: Claims, moments: pd.DataFrame, ran: dict[str, float]) -> None:
    at = {k: dict(iter(moments[moments["run"] == run].groupby("at"))) for k, run in RUNS.items()}
    whens = ("memorised", "generalised", "end")
    text = "; ".join(f"{k}: {', '.join(span(own[when].silhouette, 2) for when in whens)}" for k, own in at.items())
    loose = [bool((own["memorised"].silhouette < 0.1).all()) for own in at.values()]
    tight = [bool((own["end"].silhouette > 0.5).all()) for own in at.values()]
    checks = [a and b for a, b in zip(loose, tight, strict=True)]
    text = f"silhouette memorised, generalised, at the end: {text}"
    claims.answer("clusters", text, holds=several(checks), command=COMMAND, ran=ran)
    found: dict[str, Verdict] = {}
    texts = []
    for measure, name, sign in (("within_0.01", "share within 0.01", 1), ("std", "standard deviation", -1)):
        narrower = {}
        for matrix in ("W", "u"):
            column = f"{matrix}_{measure}"
            by = {k: {when: rows.set_index("seed")[column] for when, rows in own.items()} for k, own in at.items()}
            pairs = {k: (own["memorised"], own["end"]) for k, own in by.items()}
            narrower[matrix] = all(bool((sign * (b - a) > 0).all()) for a, b in pairs.values())
            texts += [f"{name} of {matrix}, {k}: {span(a, 2)} to {span(b, 2)}" for k, (a, b) in pairs.items()]
        found[name] = several(list(narrower.values()))
    claims.answer("density", "; ".join(texts), holds=found, command=COMMAND, ran=ran)


def late_decay(claims: Claims) -> None:
    own = table("networks")
    own = own[own["run"] == "parity_late"]
    if not len(own):
        absent(claims, ("decay_switch", "late_norms", "late_norms_fitting"), "parity_late")
        return
    groups = dict(iter(own.groupby("late_weight_decay")))
    epochs = {v: rows.generalised.median() for v, rows in groups.items() if rows.generalised.notna().mean() > 0.5}
    fails = sorted(v for v in groups if v not in epochs)
    best = min(epochs, key=lambda v: epochs[v])
    breaks = min(fails, default=float("nan"))
    text = f"median epoch {epochs.get(0.01, float('nan')):.0f} at 0.01, {epochs[best]:.0f} at {best:g}; "
    text += f"most seeds fail from {breaks:g} on"
    checks = [epochs[best] < epochs.get(0.01, float("inf")), 0.1 < breaks <= 0.5]
    claims.answer("decay_switch", text, holds=several(checks), command=COMMAND, ran=sizes(own))
    late_norms(claims, groups, fails, sizes(own))
