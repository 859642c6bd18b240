"""The directions that two representations share, as canonical variates, and a row's parts along them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuits.two_networks.affine_map import AffineMap
from interp.errors import require_range
from probes.similarity.products import products

TOLERANCE = 1e-10  # directions with less than this share of the largest variance are rounding
SHARED = 0.5  # share of a direction's variance that the other network must explain


@dataclass(frozen=True, eq=False)
class SharedSubspace:
    """Directions of a receiver's activation, the most predictable from the sender's first.

    They are canonical variates: in units in which the receiver's activation is white, so that parts along different directions
    are uncorrelated on the fitting inputs.

    Attributes:
        read: ``(y - mean) @ read`` are the variates ``[d, k]``, of unit variance on the fitting inputs.
        write: what one unit of each adds to the activation ``[k, d]``.
        mean: of the receiver's activation ``[d]``.
        fitted: the map from the sender's activation.
        held_out: squared correlation of each variate with what the map predicts, on inputs that it was not fitted to ``[k]``;
            the order is that of the fitting inputs.
        null: the largest squared correlation of any variate with the sender's inputs permuted, per draw.
        variance: share of the receiver's variance along each ``[k]``.
    """

    read: Float[Tensor, "d k"]
    write: Float[Tensor, "k d"]
    mean: Float[Tensor, "d"]
    fitted: AffineMap
    held_out: Float[Tensor, "k"]
    null: Float[Tensor, "draws"]
    variance: Float[Tensor, "k"]

    @classmethod
    def of(
        cls, x: Float[Tensor, "n d1"], y: Float[Tensor, "n d2"], fit: Int[Tensor, "fit"], judged: Int[Tensor, "judged"], *,
        ridge: float = 0.0, draws: int = 39, seed: int = 0,
    ) -> SharedSubspace:  # fmt: skip
        """The canonical directions of two representations of the same inputs.

        Args:
            x: of the sender.
            y: of the receiver.
            fit: inputs on which directions and map are fitted.
            judged: inputs on which correlations are measured.
            ridge: of the map.
            draws: permutations of the judged inputs.
            seed: of these.

        Returns:
            all directions of the receiver that vary.
        """
        require_range("draws", draws, 1)
        made = products(x[fit], y[fit])
        fitted, n = AffineMap.fitted(made, ridge), len(fit)
        eigenvalues, vectors = (t.flip(-1) for t in torch.linalg.eigh(made.yy / n))
        kept = int((eigenvalues > TOLERANCE * eigenvalues[0]).sum()) if bool(made.alive_y.any()) else 0
        roots = eigenvalues[:kept].sqrt()
        white, back = vectors[:, :kept] / roots, (vectors[:, :kept] * roots).T
        predicted = (fitted(x[fit]) - made.mean_y) @ white  # least squares: its left singular directions are canonical
        turn = torch.linalg.svd(predicted.T @ predicted / n).Vh
        read, write = white @ turn.T, turn @ back
        own, theirs = ((rows[judged] - made.mean_y) @ read for rows in (y, fitted(x)))
        held_out = _squared_correlation(own, theirs)
        generator = torch.Generator().manual_seed(seed)
        null = [
            _squared_correlation(own, theirs[torch.randperm(len(judged), generator=generator).to(own.device)])
            for _ in range(draws)
        ]
        largest = torch.stack([v.max() if len(v) else torch.zeros(()).to(v) for v in null])
        power = write.square().sum(1)
        return cls(read, write, made.mean_y, fitted, held_out, largest, power / power.sum().clamp_min(1e-300))

    @property
    def rank(self) -> int:
        """How many directions are shared: the other network explains half of their variance, and more than permuted inputs."""
        return int((self.held_out > max(SHARED, float(self.null.max()))).sum())

    def shared(self, rank: int | None = None) -> Tensor:
        """Which directions are shared: those with the largest held-out correlation.

        Args:
            rank: how many; `rank` by default.

        Returns:
            their indices.
        """
        return self.held_out.argsort(descending=True)[: self.rank if rank is None else rank]


def _squared_correlation(x: Tensor, y: Tensor) -> Tensor:
    """Squared correlation column by column; 0 where one is constant."""
    u, v = x - x.mean(0), y - y.mean(0)
    scale = u.square().sum(0) * v.square().sum(0)
    return torch.where(scale > 0, (u * v).sum(0).square() / scale.clamp_min(1e-300), torch.zeros_like(scale))
