"""Verdicts on Golechha's claims, from measured/progress_measures_*.csv.

Intervals are those of `answers.spans`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from answers.measured_networks import TEST, Network, networks
from answers.spans import counted, several, span
from claims import Claims, Verdict

HERE = Path(__file__).parents[1]
COMMAND = "python examples/long_runs/evidence.py digits_curves"
REVIEWS = "python examples/long_runs/evidence.py reviews_curves"
ENTROPY, NORM = "weight_entropy all", "weight_norm all"
SPARSITY = {f"layer {i + 1}": f"activation_sparsity layers.{i}.hook_post" for i in (0, 1)}
TAUS = {"0.01": "", **{tau: f" tau {tau}" for tau in ("0.001", "0.1", "1")}}
LAYERS = ("layers.0.W", "layers.1.W", "unembed.W_U")
COMPLEXITY = {f"layer {i + 1}": f"local_complexity {name}" for i, name in enumerate(LAYERS)}


def ran(own: Sequence[Network]) -> dict[str, float]:
    return {"steps": min(int(n.told["steps"]) for n in own), "seeds": len(own)}


def cost(*names: str) -> str:
    """Why a row was not run: what the runs would take."""
    runs = tomllib.loads((HERE / "long_runs/evidence/progress_measures.toml").read_text(encoding="utf8"))["runs"]
    minutes = sum(run["minutes"] for name, run in runs.items() if name.partition("_seed")[0] in names)
    return f"Not run yet: about {minutes} minutes of a core"


class Answers:
    """The claims, and the networks that answer them."""

    def __init__(self, claims: Claims):
        self.claims, self.found = claims, networks()

    def say(self, name: str, runs: Sequence[str], judge: Callable[..., tuple[str, object]], note: str = "") -> None:
        """Answer by a function of the lists of networks of some runs; not run where one of them is not there."""
        own = [self.found.get(run, []) for run in runs]
        if not all(own):
            self.claims.answer(name, "", holds=None, note=cost(*runs), command=COMMAND)
            return
        text, holds = judge(*own)
        everyone = [n for part in own for n in part]
        sizes = {"steps": ran(everyone)["steps"], "seeds": min(len(part) for part in own)}
        self.claims.answer(name, text, holds=holds, note=note, command=COMMAND, ran=sizes)  # type: ignore[arg-type]


def answer(claims: Claims) -> None:
    """Answer every claim that rests on a table of long runs."""
    answers = Answers(claims)
    for name, run in (("mnist_groks", "digits_mse"), ("batch_1000", "digits_mse_1000"), ("cross_entropy", "digits_ce")):
        answers.say(name, [run], groks, CONTRADICTION if name == "cross_entropy" else "")
    answers.say("entropy_trained", ["digits_mse"], entropy_trained)
    answers.say("sparsity_plateau", ["digits_mse"], plateau)
    answers.say("entropy_drop", ["digits_mse", "digits_norm"], entropy_drop)
    answers.say("complexity_falls", ["digits_mse"], lambda own: falls(own, COMPLEXITY))
    answers.say("complexity_network", ["digits_mse"], lambda own: falls(own, {"network": "local_complexity network"}))
    answers.say("measures_lead", ["digits_mse"], lead)
    answers.say("better_than_norm", ["digits_mse", "digits_norm"], better, CLOCK)
    answers.say("norm_raised", ["digits_norm"], norm_raised)
    answers.say("norm_where", ["digits_norm"], norm_where)
    answers.say("dropout", ["digits_mse", "digits_dropout"], no_delay)
    answers.say("dropout_measures", ["digits_dropout"], together)
    kinds = ("entropy", "sparsity", "complexity")
    answers.say("penalties", ["digits_mse", *(f"digits_{kind}_penalty" for kind in kinds)], penalties)
    reviews(claims)


CONTRADICTION = "The paper's text says cross-entropy, its table MSE"
CLOCK = "While a network generalises most curves move one way, and so does the step: that correlation tells no measures apart"


def groks(own: Sequence[Network]) -> tuple[str, Verdict]:
    told = pd.DataFrame([n.told for n in own])
    late = int(told["generalised"].notna().sum())
    text = f"memorised at step {span(told['memorised'])}, generalised at {span(told['generalised'])} ({late} of {len(own)} seeds)"
    return text, several([n.grokked() for n in own])


def entropy_trained(own: Sequence[Network]) -> tuple[str, Verdict]:
    columns = [c for c in own[0].table if c.startswith("weight_entropy")]
    ratio = {c.partition(" ")[2]: [n.table[c].iloc[-1] / n.table[c].iloc[0] for n in own] for c in columns}
    less = {c: all(v < 1 for v in values) for c, values in ratio.items()}
    text = "; ".join(f"{c}: {span(values)}" for c, values in ratio.items())
    return f"H at the end over H at the start, {text}", all(less.values()) or ("in part" if less["all"] else False)


def plateau(own: Sequence[Network]) -> tuple[str, dict[str, Verdict]]:
    found: dict[str, Verdict] = {}
    texts = []
    for tau, end in TAUS.items():
        columns = {layer: curve + end for layer, curve in SPARSITY.items() if curve + end in own[0].table}
        for when in ("before", "right before") if columns else ():
            paces = {
                layer: [abs(n.paces(curve)[0] if when == "before" else n.pace_until(curve)) for n in own]
                for layer, curve in columns.items()
            }
            found[f"tau {tau} {when}"] = several([all(p < 0.5 for p in values) for values in paces.values()])
            texts.append(f"tau {tau} {when}: {', '.join(span(values, 2) for values in paces.values())}")
    return f"pace, {' and '.join(SPARSITY)}; {'; '.join(texts)}", found


def entropy_drop(*kinds: Sequence[Network]) -> tuple[str, Verdict]:
    sharp, still, texts = [], [], []
    for name, own in zip(("as published", "norm raised"), kinds, strict=True):
        before, during = zip(*(n.paces(ENTROPY) for n in own), strict=True)
        sharp.append(all(v <= -2 for v in during))
        still.append(all(abs(v) <= 0.25 for v in before))
        texts.append(f"{name}: during {span(during, 2)}, before {span(before, 2)}")
    holds: Verdict = True if all(sharp + still) else "in part" if any(sharp) else False
    return f"pace (negative: falls), {'; '.join(texts)}", holds


def falls(own: Sequence[Network], curves: dict[str, str]) -> tuple[str, Verdict]:
    if not set(curves.values()) <= set(own[0].table):
        return "not measured along this run", "undecided"
    shares, early = (
        {
            name: [n.since[curve][n.stretches[at]] / n.since[curve].iloc[0] for n in own]
            for name, curve in curves.items()
        }
        for at in (2, 1)
    )
    text = "; ".join(f"{name}: {span(values, 2)}, {span(early[name], 2)}" for name, values in shares.items())
    checks = [all(v < 0.5 for v in values) for values in shares.values()]
    return f"share of its value at memorisation, at three quarters and at one of test accuracy's rise, {text}", several(
        checks
    )


def lead(own: Sequence[Network]) -> tuple[str, Verdict]:
    curves = {"entropy": ENTROPY} | {f"sparsity, {k}": c for k, c in SPARSITY.items()}
    curves |= {f"complexity, {k}": c for k, c in COMPLEXITY.items()}
    orders = {name: [n.order(curve) for n in own] for name, curve in curves.items()}
    text = "; ".join(f"{name}: {counted(values)}" for name, values in orders.items())
    every = [all(o == "before" for o in values) for values in orders.values()]
    flat = [o for values in orders.values() for o in values]
    holds: Verdict = several(every)
    if holds is False and ("overlapping" in flat or "before" in flat):
        holds = "undecided"
    return f"change beside that of test accuracy, {text}", holds


def better(*kinds: Sequence[Network]) -> tuple[str, dict[str, Verdict]]:
    measures = {"sparsity": list(SPARSITY.values()), "entropy": [ENTROPY], "complexity": list(COMPLEXITY.values())}
    found: dict[str, Verdict] = {}
    texts = []
    for name, own in zip(("norm as it is", "norm raised"), kinds, strict=True):
        rows = []
        for n in own:
            ranks = n.since.assign(clock=n.since.index).rank()
            size = ranks.corrwith(ranks[TEST]).abs()
            rows.append({k: size[v].max() for k, v in measures.items()} | {"norm": size[NORM], "clock": size["clock"]})
        table = pd.DataFrame(rows)
        than = {
            other: bool(table[list(measures)].gt(table[other], axis=0).all(axis=None)) for other in ("norm", "clock")
        }
        found[name] = True if all(than.values()) else "in part" if than["norm"] else False
        texts.append(f"{name}: {', '.join(f'{k} {v.min():.3f} to {v.max():.3f}' for k, v in table.items())}")
    return f"size of the rank correlation with test accuracy, {'; '.join(texts)}", found


def norm_raised(own: Sequence[Network]) -> tuple[str, Verdict]:
    norms = [n.since[NORM] for n in own]
    rise = [float(norm[n.stretches[2]] - norm[n.stretches[1]]) for n, norm in zip(own, norms, strict=True)]
    ends = [(float(n.table[NORM].iloc[0]), float(n.table[NORM].iloc[-1])) for n in own]
    checks = [r > 0 and b > a and n.grokked() for r, (a, b), n in zip(rise, ends, own, strict=True)]
    text = f"norm {span([a for a, _ in ends])} to {span([b for _, b in ends])}, during generalisation {span(rise, 2)} more; "
    return text + groks(own)[0], several(checks)


def norm_where(own: Sequence[Network]) -> tuple[str, Verdict]:
    ends = []
    for n in own:
        whole, rare = (n.table[c].iloc[[0, -1]] for c in (NORM, "weight_norm rarely lit"))
        ends.append([*whole, *(whole**2 - rare**2) ** 0.5])
    a, b, c, d = (list(column) for column in zip(*ends, strict=True))
    text = f"whole norm {span(a)} to {span(b)}, of the rest {span(c)} to {span(d)}"
    return text, several([one[1] > one[0] and one[3] < one[2] for one in ends])


def no_delay(plain: Sequence[Network], dropped: Sequence[Network]) -> tuple[str, Verdict]:
    delays = [[float(n.told["generalised"] - n.told["train_06"]) for n in own] for own in (plain, dropped)]
    text = f"steps between both accuracies' 0.6: {span(delays[0])} without, {span(delays[1])} with dropout"
    shorter = (
        bool(np.nanmax(delays[1]) < np.nanmin(delays[0]) / 2)
        if all(np.isfinite(own).all() for own in delays)
        else False
    )
    return text, True if all(d < 1_000 for d in delays[1]) else "in part" if shorter else False


def together(own: Sequence[Network]) -> tuple[str, Verdict]:
    curves = {"entropy": ENTROPY, "complexity, layer 1": COMPLEXITY["layer 1"]} | {
        f"sparsity, {k}": c for k, c in SPARSITY.items()
    }
    orders = {name: [n.order(curve, whole=True) for n in own] for name, curve in curves.items()}
    text = "; ".join(f"{name}: {counted(values)}" for name, values in orders.items())
    checks = [all(o == "overlapping" for o in values) for values in orders.values()]
    return f"change beside that of test accuracy, {text}", several(checks)


def penalties(plain: Sequence[Network], *kinds: Sequence[Network]) -> tuple[str, Verdict]:
    base = {n.told["seed"]: n.told["generalised"] for n in plain}
    checks, texts = [], [f"without: generalised at {span(base.values())}"]
    for kind, own in zip(("entropy", "sparsity", "complexity"), kinds, strict=True):
        table = pd.DataFrame([n.told for n in own])
        table["share"] = table["generalised"] / table["seed"].map(base)
        by = {value: rows["share"].fillna(np.inf) for value, rows in table.groupby(f"{kind}_penalty")}
        checks.append(any((shares < 0.8).all() for shares in by.values()))
        texts.append(f"{kind}: " + ", ".join(f"{span(shares, 2)} of that at {value:g}" for value, shares in by.items()))
    return "; ".join(texts), several(checks)


def reviews(claims: Claims) -> None:
    """The LSTM: on IMDb where there is one, else on sentences, which decide nothing."""
    found = networks("_reviews")
    own = found.get("imdb_lstm") or found.get("reviews_lstm_long") or found.get("reviews_lstm")
    if not own:
        note = cost("reviews_lstm") + ", on sentences; about 65 on IMDb, which wants aclImdb at DATA"
        for name in ("reviews", "reviews_measures"):
            claims.answer(name, "", holds=None, note=note, command=REVIEWS)
        return
    told = pd.DataFrame([n.told for n in own])
    sizes = {"IMDb reviews": int(told["imdb_reviews"].min()), "epochs": int(told["epochs"].min()), "seeds": len(own)}
    gap = 10 * told["steps"] / told["epochs"]
    late = (told["above"] - told["memorised"] >= gap).tolist()
    text = f"after {told['steps'].min():,} steps train {span(told['train_accuracy'])}, test {span(told['test_accuracy'])}, "
    text += f"the more frequent answer {span(told['majority'])} (standard error {told['error'].mean():.2g})"
    note = "" if sizes["IMDb reviews"] else "Sentences of film reviews: put aclImdb at DATA for the source's own"
    claims.answer("reviews", text, holds=several(late), note=note, command=REVIEWS, ran=sizes)
    curves = [
        c for c in own[0].table if c.startswith(("weight_entropy all", "local_complexity net", "activation_sparsity"))
    ]
    orders = {c: [n.order(c, whole=True) for n in own] for c in curves if " tau " not in c}
    holds = several([all(o == "overlapping" for o in values) for values in orders.values()])
    if not all(late):
        holds = "undecided"
    text = "change beside that of test accuracy: " + "; ".join(
        f"{c}: {counted(values)}" for c, values in orders.items()
    )
    claims.answer("reviews_measures", text, holds=holds, note=note, command=REVIEWS, ran=sizes)
