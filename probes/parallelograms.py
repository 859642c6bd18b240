"""Parallelograms of embeddings: how much of an operation's structure a representation has.

Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning,
https://arxiv.org/abs/2205.10343. Samples (i, j) with the same answer form a class. An unordered pair of samples of one
class is a parallelogram of the operation; it is also one of the representation if their sums E_i + E_j (products, for
matrix embeddings) coincide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.errors import InterpError, MissingCapability, require_range
from interp.tasks import Task
from interp.tasks.binary import BinaryOperation
from probes._tensors import as_mask, as_table, as_tensor
from probes.rqi_criteria import ROUNDING, Criterion, divided, near, usual_delta

CHUNK = 20_000_000  # numbers at once
LARGEST = 50_000_000  # entries of the rows x_s = e_i + e_j


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of an operation on symbols, with their answers.

    Attributes:
        pairs: the operands, ``[sample, 2]``; unordered pairs i <= j if embeddings are added.
        labels: the answers, ``[sample]``.
        n_symbols: number of embeddings.
        product: True if embeddings are square matrices that are multiplied in order, False if they are vectors that are
            added.
    """

    pairs: Int[Tensor, "sample 2"]
    labels: Int[Tensor, "sample"]
    n_symbols: int
    product: bool = False

    @cached_property
    def classes(self) -> tuple[Int[Tensor, "class most"], Bool[Tensor, "class most"]]:
        """Indices of the samples of every answer, padded to the largest class, and a mask of the entries that count."""
        order = self.labels.argsort(stable=True)
        _, counts = self.labels[order].unique_consecutive(return_counts=True)
        valid = torch.arange(int(counts.max())) < counts[:, None]
        members = torch.zeros(valid.shape, dtype=torch.long)
        members[valid] = order
        return members, valid

    @cached_property
    def total(self) -> int:
        """``|P0|``, the number of parallelograms of the operation."""
        counts = self.classes[1].sum(1)
        return int((counts * (counts - 1) // 2).sum())

    def combine(self, embeddings: Float[Tensor, "symbol dim"]) -> Float[Tensor, "sample dim"]:
        """``E_i + E_j`` of every sample, or the flattened matrix product ``E_i E_j``.

        Args:
            embeddings: one per symbol, ``[symbol, dim]``; matrices flattened.

        Returns:
            ``[sample, dim]``.

        Raises:
            InterpError: embeddings that do not fit the symbols, or are not square matrices where they are multiplied.
        """
        embeddings = as_tensor(embeddings, "embeddings")
        if embeddings.ndim != 2 or len(embeddings) != self.n_symbols:
            raise InterpError(
                f"embeddings need the shape [{self.n_symbols}, dim], got {list(embeddings.shape)}: one row per symbol, none of "
                "other tokens"
            )
        left, right = (embeddings[self.pairs[:, side].to(embeddings.device)] for side in (0, 1))
        if not self.product:
            return left + right
        edge = int(embeddings.shape[-1] ** 0.5)
        if edge**2 != embeddings.shape[-1]:
            raise InterpError(f"embeddings of {embeddings.shape[-1]} numbers are not square matrices")
        return (left.unflatten(-1, (edge, edge)) @ right.unflatten(-1, (edge, edge))).flatten(1)


@dataclass(frozen=True)
class Found:
    """How much of an operation's structure a representation has.

    Attributes:
        rqi: representation quality index: the share of the operation's parallelograms that the representation has.
        accuracy: predicted accuracy: the share of samples that are in the train set or share a parallelogram with one
            that is.
    """

    rqi: float
    accuracy: float


@lru_cache(maxsize=64)
def samples_of(task: Task, product: bool = False) -> tuple[Samples, Bool[Tensor, "sample"]]:
    """The samples of a task's operation, and which of them are in the train set.

    Args:
        task: an operation on two symbols.
        product: samples are ordered pairs, for matrix embeddings that are multiplied. By default they are unordered pairs,
            in the train set if either order is.

    Returns:
        The samples and a boolean train mask ``[sample]``.

    Raises:
        MissingCapability: a task that is not an operation on two symbols, or does not commute though embeddings are added.

    >>> from interp import ToyAddition
    >>> samples_of(ToyAddition(4))[0].total, samples_of(ToyAddition(10))[0].total
    (3, 70)
    """
    if not isinstance(task, BinaryOperation):
        raise MissingCapability(
            f"parallelograms need an operation on two symbols, such as addition or modular; {task.name} is not one"
        )
    n_symbols = task.n_symbols
    in_train = torch.zeros(len(task.pairs), dtype=torch.bool)
    in_train[task.train_indices] = True
    if product:
        return Samples(task.pairs, task.labels, n_symbols, True), in_train
    pairs, index = task.pairs.sort(1).values.unique(dim=0, return_inverse=True)
    labels = torch.empty(len(pairs), dtype=torch.long)
    labels[index] = task.labels
    if not torch.equal(labels[index], task.labels):
        raise MissingCapability(f"parallelograms of sums need an operation that commutes; {task.name} does not commute")
    trained = torch.zeros(len(pairs), dtype=torch.bool)
    trained[index[in_train]] = True
    return Samples(pairs, labels, n_symbols), trained


def normalised(embeddings: Float[Tensor, "symbol dim"]) -> Float[Tensor, "symbol dim"]:
    """Normalised embeddings, with mean 0 and standard deviation 1: ``(E - mean) / sqrt(mean |E - mean|^2)``.

    Args:
        embeddings: one per symbol, ``[symbol, dim]``.

    Returns:
        ``[symbol, dim]`` in float64; zeros if all embeddings coincide.

    >>> normalised(torch.tensor([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]
    """
    embeddings = as_table(embeddings, "embeddings").detach().double()
    centred = embeddings - embeddings.mean(0)
    return divided(centred, centred.square().sum(1).mean().sqrt(), embeddings)


def parallelograms(
    embeddings: Float[Tensor, "symbol dim"], samples: Samples, trained: Bool[Tensor, "sample"],
    delta: float | None = None, *, criterion: Criterion = "paper",
) -> Found:  # fmt: skip
    """Representation quality index ``|P(R, delta)| / |P0|`` and predicted accuracy ``|D-bar| / |D0|`` of a representation.

    A parallelogram of P(R, delta) has ``|E_i + E_j - E_m - E_n| <= delta`` (groups: ``|E_a E_b - E_c E_d|_F^2 <= delta``).
    D-bar is the train set D with every sample that shares a parallelogram of P(R, delta) with one of D. The embeddings
    are used as given: see `normalised`. Liu et al. 2022, https://arxiv.org/abs/2205.10343, definition 1, equation 3,
    appendix D.

    Misleads in many dimensions: a structure that the decoder reads in one of them only counts if the others agree.

    Args:
        embeddings: one per symbol, ``[symbol, dim]``.
        samples: of the operation, from `samples_of`.
        trained: the train set D as a boolean mask ``[sample]``.
        delta: largest distance that counts as equal, in the embeddings' unit (squared for products); that of the criterion.
        criterion: ``"paper"`` as above, or ``"code"`` as the authors' code counts, on `probes.rqi_criteria.code_scale`; see
            `probes.rqi_criteria.near`.

    Returns:
        RQI and predicted accuracy, both NaN if an embedding is not finite.

    >>> from interp import ToyAddition
    >>> line = torch.arange(10.0)[:, None]
    >>> parallelograms(normalised(line), *samples_of(ToyAddition(10)))
    Found(rqi=1.0, accuracy=1.0)
    """
    usual = usual_delta(criterion, samples.product)
    delta = usual if delta is None else delta
    require_range("delta", delta, 0)
    embeddings, trained = as_tensor(embeddings, "embeddings"), as_mask(trained, len(samples.labels), "trained")
    if not bool(embeddings.isfinite().all()):
        return Found(math.nan, math.nan)
    values = samples.combine(embeddings.double())
    slack = ROUNDING * float(values.abs().amax())
    members, valid = (t.to(embeddings.device) for t in samples.classes)
    known = trained.to(embeddings.device)[members] & valid
    most = members.shape[1]
    at_once = max(1, CHUNK // (most * (most + values.shape[1])))
    found = reached = 0
    for part in torch.arange(len(members), device=members.device).split(at_once):
        own, there, given = values[members[part]], valid[part], known[part]  # [class, most, dim]
        distance = torch.cdist(own, own, compute_mode="donot_use_mm_for_euclid_dist")
        close = near(distance, values.shape[1], product=samples.product, delta=delta, criterion=criterion, slack=slack)
        one = close & there[:, :, None] & there[:, None, :]
        found += int(one.triu(1).sum())
        reached += int((given | (one & given[:, None, :]).any(-1)).sum())
    return Found(found / samples.total if samples.total else 0.0, reached / len(samples.labels))


def equations(samples: Samples, trained: Bool[Tensor, "... sample"]) -> Float[Tensor, "... symbol symbol"]:
    """Gram matrix ``A^T A`` of the equations ``E_i + E_j - E_m - E_n = 0`` that a train set poses, one per parallelogram.

    Liu et al. 2022, https://arxiv.org/abs/2205.10343, equation 7.

    Args:
        samples: of an operation on sums, from `samples_of`.
        trained: the train set as a boolean mask ``[..., sample]``; leading axes are different train sets.

    Returns:
        ``[..., symbol, symbol]`` in float64.

    Raises:
        MissingCapability: products of matrices, whose equations are not linear, or too many samples.

    >>> from interp import ToyAddition
    >>> samples, _ = samples_of(ToyAddition(10))
    >>> torch.linalg.eigvalsh(equations(samples, torch.ones(55, dtype=torch.bool)))[:4].abs().round(decimals=2).tolist()
    [0.0, 0.0, 30.0, 31.27]
    """
    if samples.product:
        raise MissingCapability(
            "the theory of sums needs embeddings that are added; products of matrices are not linear: see "
            "probes.deduction.ideal_of_products for what a train set of a group implies"
        )
    n = len(samples.pairs)
    if n * samples.n_symbols > LARGEST:
        raise MissingCapability(
            f"{n:,} samples of {samples.n_symbols:,} symbols give too many equations to solve (at most {LARGEST:,} entries)"
        )
    rows = torch.zeros(n, samples.n_symbols, dtype=torch.float64)
    rows.index_put_((torch.arange(n)[:, None], samples.pairs), torch.tensor(1.0, dtype=torch.float64), accumulate=True)
    answers, label = samples.labels.unique(return_inverse=True)
    member = torch.nn.functional.one_hot(label, len(answers)).double()
    mask = as_mask(trained, n, "trained").to(rows)
    # over the pairs of a class of c rows x: sum (x - y)(x - y)^T = c sum x x^T - (sum x)(sum x)^T
    squares = torch.einsum("...s,si,sj->...ij", mask * (mask @ member)[..., label], rows, rows)
    sums = torch.einsum("...s,sc,si->...ci", mask, member, rows)
    return squares - sums.mT @ sums


def null_space(gram: Float[Tensor, "symbol symbol"]) -> Float[Tensor, "symbol free"]:
    """Orthonormal columns that span the embeddings which solve the equations, ``[symbol, free]``."""
    values, vectors = torch.linalg.eigh(gram)
    return vectors[:, values <= _tolerance(values)]


def nullity(gram: Float[Tensor, "... symbol symbol"]) -> Int[Tensor, "..."]:
    """Nullity of the equations: the dimension of `null_space`; 2 if they force the linear structure E_k = a + k b.

    Args:
        gram: from `equations`, ``[..., symbol, symbol]``.

    Returns:
        Whole numbers ``[...]``.

    >>> nullity(torch.zeros(3, 3, dtype=torch.float64)).item()
    3
    """
    values = torch.linalg.eigvalsh(gram)
    return (values <= _tolerance(values)).sum(-1)


def _tolerance(eigenvalues: Tensor) -> Tensor:
    """What float64 leaves of an eigenvalue of 0; the equations have whole numbers as coefficients."""
    return 1e-11 * eigenvalues[..., -1:].clamp_min(1)


def ideal(samples: Samples, trained: Bool[Tensor, "sample"]) -> Found:
    """RQI and accuracy of the ideal model of a train set: upper bounds of what its representation can have.

    The ideal model has the parallelograms of the train set and those of P0 whose equation lies in the row space of theirs,
    i.e. those that hold for the null space of the equations taken as embeddings. Liu et al. 2022,
    https://arxiv.org/abs/2205.10343, appendix E.

    Args:
        samples: of an operation on sums, from `samples_of`.
        trained: the train set as a boolean mask ``[sample]``.

    Returns:
        Ideal RQI and accuracy.

    >>> from interp import ToyAddition
    >>> samples, _ = samples_of(ToyAddition(4))
    >>> ideal(samples, torch.ones(10, dtype=torch.bool)), ideal(samples, torch.zeros(10, dtype=torch.bool))
    (Found(rqi=1.0, accuracy=1.0), Found(rqi=0.0, accuracy=0.0))
    """
    return parallelograms(null_space(equations(samples, trained)), samples, trained, delta=1e-7)
