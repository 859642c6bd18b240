"""Hidden units: which are active, and which frequency each one computes with."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import require_range
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.sites import hidden_sites
from interp.subject import Subject
from probes import cyclic_tables as tables
from probes import fourier

TUNED = 0.85  # Nanda et al. 2023 call a neuron explained by one frequency above this share
ACTIVE = 1e-6  # standard deviation over the inputs, relative to the layer's largest


def active(values: Float[Tensor, "inputs units"], tolerance: float = ACTIVE) -> Tensor:
    """Which units vary over the inputs: standard deviation above ``tolerance`` times the layer's largest.

    >>> active(torch.tensor([[0.0, 1.0], [0.0, 2.0]])).tolist()
    [False, True]
    """
    spread = values.double().std(0, correction=0)
    return spread > tolerance * spread.amax().clamp_min(torch.finfo(torch.float64).tiny)


@analysis("neurons", needs=("activations", "cyclic"), summary="The frequency of every hidden unit", order=60)
def neurons(subject: Subject, *, tuned: float = TUNED) -> Result:
    """Frequency of each neuron, with the share of its variance that the frequency explains.

    Args:
        tuned: a neuron with at least this share belongs to its frequency.
    """
    require_range("tuned", tuned, 0, 1)
    keys = fourier.logit_frequencies(tables.logit_table(subject))
    frames, result = [], Result()
    for site in hidden_sites(subject.model):
        values = tables.neuron_table(subject, site)
        share, frequency = fourier.neuron_shares(values).max(0)
        alive = active(values.flatten(0, 1))
        frames.append(
            pd.DataFrame(
                {"site": site, "unit": range(values.shape[-1]), "active": alive.cpu().numpy(),
                 "frequency": frequency.where(alive, -torch.ones_like(frequency)).cpu().numpy(),
                 "share": share.cpu().numpy(), "mean": values.mean((0, 1)).cpu().numpy()}
            )
        )  # fmt: skip
    if not frames:
        result.headline = "the network has no hidden units behind an activation function"
        return result
    frame = pd.concat(frames, ignore_index=True)
    living = frame.query("active")
    clusters = Counter(living.query("share >= @tuned")["frequency"].to_list())
    in_keys = len(living.query("frequency in @keys"))
    result.metrics = {
        "units": len(frame), "active": len(living), "tuned": clusters.total(), "preferring_a_key_frequency": in_keys,
        "median_share": float(np.median(living["share"].to_numpy())) if len(living) else None,
    }  # fmt: skip
    by_frequency = living.groupby("frequency")["share"].agg(["size", "median"]).reset_index()
    by_frequency.columns = ["frequency", "neurons", "median share"]
    by_frequency["tuned"] = [clusters[k] for k in by_frequency["frequency"]]
    by_frequency["key"] = by_frequency["frequency"].isin(keys)
    result.tables = {"neurons": frame, "by frequency": by_frequency.sort_values("neurons", ascending=False)}
    result.figures["neurons by frequency"] = figures.bars(
        list(by_frequency["frequency"]), by_frequency["neurons"], highlight=keys, x_title="frequency",
        title="Neurons by frequency (key ones orange)", y_title="neurons",
    )  # fmt: skip
    names = [f"{site} unit {unit}" for site, unit in zip(living["site"], living["unit"], strict=True)]
    result.figures["share explained"] = figures.scatter(
        living["frequency"], living["share"], labels=names,
        title="How much of each neuron one frequency explains", x_title="frequency", y_title="share of the neuron's variance",
    )  # fmt: skip
    result.notes.append(
        "Frequency k of a neuron: cos and sin of w_k a, of w_k b, and their products, over the input table at the readout."
    )
    result.headline = (
        f"{in_keys} of {len(living)} active neurons prefer a key frequency; {clusters.total()} are explained by one "
        f"frequency to {tuned:.0%} or more"
    )
    return result
