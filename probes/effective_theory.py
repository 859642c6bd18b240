"""The effective theory of representation learning: a loss of the embeddings alone, its flow, its rates (Liu et al. 2022)."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp.errors import InterpError, MissingCapability, require_range
from interp.plugins.measure import measure
from interp.snapshot import Snapshot
from interp.tasks import ToyAddition
from probes.parallelograms import Samples, equations, nullity, operation_of, samples_of

MAX_SUBSETS = 200_000
CHUNK = 2_000  # train sets at once


def effective_loss(
    embeddings: Float[Tensor, "symbol dim"], samples: Samples, trained: Bool[Tensor, "sample"]
) -> Float[Tensor, ""]:
    """``l0 / Z0``: l0 the mean of ``|E_i + E_j - E_m - E_n|^2`` over P0(D), Z0 the sum of ``|E_k|^2``; 0 where P0(D) is empty.

    P0(D) are the parallelograms with both samples trained on (of matrix embeddings: of their products). In the embeddings'
    dtype, and differentiable. Source: METHODS C.

    >>> samples, _ = samples_of(ToyAddition(3))  # one parallelogram: 0 + 2 = 1 + 1
    >>> effective_loss(torch.tensor([[0.0], [0.0], [1.0]]), samples, torch.ones(6, dtype=torch.bool)).item()
    1.0
    """
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
    """``H = 2 A^T A / (|P0(D)| Z0)``, the Hessian of ``l0 / Z0`` at constant Z0: ``l0 / Z0 = R^T H R / 2``.

    Args:
        z0: the sum of ``|E_k|^2``; by default the number of symbols, that of normalised embeddings.

    Source: METHODS C (Liu et al. 2022, equation 8). Zeros where P0(D) is empty.
    """
    gram = equations(samples, trained)
    counts = trained.double() @ torch.nn.functional.one_hot(samples.labels.unique(return_inverse=True)[1]).double()
    n = float((counts * (counts - 1) / 2).sum())
    z0 = samples.n_symbols if z0 is None else z0
    if not z0 > 0:
        raise InterpError(f"Z0 must be above 0, got {z0}")
    return 2 * gram / (n * z0) if n else gram


def grokking_rate(samples: Samples, trained: Bool[Tensor, "sample"], z0: float | None = None) -> float:
    """``lambda_3``, the third smallest eigenvalue of `hessian`; 0 where the train set does not force a line.

    The slowest component of the flow that vanishes at all does so within ``1 / lambda_3``: in steps of gradient descent on the
    embeddings at rate lr, ``n_h = 1 / (lambda_3 lr)``. Source: METHODS C.

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
    """The gradient flow ``dE/dt = - d(l0 / Z0) / dE`` from ``start``, in closed form and float64.

    Z0 is constant along it, so that ``E(t) = sqrt(Z0) exp(-H t) E(0) / |exp(-H t) E(0)|`` with H at that Z0. Centred embeddings
    stay centred. (The source says that sum E_k is conserved in general; its proof drops the derivative of 1 / Z0, and
    the sum in fact grows as ``2 l0 / Z0^2`` times itself unless it is 0.) Source: METHODS C (appendix F).
    """
    start = start.detach().double()
    z0 = start.square().sum()
    if not z0 > 0:
        raise InterpError("embeddings that are all 0 do not flow: Z0 is 0")
    values, vectors = torch.linalg.eigh(hessian(samples, trained, float(z0)))
    values = values.clamp_min(0)  # a Gram matrix; rounding goes below
    parts = vectors.T @ start
    moved = vectors @ (torch.exp(-values[None, :] * times.double()[:, None])[..., None] * parts)
    norm = moved.square().sum((1, 2), keepdim=True).sqrt()
    return z0.sqrt() * moved / norm


@dataclass(frozen=True)
class Probability:
    """How often a train set forces the linear structure.

    Attributes:
        forced, total: train sets that do, of so many.
        exact: whether all train sets of that size were tried.
    """

    forced: int
    total: int
    exact: bool

    @property
    def value(self) -> float:
        return self.forced / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval; the value itself where it is exact.

        >>> tuple(round(end, 3) for end in Probability(50, 100, exact=False).interval)
        (0.404, 0.596)
        """
        if self.exact:
            return self.value, self.value
        n, p, z = self.total, self.value, 1.959964
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)


def linear_probability(p: int, n_train: int, draws: int = 10_000, seed: int = 0) -> Probability:
    """How likely a random train set of ``n_train`` of the ``p (p + 1) / 2`` sums forces ``E_k = a + k b``: nullity 2.

    All train sets are tried where there are at most 200,000, else ``draws`` random ones. No network is trained. Source: METHODS C
    (Liu et al. 2022, figure 4a).

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


@measure(
    "effective_loss",
    order=54,
    needs=("weights", "task"),
    summary="effective loss l0 / Z0 of the embeddings on the train set",
    log=True,
)
def effective(snapshot: Snapshot) -> float:
    """`effective_loss` of the embeddings as they are (not centred)."""
    table, samples, trained = operation_of(snapshot)
    return float(effective_loss(table.double(), samples, trained))


@measure(
    "lambda_3",
    order=55,
    needs=("weights", "task"),
    summary="grokking rate of the train set, at Z0 of normalised embeddings and their own",
)
def lambda_3(snapshot: Snapshot) -> dict[str, float]:
    """`grokking_rate` of the train set, with Z0 that of ``normalised`` embeddings, and of the embeddings' ``own``, centred."""
    table, samples, trained = operation_of(snapshot)
    if not isinstance(snapshot.task, ToyAddition):
        raise MissingCapability(
            f"the theory of linear structure is of addition that is not reduced, not of {snapshot.task.name}"
        )
    centred = table.double() - table.double().mean(0)
    rate, z0 = grokking_rate(samples, trained), float(centred.square().sum())
    return {"normalised": rate, "own": rate * samples.n_symbols / z0 if z0 else math.nan}
