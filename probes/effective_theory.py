"""The effective theory of representation learning: a loss of the embeddings only, its gradient flow, the grokking rate.

Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning,
https://arxiv.org/abs/2205.10343.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp.errors import InterpError, require_range
from interp.tasks import ToyAddition
from probes._tensors import as_mask, as_tensor
from probes.parallelograms import Samples, equations, nullity, samples_of
from probes.wilson_interval import wilson

MAX_SUBSETS = 200_000
CHUNK = 2_000  # train sets at once


def effective_loss(
    embeddings: Float[Tensor, "symbol dim"], samples: Samples, trained: Bool[Tensor, "sample"]
) -> Float[Tensor, ""]:
    """Effective loss ``l0 / Z0``: l0 is the mean of ``|E_i + E_j - E_m - E_n|^2`` over P0(D), Z0 the sum of ``|E_k|^2``.

    P0(D) are the parallelograms with both samples in the train set (for matrix embeddings, of their products). Liu et al.
    2022, https://arxiv.org/abs/2205.10343, section 3.2.

    Args:
        embeddings: one per symbol, ``[symbol, dim]``.
        samples: of the operation, from `probes.parallelograms.samples_of`.
        trained: the train set as a boolean mask ``[sample]``.

    Returns:
        A scalar in the embeddings' dtype, differentiable; 0 if P0(D) is empty.

    Raises:
        InterpError: embeddings or a mask that do not fit the samples.

    >>> samples, _ = samples_of(ToyAddition(3))  # one parallelogram: 0 + 2 = 1 + 1
    >>> effective_loss(torch.tensor([[0.0], [0.0], [1.0]]), samples, torch.ones(6, dtype=torch.bool)).item()
    1.0
    """
    embeddings, trained = as_tensor(embeddings, "embeddings"), as_mask(trained, len(samples.labels), "trained")
    members, valid = (t.to(embeddings.device) for t in samples.classes)
    in_train = (trained.to(embeddings.device)[members] & valid).to(embeddings.dtype)
    counts = in_train.sum(1)
    values = samples.combine(embeddings)[members]
    middle = (values * in_train[..., None]).sum(1) / counts.clamp_min(1)[:, None]
    # over the pairs of c values: sum |x - y|^2 = c sum |x - mean|^2
    squares = (counts * ((values - middle[:, None]).square().sum(2) * in_train).sum(1)).sum()
    below = (counts * (counts - 1) / 2).sum() * embeddings.square().sum()
    return torch.where(below == 0, squares * 0, squares / torch.where(below == 0, 1, below))


def hessian(
    samples: Samples, trained: Bool[Tensor, "sample"], z0: float | None = None
) -> Float[Tensor, "symbol symbol"]:
    """Hessian of the effective loss at constant Z0: ``H = 2 A^T A / (|P0(D)| Z0)``, so that ``l0 / Z0 = R^T H R / 2``.

    Liu et al. 2022, https://arxiv.org/abs/2205.10343, equation 8.

    Args:
        samples: of an operation on sums, from `probes.parallelograms.samples_of`.
        trained: the train set as a boolean mask ``[sample]``.
        z0: the sum of ``|E_k|^2``; by default the number of symbols, the value of normalised embeddings.

    Returns:
        ``[symbol, symbol]`` in float64; zeros if P0(D) is empty.

    Raises:
        InterpError: a Z0 that is not above 0.
    """
    trained = as_mask(trained, len(samples.labels), "trained").to(samples.labels.device)
    gram = equations(samples, trained)
    counts = trained.double() @ torch.nn.functional.one_hot(samples.labels.unique(return_inverse=True)[1]).double()
    n = float((counts * (counts - 1) / 2).sum())
    z0 = samples.n_symbols if z0 is None else z0
    if not z0 > 0:
        raise InterpError(f"Z0 must be above 0, got {z0}")
    return 2 * gram / (n * z0) if n else gram


def grokking_rate(samples: Samples, trained: Bool[Tensor, "sample"], z0: float | None = None) -> float:
    """Grokking rate ``lambda_3``: the third smallest eigenvalue of `hessian`, 0 if the train set does not force a line.

    It is the rate of the slowest component of the flow that vanishes at all: gradient descent on the embeddings at
    learning rate lr takes ``n_h = 1 / (lambda_3 lr)`` steps. Liu et al. 2022, https://arxiv.org/abs/2205.10343, section 3.2.

    Args:
        samples: of an operation on sums, from `probes.parallelograms.samples_of`.
        trained: the train set as a boolean mask ``[sample]``.
        z0: as for `hessian`.

    Returns:
        The rate, per unit of time of the flow.

    >>> samples, _ = samples_of(ToyAddition(10))
    >>> round(grokking_rate(samples, torch.ones(55, dtype=torch.bool)), 6)  # 2 * 30 / (70 * 10)
    0.085714
    """
    gram = hessian(samples, trained, z0)
    if len(gram) < 3 or int(nullity(equations(samples, trained))) > 2:
        return 0.0
    return float(torch.linalg.eigvalsh(gram)[2])


def effective_flow(
    start: Float[Tensor, "symbol dim"],
    samples: Samples,
    trained: Bool[Tensor, "sample"],
    times: Float[Tensor, "time"],
) -> Float[Tensor, "time symbol dim"]:
    """Gradient flow of the effective loss, ``dE/dt = - d(l0 / Z0) / dE`` from ``start``, in closed form and float64.

    Z0 is constant along the flow, so ``E(t) = sqrt(Z0) exp(-H t) E(0) / |exp(-H t) E(0)|`` with H at that Z0. Centred
    embeddings stay centred. (Liu et al. 2022, https://arxiv.org/abs/2205.10343, appendix F, state that sum E_k is conserved
    in general; the proof drops the derivative of 1 / Z0, and the sum grows at a rate of ``2 l0 / Z0^2`` times itself.)

    Args:
        start: embeddings at time 0, ``[symbol, dim]``.
        samples: of an operation on sums, from `probes.parallelograms.samples_of`.
        trained: the train set as a boolean mask ``[sample]``.
        times: ``[time]``; n steps of gradient descent at learning rate lr are a time of n lr.

    Returns:
        Embeddings at every time, ``[time, symbol, dim]``.

    Raises:
        InterpError: embeddings that do not fit the symbols, are all 0 or not finite.
    """
    start, times = as_tensor(start, "start"), as_tensor(times, "times")
    start = start.detach().double()
    samples.combine(start)  # refuses embeddings that do not fit the symbols
    z0 = start.square().sum()
    if not 0 < z0 < math.inf:
        raise InterpError("embeddings that are all 0 do not flow, since Z0 is 0, nor do any with NaN or infinity")
    values, vectors = torch.linalg.eigh(hessian(samples, trained, float(z0)).to(start.device))
    values = values.clamp_min(0)  # a Gram matrix; rounding goes below
    parts = vectors.T @ start
    moved = vectors @ (torch.exp(-values[None, :] * times.to(start)[:, None])[..., None] * parts)
    norm = moved.square().sum((1, 2), keepdim=True).sqrt()
    return z0.sqrt() * moved / norm


@dataclass(frozen=True)
class Probability:
    """The share of train sets that force the linear structure.

    Attributes:
        forced: number of train sets that force it.
        total: number of train sets tried.
        exact: whether these are all train sets of that size.
    """

    forced: int
    total: int
    exact: bool

    @property
    def value(self) -> float:
        """The share, from 0 to 1."""
        return self.forced / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval of the share; the share itself if it is exact.

        >>> tuple(round(end, 3) for end in Probability(50, 100, exact=False).interval)
        (0.404, 0.596)
        """
        if self.exact:
            return self.value, self.value
        return wilson(self.forced, self.total)


