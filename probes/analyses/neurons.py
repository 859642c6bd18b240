"""The analysis `neurons`: the frequency that every hidden unit computes with."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import torch

from interp.errors import require_range
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.sites import hidden_sites
from interp.subject import Subject
from probes import cyclic_tables as tables
from probes import fourier
from probes.claims.modes import neuron_claims
from probes.claims.oddities import dead_claims
from probes.neurons import active

TUNED = 0.85  # Nanda et al. 2023 call a neuron explained by one frequency above this share


@analysis(
    "neurons", needs=("activations", "cyclic"), summary="The frequency of every hidden unit", order=60, question="where"
)
def neurons(subject: Subject, *, tuned: float = TUNED) -> Result:
    """Every neuron's frequency, and the share of its variance over the input table that the frequency explains.

    Nanda et al. 2023, Progress measures for grokking via mechanistic interpretability, https://arxiv.org/abs/2301.05217.

    Args:
        subject: a network with hidden units, on a task that is addition modulo n.
        tuned: share from which a neuron counts as tuned to its frequency.

    Returns:
        Tables of neurons and of frequencies, and how many active neurons prefer a key frequency.
    """
    require_range("tuned", tuned, 0, 1)
    logits = tables.logit_table(subject)
    keys = fourier.logit_frequencies(logits)
    frames = [_layer(site, tables.neuron_table(subject, site)) for site in hidden_sites(subject.model)]
    if not frames:
        return Result(headline="the network has no hidden units after an activation function")
    frame = pd.concat(frames, ignore_index=True)
    living = frame.query("active")
    clusters = Counter(living.query("share >= @tuned")["frequency"].to_list())
    in_keys = len(living.query("frequency in @keys"))
    result = Result()
    result.metrics = {
        "units": len(frame), "active": len(living), "tuned": clusters.total(), "preferring_a_key_frequency": in_keys,
        "median_share": float(np.median(living["share"].to_numpy())) if len(living) else None,
    }  # fmt: skip
    by_frequency = _by_frequency(living, clusters, keys)
    result.tables = {"neurons": frame, "by frequency": by_frequency.sort_values("neurons", ascending=False)}
    _draw(result, living, by_frequency, keys)
    found = in_keys, len(living), result.metrics["median_share"], len(keys), len(logits) // 2
    result.claims = neuron_claims(*found, figure="neurons by frequency") + dead_claims(len(living), len(frame))
    result.notes.append(
        "Frequency k of a neuron means cos and sin of w_k a and of w_k b, and their products, over the input table at the "
        "readout position."
    )
    result.headline = (
        f"{in_keys} of {len(living)} active neurons prefer a key frequency; one frequency explains at least {tuned:.0%} of "
        f"the variance of {clusters.total()}"
    )
    return result


def _layer(site: str, values: torch.Tensor) -> pd.DataFrame:
    """One row per unit of a layer: whether it is active, its frequency, the share explained, its mean."""
    share, frequency = fourier.neuron_shares(values).max(0)
    alive = active(values.flatten(0, 1))
    return pd.DataFrame(
        {"site": site, "unit": range(values.shape[-1]), "active": alive.cpu().numpy(),
         "frequency": frequency.where(alive, -torch.ones_like(frequency)).cpu().numpy(),
         "share": share.cpu().numpy(), "mean": values.mean((0, 1)).cpu().numpy()}
    )  # fmt: skip


def _by_frequency(living: pd.DataFrame, clusters: Counter, keys: list[int]) -> pd.DataFrame:
    """One row per frequency that an active neuron prefers."""
    table = living.groupby("frequency")["share"].agg(["size", "median"]).reset_index()
    table.columns = ["frequency", "neurons", "median share"]
    table["tuned"] = [clusters[k] for k in table["frequency"]]
    table["key"] = table["frequency"].isin(keys)
    return table


def _draw(result: Result, living: pd.DataFrame, by_frequency: pd.DataFrame, keys: list[int]) -> None:
    result.figures["neurons by frequency"] = figures.bars(
        list(by_frequency["frequency"]), by_frequency["neurons"], highlight=keys, x_title="frequency",
        title="Neurons by frequency (key frequencies orange)", y_title="neurons",
    )  # fmt: skip
    names = [f"{site} unit {unit}" for site, unit in zip(living["site"], living["unit"], strict=True)]
    result.figures["share explained"] = figures.scatter(
        living["frequency"], living["share"], labels=names, title="Share of each neuron's variance that one frequency explains",
        x_title="frequency", y_title="share of variance",
    )  # fmt: skip
