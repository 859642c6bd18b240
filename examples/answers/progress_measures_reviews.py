"""Verdicts on Golechha's claims of reviews, from measured/progress_measures_reviews_*.csv.

On IMDb where there is one, else on sentences, which decide nothing.
"""

from __future__ import annotations

import pandas as pd

from answers.measured_networks import Network, leads, networks
from answers.spans import counted, several, span
from answers.waiting import waits
from claims import Claims

COMMAND = "python examples/long_runs/evidence.py reviews_curves"
CLAIMS = ("reviews", "reviews_measures", "reviews_lead", "reviews_norm")
MEASURES = ("weight_entropy all", "local_complexity net", "activation_sparsity")
NORM = "weight_norm all"


def answer(claims: Claims) -> None:
    """Answer every claim on reviews."""
    found = networks("_reviews")
    own = found.get("imdb_lstm") or found.get("reviews_lstm_long") or found.get("reviews_lstm")
    if not own:
        note = waits("reviews_lstm") + ", on sentences; about 65 on IMDb, which wants aclImdb at DATA"
        for name in CLAIMS:
            claims.answer(name, "", holds=None, note=note, command=COMMAND)
        return
    told = pd.DataFrame([n.told for n in own])
    sizes = {"IMDb reviews": int(told["imdb_reviews"].min()), "epochs": int(told["epochs"].min()), "seeds": len(own)}
    note = "" if sizes["IMDb reviews"] else "Sentences of film reviews: put aclImdb at DATA for the source's own"
    late = (told["above"] - told["memorised"] >= 10 * told["steps"] / told["epochs"]).tolist()
    text = f"after {told['steps'].min():,} steps train {span(told['train_accuracy'])}, test {span(told['test_accuracy'])}, "
    text += f"the more frequent answer {span(told['majority'])} (standard error {told['error'].mean():.2g})"
    claims.answer("reviews", text, holds=several(late), note=note, command=COMMAND, ran=sizes)
    beside = orders(own)
    text = "change beside that of test accuracy, over the whole run: " + "; ".join(
        f"{c}: {counted(each)}" for c, each in beside.items()
    )
    together = several([all(o == "overlapping" for o in each) for each in beside.values()])
    before = {c: leads(each) for c, each in beside.items()}
    for name, holds in (("reviews_measures", together), ("reviews_lead", before)):
        claims.answer(name, text, holds=holds if all(late) else "undecided", note=note, command=COMMAND, ran=sizes)
    start, end = ([float(n.table[NORM].iloc[i]) for n in own] for i in (0, -1))
    falls = [b < a for a, b in zip(start, end, strict=True)]
    text = f"norm {span(start)} at the start, {span(end)} at the end"
    claims.answer("reviews_norm", text, holds=several(falls), note=note, command=COMMAND, ran=sizes)


def orders(own: list[Network]) -> dict[str, list[str]]:
    """When each measure changes beside test accuracy, over the whole run, by network."""
    curves = [c for c in own[0].table if c.startswith(MEASURES) and " tau " not in c]
    return {c: [n.order(c, whole=True) for n in own] for c in curves}