def linear_probability(p: int, n_train: int, draws: int = 10_000, seed: int = 0) -> Probability:
    """Probability that a random train set of ``n_train`` sums forces the linear structure ``E_k = a + k b`` (nullity 2).

    All train sets are tried if there are at most 200,000, otherwise ``draws`` random ones. No network is trained. Liu et al.
    2022, https://arxiv.org/abs/2205.10343, figure 4a.

    Args:
        p: number of symbols; there are ``p (p + 1) / 2`` sums.
        n_train: size of the train set.
        draws: random train sets where there are too many to try all.
        seed: of the draws.

    Returns:
        The share of train sets, with its interval.

    >>> linear_probability(4, 10), linear_probability(4, 3).forced
    (Probability(forced=1, total=1, exact=True), 0)
    """
    samples, _ = samples_of(ToyAddition(p))
    n = len(samples.labels)
    require_range("n_train", n_train, 0, n)
    require_range("draws", draws, 1)
    exact = math.comb(n, n_train) <= MAX_SUBSETS
    if exact:
        subsets = torch.tensor(list(itertools.combinations(range(n), n_train)), dtype=torch.long)
        subsets = subsets.view(math.comb(n, n_train), n_train)
    else:
        generator = torch.Generator().manual_seed(seed)
        subsets = torch.rand(draws, n, generator=generator, dtype=torch.float64).argsort(1)[:, :n_train]
    forced = 0
    for part in subsets.split(CHUNK):
        trained = torch.zeros(len(part), n, dtype=torch.bool).scatter_(1, part, True)
        forced += int((nullity(equations(samples, trained)) == 2).sum())
    return Probability(forced, len(subsets), exact)
