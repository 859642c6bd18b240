"""The analysis `fourier`: the frequencies that a network computes modular addition with."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch

from interp.errors import require_range
from interp.plugins.analysis import Result, analysis
from interp.plugins.result import format_metric, format_share
from interp.report import figures
from interp.subject import Subject
from probes import cyclic_tables as tables
from probes import fourier as modes
from probes.claims.modes import fourier_claims


@analysis(
    "fourier",
    needs=("weights", "cyclic"),
    summary="Which frequencies the network computes with",
    order=40,
    question="represents",
)
def fourier(subject: Subject, *, top: int = 8) -> Result:
    """Fourier spectra of embeddings and logits, and the key frequencies.

    Nanda et al. 2023, Progress measures for grokking via mechanistic interpretability, https://arxiv.org/abs/2301.05217.

    Args:
        subject: a network on a task that is addition modulo n.
        top: number of frequencies in the table of the strongest, which always includes the key frequencies.

    Returns:
        The key frequencies, the logits' variance that functions of a + b explain, and all shares by frequency.
    """
    require_range("top", top, 0)
    logits = tables.logit_table(subject)
    n = logits.shape[0]
    keys = modes.logit_frequencies(logits)
    shares = modes.logit_shares(logits)
    embeddings = {name: modes.spectrum(table, n) for name, table in tables.embedding_tables(subject).items()}
    frame = _frame(shares, embeddings, keys)
    metrics = {
        "key_frequencies": keys,
        "logit_variance_explained": float(shares.on_sum.sum()),
        "logit_variance_explained_by_key": float(shares.on_sum[keys].sum()),
        "logit_variance_on_a_plus_b_minus_c": float(shares.on_difference[1:].sum()),
        "modulus": n,
    }
    for name, power in embeddings.items():
        label = name.replace(" ", "_")
        metrics[f"frequencies_in_{label}"] = modes.key_frequencies(power)
        metrics[f"gini_{label}"] = modes.gini(power)
    order = frame.sort_values("logits on (a + b - c)", ascending=False)
    result = Result(metrics, {"frequencies": frame, "strongest": order.head(max(top, len(keys)))})
    result.notes = _notes(metrics, list(embeddings), keys, tables.answered(logits))
    _draw(result, frame, embeddings, logits - logits.mean((0, 1)), keys)
    result.lead = next(iter(result.figures))
    share = metrics["logit_variance_explained"]
    named = ", ".join(map(str, keys)) or "none"
    result.headline = f"key frequencies {named}; functions of a + b explain {share:.1%} of the logits' variance"
    operands = {name: power for name, power in embeddings.items() if name.startswith("W_E")}
    held = {name: float(modes.shares(power)[keys].sum()) for name, power in operands.items() if power[1:].sum() > 0}
    drawn = {"logits": "logit spectrum", **{name: f"spectrum {name}" for name in held}}
    result.claims = fourier_claims(
        keys, metrics["logit_variance_explained_by_key"], held, len(shares.on_sum) - 1, drawn
    )
    result.verdict = [("key frequencies", format_metric(keys)), ("logits explained by a + b", format_share(share))]
    return result


def _frame(shares: modes.LogitShares, embeddings: dict[str, torch.Tensor], keys: list[int]) -> pd.DataFrame:
    """One row per frequency: its shares in embeddings and logits, and whether it is key."""
    frame = pd.DataFrame({"frequency": range(1, len(shares.on_sum))})
    for name, power in embeddings.items():
        frame[f"{name} share"] = modes.shares(power)[1:].cpu().numpy()
    frame["logits on (a + b)"] = shares.on_sum[1:].cpu().numpy()
    frame["logits on (a + b - c)"] = shares.on_difference[1:].cpu().numpy()
    frame["answer share"] = modes.answer_shares(shares)[1:].cpu().numpy()
    frame["key"] = frame["frequency"].isin(keys)
    return frame


def _notes(metrics: dict[str, Any], embeddings: list[str], keys: list[int], right: float) -> list[str]:
    notes = [
        "The key frequencies are those above the first drop to a 20th of the logits' spectrum (column 'answer share': the "
        "share of the variance on cos/sin(w_k (a + b - c)), times the part of the output's frequency k that lies there) below "
        "which it keeps nine in ten of its right answers without the rest. Logit variance is taken over inputs, with the mean "
        "per output removed; 'explained' is the share on functions of a + b."
    ]
    for name in embeddings:
        own = metrics[f"frequencies_in_{name.replace(' ', '_')}"]
        extra, faint = sorted(set(own) - set(keys)), sorted(set(keys) - set(own))
        if extra:
            notes.append(f"{name} also carries {extra} strongly, which do not reach the logits.")
        if faint and own:
            notes.append(f"In {name} the key frequencies {faint} lie below the gap of its spectrum.")
    if not keys:
        notes.append(
            "No frequencies stand above a drop of the logits' spectrum: the network does not (yet) compute with Fourier modes."
        )
    elif right < 0.95:
        notes.append(
            f"The network answers only {right:.0%} of its input table: frequencies that it is about to learn may be missing."
        )
    return notes


def _draw(
    result: Result, frame: pd.DataFrame, embeddings: dict[str, torch.Tensor], centred: torch.Tensor, keys: list[int]
) -> None:
    frequencies = list(frame["frequency"])
    for name in embeddings:
        result.figures[f"spectrum {name}"] = figures.bars(
            frequencies, frame[f"{name} share"], highlight=keys, title=f"Power of {name} by frequency (key frequencies orange)",
            x_title="frequency", y_title="share of non-constant power",
        )  # fmt: skip
    result.figures["logit spectrum"] = figures.bars(
        frequencies, frame["logits on (a + b - c)"], highlight=keys, log=True,
        title="Logits: share of variance on cos/sin(w_k (a + b - c))", x_title="frequency", y_title="share of variance",
    )  # fmt: skip
    power = modes.spectrum_2d(centred).cpu().numpy()
    if not power.sum() > 0:
        return
    result.figures["logits over the input table"] = figures.heatmap(
        power / power.sum(), log=True, unit="share", title="Logits over the input table: power by frequency in a and in b",
        x_title="frequency in b", y_title="frequency in a",
    )  # fmt: skip
