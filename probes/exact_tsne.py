"""t-SNE of a few hundred points with all their pairs, which is faster there than scikit-learn's sums over cells."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# of scikit-learn: https://scikit-learn.org/stable/modules/generated/sklearn.manifold.TSNE.html
EXAGGERATION, EXAGGERATED = 12.0, 250  # early exaggeration of the similarities, and for how many iterations
MOMENTA = (0.5, 0.8)  # while exaggerated, and after that
LEAST_RATE = 50.0
SEARCHES = 100  # steps of bisection for a point's bandwidth
WITHIN = 1e-5  # of the entropy


def exact_tsne(points: Float[Tensor, "n dim"], perplexity: float, iterations: int) -> Float[Tensor, "n 2"]:
    """t-SNE in two dimensions from the first two principal components, by gradient descent over all pairs of points.

    van der Maaten and Hinton 2008, https://jmlr.org/papers/v9/vandermaaten08a.html; the schedule is scikit-learn's. Nothing
    is random.

    Args:
        points: ``[n, dim]`` in float64.
        perplexity: effective number of neighbours.
        iterations: of gradient descent.

    Returns:
        ``[n, 2]``.
    """
    shares, placed = joint_similarities(points, perplexity), _first_places(points)
    gains, update = torch.ones_like(placed), torch.zeros_like(placed)
    rate = max(len(points) / EXAGGERATION / 4, LEAST_RATE)
    for i in range(iterations):
        early = i < EXAGGERATED
        if i == EXAGGERATED:  # another landscape: start afresh
            gains, update = torch.ones_like(placed), torch.zeros_like(placed)
        near = _nearness(placed)
        pull = (EXAGGERATION * shares if early else shares).sub(near / near.sum()).mul_(near)
        slope = 4 * (pull.sum(1, keepdim=True) * placed - pull @ placed)
        gains = torch.where(update * slope < 0, gains + 0.2, gains * 0.8).clamp_min_(0.01)
        update = MOMENTA[not early] * update - rate * gains * slope
        placed = placed + update
    return placed


def divergence(points: Float[Tensor, "n dim"], placed: Float[Tensor, "n 2"], perplexity: float) -> float:
    """What t-SNE makes small: the Kullback-Leibler divergence of similarities in the picture from those of the points.

    Args:
        points: ``[n, dim]`` in float64.
        placed: where each of them is put.
        perplexity: effective number of neighbours.

    Returns:
        nats.
    """
    shares, near = joint_similarities(points, perplexity), _nearness(placed)
    return float(torch.special.xlogy(shares, shares / (near / near.sum()).fill_diagonal_(1)).sum())


def joint_similarities(points: Float[Tensor, "n dim"], perplexity: float) -> Float[Tensor, "n n"]:
    """Similarities of pairs of points: Gaussian around each, with a bandwidth that gives the perplexity, made symmetric.

    Args:
        points: ``[n, dim]`` in float64.
        perplexity: effective number of neighbours.

    Returns:
        shares of 1, with a diagonal of 0.
    """
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").square()
    distances = distances / distances.max()
    itself = torch.eye(len(points), dtype=torch.bool)
    goal = torch.tensor(perplexity, dtype=points.dtype).log()
    low, high = points.new_zeros(len(points), 1), points.new_full((len(points), 1), torch.inf)
    sharp = points.new_ones(len(points), 1)
    share = distances
    for _ in range(SEARCHES):
        share = (-sharp * distances).masked_fill(itself, -torch.inf).softmax(1)
        excess = torch.special.entr(share).sum(1, keepdim=True) - goal
        if bool((excess.abs() <= WITHIN).all()):
            break
        low, high = torch.where(excess > 0, sharp, low), torch.where(excess > 0, high, sharp)
        sharp = torch.where(high.isinf(), 2 * sharp, (low + high) / 2)
    return (share + share.T) / (2 * len(points))


def _nearness(placed: Float[Tensor, "n 2"]) -> Float[Tensor, "n n"]:
    """Student's t of every pair in the picture, 0 of a point with itself."""
    squares = placed.square().sum(1)
    distances = torch.addmm(squares[:, None] + squares, placed, placed.T, alpha=-2)
    return distances.clamp_min_(0).add_(1).reciprocal_().fill_diagonal_(0)


def _first_places(points: Float[Tensor, "n dim"]) -> Float[Tensor, "n 2"]:
    """The first two principal components, so small that every point is near every other."""
    left, size, _ = torch.linalg.svd(points - points.mean(0), full_matrices=False)
    found = torch.nn.functional.pad(left * size, (0, 2))[:, :2]
    signs = found.gather(0, found.abs().argmax(0, keepdim=True)).sign()  # the same picture on every machine
    found = found * signs.where(signs != 0, 1.0)
    return found / found[:, 0].std(correction=0) * 1e-4
