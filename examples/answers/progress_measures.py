"""Verdicts on Golechha's claims of images, from measured/progress_measures_*.csv; those of reviews are in their own module.

Intervals are those of `answers.spans`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from answers import progress_measures_reviews
from answers.measured_networks import LEVELS, TEST, Network, leads, networks, settled
from answers.spans import counted, several, span
from answers.waiting import waits
from claims import Claims, Verdict

COMMAND = "python examples/long_runs/evidence.py digits_curves"
ENTROPY, NORM = "weight_entropy all", "weight_norm all"
SPARSITY = {f"layer {i + 1}": f"activation_sparsity layers.{i}.hook_post" for i in (0, 1)}
TAUS = {"0.01": "", **{tau: f" tau {tau}" for tau in ("0.001", "0.1", "1")}}
LAYERS = ("layers.0.W", "layers.1.W", "unembed.W_U")
COMPLEXITY = {f"layer {i + 1}": f"local_complexity {name}" for i, name in enumerate(LAYERS)}
Told = tuple[str, Verdict | dict[str, Verdict]]  # the numbers in words, and the verdict, or one for each choice
CONTRADICTION = "The paper's text says cross-entropy, its table MSE"
CLOCK = "While a network generalises most curves move one way, and so does the step: that correlation tells no measures apart"
TURNS = "A norm that falls before it grows correlates less with an accuracy that only grows"
PLACE = "Dropout follows each hidden layer's activations"


class Answers:
    """The claims, and the networks that answer them."""

    def __init__(self, claims: Claims):
        self.claims, self.found = claims, networks()

    def say(self, name: str, runs: Sequence[str], judge: Callable[..., Told], note: str = "") -> None:
        """Answer by a function of the lists of networks of some runs; not run where one of them is not there."""
        own = [self.found.get(run, []) for run in runs]
        if missing := [run for run, part in zip(runs, own, strict=True) if not part]:
            self.claims.answer(name, "", holds=None, note=waits(*missing), command=COMMAND)
            return
        text, holds = judge(*own)
        steps = min(int(n.told["steps"]) for part in own for n in part)
        sizes = {"steps": steps, "seeds": min(len(part) for part in own)}
        self.claims.answer(name, text, holds=holds, note=note, command=COMMAND, ran=sizes)  # type: ignore[arg-type]


def answer(claims: Claims) -> None:
    """Answer every claim that rests on a table of long runs."""
    say = Answers(claims).say
    say("mnist_groks", ["digits_mse"], groks)
    say("batch_1000", ["digits_mse_1000"], groks)
    say("cross_entropy", ["digits_ce"], groks, CONTRADICTION)
    say("cross_entropy_1000", ["digits_ce_1000"], groks)
    say("norm_falls", ["digits_mse"], norm_falls)
    say("entropy_trained", ["digits_mse"], entropy_trained)
    say("entropy_drop", ["digits_mse", "digits_norm"], entropy_drop)
    for end, run in (("", "digits_mse"), ("_raised", "digits_norm")):  # Fig. 1, and Fig. 2
        say(f"sparsity_plateau{end}", [run], plateau)
        say(f"complexity_falls{end}", [run], lambda own: falls(own, COMPLEXITY))
        say(f"better_than_norm{end}", [run], better_than_norm, TURNS if end else "")
    say("complexity_network", ["digits_mse"], lambda own: falls(own, {"network": "local_complexity network"}))
    say("entropy_leads", ["digits_mse"], lambda own: lead(own, {"all weights": ENTROPY}))
    thresholds = {f"{layer}, tau {tau}": curve + end for layer, curve in SPARSITY.items() for tau, end in TAUS.items()}
    say("sparsity_leads", ["digits_mse"], lambda own: lead(own, thresholds))
    say("complexity_leads", ["digits_mse"], lambda own: lead(own, COMPLEXITY))
    say("better_than_clock", ["digits_mse", "digits_norm"], better_than_clock, CLOCK)
    say("norm_raised", ["digits_norm"], norm_raised, CONTRADICTION)
    say("cross_entropy_norm", ["digits_ce_norm"], norm_raised)
    say("norm_where", ["digits_norm"], norm_where)
    say("dropout", ["digits_mse", "digits_dropout"], no_delay, PLACE)
    say("cross_entropy_dropout", ["digits_ce", "digits_ce_dropout"], no_delay, PLACE)
    say("dropout_measures", ["digits_dropout"], together, PLACE)
    kinds = ("entropy", "sparsity", "complexity")
    say("penalties", ["digits_mse", *(f"digits_{kind}_penalty" for kind in kinds)], penalties)
    progress_measures_reviews.answer(claims)


def by_level(judge: Callable[[float], Verdict]) -> dict[str, Verdict]:
    """The verdict under each test accuracy that may count as generalised."""
    return {f"test accuracy {level:g}": judge(level) for level in LEVELS}


def when(values: Sequence[tuple[float, float]]) -> str:
    """Steps over seeds in words, or shares of them; where only checkpoints tell them, from the least possible to the most."""
    least, most = (np.asarray(side) for side in zip(*values, strict=True))
    if np.array_equal(least, most, equal_nan=True):
        return span(most)
    never = int(np.isnan(most).sum())
    ends = [f"{v:,.3g}" if abs(v) < 1_000 else f"{v:,.0f}" for v in (np.nanmin(least), np.nanmax(most))]
    return f"between {' and '.join(ends)}" + (f" (never in {never} of {len(most)})" if never else "")


def groks(own: Sequence[Network]) -> Told:
    text = f"train accuracy 0.99 for good from step {when([n.reached('train', 0.99) for n in own])}"
    for level in LEVELS:
        steps = [n.reached("test", level) for n in own]
        there = sum(not np.isnan(last) for _, last in steps)
        text += f", test accuracy {level:g} from {when(steps)} ({there} of {len(own)} seeds)"
    return text, by_level(lambda level: several([n.grokked(level) for n in own]))


def norm_falls(own: Sequence[Network]) -> Told:
    start, end = ([float(n.table[NORM].iloc[i]) for n in own] for i in (0, -1))
    moved = [during(n) for n in own]
    text = f"norm {span(start)} at the start, {span(end)} at the end; {span(moved)} during generalisation"
    return text, several([b < a and d < 0 for a, b, d in zip(start, end, moved, strict=True)])


def during(network: Network) -> float:
    """What the norm gains while test accuracy makes a quarter to three quarters of its rise."""
    _, quarter, most, _ = network.stretches
    return float(network.since[NORM][most] - network.since[NORM][quarter])


def entropy_trained(own: Sequence[Network]) -> tuple[str, Verdict]:
    columns = [c for c in own[0].table if c.startswith("weight_entropy")]
    ratio = {c.partition(" ")[2]: [n.table[c].iloc[-1] / n.table[c].iloc[0] for n in own] for c in columns}
    less = {c: all(v < 1 for v in values) for c, values in ratio.items()}
    text = "; ".join(f"{c}: {span(values)}" for c, values in ratio.items())
    return f"H at the end over H at the start, {text}", all(less.values()) or ("in part" if less["all"] else False)


def plateau(own: Sequence[Network]) -> Told:
    stretches: dict[str, Callable[[Network, str], float]] = {
        "before": lambda n, curve: n.paces(curve)[0],
        **{f"to {level:g}": lambda n, curve, level=level: n.pace_until(curve, level) for level in LEVELS},
    }
    found: dict[str, Verdict] = {}
    texts = []
    for tau, end in TAUS.items():
        columns = [curve + end for curve in SPARSITY.values() if curve + end in own[0].table]
        for name, pace in stretches.items() if columns else ():
            paces = [[abs(pace(n, curve)) for n in own] for curve in columns]
            found[f"tau {tau} {name}"] = several([all(p < 0.5 for p in values) for values in paces])
            texts.append(f"tau {tau} {name}: {', '.join(span(values, 2) for values in paces)}")
    return f"pace, {' and '.join(SPARSITY)}; {'; '.join(texts)}", found


def entropy_drop(*kinds: Sequence[Network]) -> Told:
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
    return (
        f"share of its value at memorisation, at three quarters of test accuracy's rise and at one quarter, {text}",
        several(checks),
    )


def lead(own: Sequence[Network], curves: dict[str, str]) -> Told:
    there = {name: curve for name, curve in curves.items() if curve in own[0].table}
    orders = {name: [n.order(curve) for n in own] for name, curve in there.items()}
    text = "; ".join(f"{name}: {counted(values)}" for name, values in orders.items())
    found = {name: leads(values) for name, values in orders.items()}
    return f"change beside that of test accuracy, {text}", found


def correlations(own: Sequence[Network]) -> tuple[str, pd.DataFrame]:
    """Size of the rank correlation with test accuracy from memorisation on: of each measure in its best layer, norm, clock."""
    measures = {"sparsity": list(SPARSITY.values()), "entropy": [ENTROPY], "complexity": list(COMPLEXITY.values())}
    curves = {**measures, "norm": [NORM], "clock": ["clock"]}
    rows = []
    for n in own:
        ranks = n.since.assign(clock=n.since.index).rank()
        size = ranks.corrwith(ranks[TEST]).abs()
        rows.append({name: size[columns].max() for name, columns in curves.items()})
    table = pd.DataFrame(rows)
    return ", ".join(f"{k} {v.min():.3f} to {v.max():.3f}" for k, v in table.items()), table


def exceed(table: pd.DataFrame, other: str) -> bool:
    """Whether each measure's correlation is larger than another's in every seed."""
    return bool(table[["sparsity", "entropy", "complexity"]].gt(table[other], axis=0).all(axis=None))


def better_than_norm(own: Sequence[Network]) -> Told:
    text, table = correlations(own)
    return f"size of the rank correlation with test accuracy: {text}", exceed(table, "norm")


def better_than_clock(*kinds: Sequence[Network]) -> Told:
    told = dict(zip(("norm as it is", "norm raised"), map(correlations, kinds), strict=True))
    text = "; ".join(f"{name}: {text}" for name, (text, _) in told.items())
    found: dict[str, Verdict] = {name: exceed(table, "clock") for name, (_, table) in told.items()}
    return f"size of the rank correlation with test accuracy, {text}", found


def norm_raised(own: Sequence[Network]) -> Told:
    norms = [n.table[NORM] for n in own]
    rise = [during(n) for n in own]
    higher = all(norm.iloc[-1] > norm.iloc[0] and more > 0 for norm, more in zip(norms, rise, strict=True))
    onward = all((norm.diff().iloc[1:] > 0).all() for norm in norms)
    there = [norm[norm.index <= n.reached("test", LEVELS[0])[1]] for n, norm in zip(own, norms, strict=True)]
    parts = [
        f"norm {span(norm.iloc[0] for norm in norms)} at the start",
        f"{span(norm.min() for norm in norms)} at its lowest (step {span(norm.idxmin() for norm in norms)})",
        f"{span(norm.iloc[-1] for norm in there if len(norm))} at a test accuracy of {LEVELS[0]:g}",
        f"{span(norm.iloc[-1] for norm in norms)} at the end",
        f"{span(rise, 2)} more during generalisation",
    ]
    text, grokked = groks(own)
    found: dict[str, Verdict] = {}
    for level, held in grokked.items():
        found[level] = (
            False if held in (False, "in part") or not higher else "in part" if held is True and not onward else held
        )
    return f"{', '.join(parts)}; {text}", found


def norm_where(own: Sequence[Network]) -> tuple[str, Verdict]:
    ends = []
    for n in own:
        whole, rare = (n.table[c].iloc[[0, -1]] for c in (NORM, "weight_norm rarely lit"))
        ends.append([*whole, *(whole**2 - rare**2) ** 0.5])
    a, b, c, d = (list(column) for column in zip(*ends, strict=True))
    text = f"whole norm {span(a)} to {span(b)}, of the rest {span(c)} to {span(d)}"
    return text, several([one[1] > one[0] and one[3] < one[2] for one in ends])


def no_delay(plain: Sequence[Network], dropped: Sequence[Network]) -> Told:
    """Steps from train to test accuracy at one level, between the least and the most that the tables allow."""
    texts, found = [], {}
    for level in LEVELS:
        base, own = ([delay(n, level) for n in kind] for kind in (plain, dropped))
        texts.append(f"{level:g}: {when(base)} without, {when(own)} with dropout")
        worst = removed([most for _, most in own], [least for least, _ in base])
        found[f"accuracy {level:g}"] = settled(worst, removed([least for least, _ in own], [most for _, most in base]))
    return f"steps between both accuracies' {'; '.join(texts)}", found


def delay(network: Network, level: float) -> tuple[float, float]:
    (begin, begun), (least, most) = (network.reached(part, level) for part in ("train", "test"))
    return least - begun, most - begin


def removed(delays: Sequence[float], without: Sequence[float]) -> bool | str:
    """Whether all are below 1,000 steps; in part where all are below half of the shortest without dropout. NaN is never."""
    if all(steps < 1_000 for steps in delays):
        return True
    return "in part" if all(steps < min(without) / 2 for steps in delays) and np.isfinite(without).all() else False


def together(own: Sequence[Network]) -> tuple[str, Verdict]:
    curves = {"entropy": ENTROPY, "complexity, layer 1": COMPLEXITY["layer 1"]} | {
        f"sparsity, {k}": c for k, c in SPARSITY.items()
    }
    orders = {name: [n.order(curve, whole=True) for n in own] for name, curve in curves.items()}
    text = "; ".join(f"{name}: {counted(values)}" for name, values in orders.items())
    checks = [all(o == "overlapping" for o in values) for values in orders.values()]
    return f"change beside that of test accuracy, {text}", several(checks)


def penalties(plain: Sequence[Network], *kinds: Sequence[Network]) -> Told:
    texts, found = [], {}
    for level in LEVELS:
        base = {n.told["seed"]: n.reached("test", level) for n in plain}
        texts.append(f"test accuracy {level:g} without: from {when(list(base.values()))}")
        faster: list[bool | str] = []
        for kind, own in zip(("entropy", "sparsity", "complexity"), kinds, strict=True):
            shares: dict[float, list[tuple[float, float]]] = {}
            for n in own:
                (least, most), (first, last) = n.reached("test", level), base[n.told["seed"]]
                shares.setdefault(n.told[f"{kind}_penalty"], []).append((least / last, most / first))
            below = [[all(one[side] < 0.8 for one in each) for each in shares.values()] for side in (1, 0)]
            faster.append(settled(any(below[0]), any(below[1])))
            texts.append(
                f"{kind}: " + ", ".join(f"{when(each)} of that at {value:g}" for value, each in shares.items())
            )
        found[f"test accuracy {level:g}"] = several(faster)
    return "; ".join(texts), found
