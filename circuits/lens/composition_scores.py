"""Composition scores: how much of what one head writes a later head reads, as queries, keys or values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from circuits.engine.arguments import require_whole
from circuits.findings import Findings
from circuits.lens.paths import PathWeights
from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.base import HookedModel
from interp.report import figures
from interp.subject import Subject

if TYPE_CHECKING:
    import plotly.graph_objects as go

KINDS = ("Q", "K", "V")


@dataclass(repr=False, eq=False)
class CompositionScores(Findings):
    """Composition of every head with every later head.

    Attributes:
        kinds: which of ``Q``, ``K`` and ``V``.
        heads: labels, layer by layer.
        layers: of each head.
        scores: ``[kind, writer, reader]``; 0 where the reader's layer is not after the writer's.
        random_mean: the same where the residual stream between them is turned at random.
        random_std: over these rotations.
        n_random: how many there were.
        seed: of them.
    """

    kinds: tuple[str, ...]
    heads: tuple[str, ...]
    layers: tuple[int, ...]
    scores: Float[Tensor, "kind writer reader"]
    random_mean: Float[Tensor, "kind writer reader"]
    random_std: Float[Tensor, "kind writer reader"]
    n_random: int
    seed: int

    @property
    @override
    def table(self) -> pd.DataFrame:
        """A row per kind and pair; ``clean`` is the mean over random rotations, ``z`` the change over their deviation."""
        rows = []
        for k, kind in enumerate(self.kinds):
            for i, j in self._pairs():
                score, mean, std = (float(x[k, i, j]) for x in (self.scores, self.random_mean, self.random_std))
                rows.append({
                    "component": f"{self.heads[i]} -> {self.heads[j]} {kind}", "site": f"blocks.{self.layers[i]}.attn.hook_z",
                    "index": i, "metric": f"{kind}-composition", "clean": mean, "changed": score, "change": score - mean,
                    "z": (score - mean) / std if std > 0 else float("nan"), "writer": self.heads[i], "reader": self.heads[j],
                })  # fmt: skip
        return pd.DataFrame(rows)

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """The pair of each kind that stands out most, against random rotations."""
        gaps = self.scores - self.random_mean
        found: dict[str, Any] = {}
        for k, kind in enumerate(self.kinds):
            i, j = max(self._pairs(), key=lambda pair: float(gaps[k][pair]))
            found[kind] = f"{self.heads[i]} -> {self.heads[j]} {float(self.scores[k, i, j]):.3f}"
        mean = self.random_mean[self.random_mean > 0].mean()
        return {**found, "random": float(mean), "n_random": self.n_random, "seed": self.seed}

    @override
    def figure(self) -> go.Figure:
        """Score minus the random mean: writers down, readers across, a block of columns per kind."""
        drawn = np.full((len(self.heads), len(self.kinds) * len(self.heads)), np.nan)
        for k in range(len(self.kinds)):
            for i, j in self._pairs():
                drawn[i, k * len(self.heads) + j] = float(self.scores[k, i, j] - self.random_mean[k, i, j])
        names = [f"{head} {kind}" for kind in self.kinds for head in self.heads]
        down = [i for i, row in enumerate(drawn) if not np.isnan(row).all()]
        across = [j for j, column in enumerate(drawn.T) if not np.isnan(column).all()]
        return figures.heatmap(
            drawn[down][:, across], title="Composition, less that of random rotations", x_title="reads", y_title="writes",
            x=[names[j] for j in across], y=[self.heads[i] for i in down], diverging=True,
            unit="score less random",
        )  # fmt: skip

    def _pairs(self) -> list[tuple[int, int]]:
        n = range(len(self.heads))
        return [(i, j) for i in n for j in n if self.layers[i] < self.layers[j]]


@torch.no_grad()
def composition_scores(
    subject: Subject | HookedModel,
    kinds: str | Sequence[str] = KINDS,
    *,
    n_random: int = 20,
    seed: int = 0,
    fold_norms: bool = True,
    dtype: torch.dtype | None = None,
) -> CompositionScores:
    """Composition scores of every head with every later one, beside those of randomly turned weights.

        score = ||W_OV W|| / (||W_OV|| ||W||),  W = W_QK for Q, W_QK^T for K, W_OV of the reader for V

    with Frobenius norms. Two matrices whose directions have nothing to do with each other score about ``1 / sqrt(d_model)``; the
    random baseline turns the residual stream between the two heads by a random rotation, which keeps the singular values of both.

    Args:
        subject: a transformer of at least two layers, or a wrapped bridge.
        kinds: of composition: ``"Q"``, ``"K"``, ``"V"``, or several.
        n_random: random rotations.
        seed: of these.
        fold_norms: multiply in the weights of the norm that the reader reads through. TransformerLens's
            ``all_composition_scores`` leaves them out.
        dtype: the subject's precision (float64) by default.

    Returns:
        scores by kind, writer and reader.

    Raises:
        UnknownName: another kind.
        InterpError: one layer only, or another kind of network.

    Elhage et al. 2021, A Mathematical Framework for Transformer Circuits,
    https://transformer-circuits.pub/2021/framework/index.html. It misleads where a head mostly acts through the directions that
    matter little in the norm: it is a property of weights, not of what the heads do on inputs.
    """
    chosen = (kinds,) if isinstance(kinds, str) else tuple(kinds) if isinstance(kinds, (list, tuple)) else ()
    for kind in chosen:
        if kind not in KINDS:
            raise UnknownName(unknown("kind of composition", kind, KINDS))
    require_whole("n_random", n_random, 1)
    weights = PathWeights.of(subject, fold_norms, dtype)
    cfg = weights.model.cfg
    if cfg.n_layers < 2 or not chosen:
        raise InterpError(f"{weights.name} has one layer, and heads compose with those of later layers" if chosen else
                          "give the kinds of composition: 'Q', 'K', 'V'")  # fmt: skip
    written = _small(weights.read_by_all("V"), weights.model.W_O.detach()).flatten(0, 1)  # [head, d_head, d_model]
    query, key, value = (weights.read_by_all(which) for which in "QKV")
    pairs = {"Q": (key, query), "K": (query, key), "V": (weights.model.W_O.detach().mT, value)}
    readers = torch.stack([_small(pairs[kind][0], pairs[kind][1].mT).flatten(0, 1) for kind in chosen]).mT
    layers = tuple(i for i in range(cfg.n_layers) for _ in range(cfg.n_heads))
    at = torch.tensor(layers, device=written.device)
    later = at[:, None] < at
    size = written.norm(dim=(1, 2))[:, None] * readers.norm(dim=(2, 3))[:, None]
    generator = torch.Generator().manual_seed(seed)
    draws = [_scores(written @ _rotation(written, generator), readers) / size for _ in range(n_random)]
    made = torch.stack([_scores(written, readers) / size, *draws]).where(later, 0.0)
    return CompositionScores(
        chosen, tuple(weights.model.all_head_labels), layers, made[0], made[1:].mean(0), made[1:].std(0, correction=0),
        n_random, seed,
    )  # fmt: skip


def _scores(written: Tensor, readers: Tensor) -> Tensor:
    """Norms of the products of ``[writer, d_head, d]`` and ``[kind, reader, d, d_head]``: ``[kind, writer, reader]``."""
    rows = []
    for one in written:  # one writer at a time, so that no [writer, reader, d_head, d_head] stands in memory
        rows.append((one @ readers).norm(dim=(-2, -1)))
    return torch.stack(rows, 1)


def _small(left: Tensor, right: Tensor) -> Tensor:
    """``left [.., d, r]`` times ``right [.., r, e]``, turned so that it has r rows: the same products' norms."""
    return torch.linalg.qr(left).R @ right


def _rotation(like: Tensor, generator: torch.Generator) -> Tensor:
    d = like.shape[-1]
    q, r = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))
    return (q * r.diagonal().sign()).to(like)
