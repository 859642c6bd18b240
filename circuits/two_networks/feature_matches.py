"""Which feature of one network is which of another's: correlations over shared inputs, beside permuted inputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuits.two_networks.affine_map import AffineMap
from probes.similarity.products import products


@dataclass(frozen=True, eq=False)
class Matches:
    """The features of one network (``own``), each beside the most alike of another's.

    Attributes:
        best: the most alike feature ``[k]``.
        correlation: with it, signed ``[k]``.
        explained: of each feature's variance, by its match alone or by all of the other's layer ``[k]``.
        null: the largest of that with inputs permuted ``[k]``.
        here: how many of the own features are alike its match, beyond the threshold ``[k]``.
        there: how many of the other's are ``[k]``.
    """

    best: Int[Tensor, "k"]
    correlation: Float[Tensor, "k"]
    explained: Float[Tensor, "k"]
    null: Float[Tensor, "k"]
    here: Int[Tensor, "k"]
    there: Int[Tensor, "k"]

    def found(self, threshold: float) -> Tensor:
        """Which features the other network has, too ``[k]``."""
        return (self.explained >= threshold) & (self.explained > self.null)


def matched(own: Float[Tensor, "n k"], other: Float[Tensor, "n m"], threshold: float, draws: int, seed: int) -> Matches:
    """Match features one by one.

    Args:
        own: values of features over inputs, one column each; none is constant.
        other: of another network, on the same inputs.
        threshold: squared correlation from which features count as alike.
        draws: permutations of the inputs.
        seed: of these.

    Returns:
        the matches of ``own``; ``explained`` is the squared correlation with the match.

    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]], dtype=torch.float64)
    >>> found = matched(x, -x.flip(1), 0.5, 1, 0)
    >>> found.best.tolist(), found.correlation.round(decimals=6).tolist()
    ([1, 0], [-1.0, -1.0])
    """
    u, v = standard(own), standard(other)
    between = u.T @ v
    strength, best = between.square().max(1)
    alike = between.square() >= threshold
    within = (v.T @ v).square() >= threshold
    generator = torch.Generator().manual_seed(seed)
    null = torch.zeros_like(strength)
    for _ in range(draws):
        order = torch.randperm(len(v), generator=generator).to(v.device)
        null = torch.maximum(null, (u.T @ v[order]).square().max(1).values)
    correlation = between.gather(1, best[:, None])[:, 0]
    return Matches(best, correlation, strength, null, alike[:, best].sum(0), within[:, best].sum(0))


def explained_by_layer(
    own: Float[Tensor, "n k"], layer: Float[Tensor, "n d"], fit: Int[Tensor, "fit"], judged: Int[Tensor, "judged"],
    draws: int, seed: int, ridge: float = 0.0,
) -> tuple[Float[Tensor, "k"], Float[Tensor, "k"]]:  # fmt: skip
    """How much of each feature a linear map of another network's layer explains, on inputs that it was not fitted to.

    Args:
        own: values of features over inputs.
        layer: the other network's activation.
        fit: inputs that the map is fitted on.
        judged: inputs that it is judged on.
        draws: permutations of the judged inputs.
        seed: of these.
        ridge: of the map.

    Returns:
        squared correlations of features and predictions, and the largest with inputs permuted.
    """
    predicted = AffineMap.fitted(products(layer[fit], own[fit]), ridge)(layer[judged])
    u, v = standard(own[judged]), standard(predicted)
    generator, null = torch.Generator().manual_seed(seed), torch.zeros_like(u[0])
    for _ in range(draws):
        order = torch.randperm(len(v), generator=generator).to(v.device)
        null = torch.maximum(null, (u * v[order]).sum(0).square())
    return (u * v).sum(0).square(), null


def standard(x: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
    """Columns about their mean, of length 1; 0 where they do not vary."""
    centred = x - x.mean(0)
    norms = centred.norm(dim=0)
    return torch.where(norms > 1e-12 * x.norm(dim=0), centred / norms.clamp_min(1e-300), torch.zeros_like(centred))
