"""Parallelograms of embeddings: how much of an operation's structure a representation has (Liu et al. 2022).

Samples (i, j) with one answer are a class. An unordered pair of samples of a class is a parallelogram of the operation;
it is one of the representation, too, where their sums E_i + E_j (products, for matrix embeddings) coincide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from interp.errors import InterpError, MissingCapability, require_range
from interp.hooked import HookedMLP, HookedModel
from interp.plugins.measure import measure
from interp.snapshot import Snapshot
from interp.tasks import Task
from interp.tasks.binary import BinaryOperation

DELTA = 0.01
CHUNK = 20_000_000  # numbers at once
LARGEST = 50_000_000  # entries of the rows x_s = e_i + e_j


@dataclass(frozen=True, eq=False)
class Samples:
    """The samples of an operation, by their answers.

    Attributes:
        pairs: ``[sample, 2]``; unordered, i <= j, where embeddings are added.
        labels: ``[sample]``.
        n_symbols: number of embeddings.
        product: whether embeddings are square matrices that are multiplied in order, or vectors that are added.
    """

    pairs: Int[Tensor, "sample 2"]
    labels: Int[Tensor, "sample"]
    n_symbols: int
    product: bool = False

    @cached_property
    def classes(self) -> tuple[Int[Tensor, "class most"], Bool[Tensor, "class most"]]:
        """The samples of every answer, padded to the largest class, and which entries are samples."""
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
        """``E_i + E_j``, or the matrix product ``E_i E_j`` in a row, of every sample."""
        left, right = (embeddings[self.pairs[:, side].to(embeddings.device)] for side in (0, 1))
        if not self.product:
            return left + right
        edge = int(embeddings.shape[-1] ** 0.5)
        if edge**2 != embeddings.shape[-1]:
            raise InterpError(f"embeddings of {embeddings.shape[-1]} numbers are no square matrices")
        return (left.unflatten(-1, (edge, edge)) @ right.unflatten(-1, (edge, edge))).flatten(1)


@dataclass(frozen=True)
class Found:
    """What a representation has of an operation's structure.

    Attributes:
        rqi: representation quality index, the share of the operation's parallelograms that it has.
        accuracy: predicted accuracy: the share of samples that are trained on, or share a parallelogram with one that is.
    """

    rqi: float
    accuracy: float


@lru_cache(maxsize=64)
def samples_of(task: Task, product: bool = False) -> tuple[Samples, Bool[Tensor, "sample"]]:
    """The samples of a task's operation, and which of them are trained on (in either order, where it commutes).

    Raises:
        MissingCapability: no operation on symbols, or one that does not commute, though embeddings are added.

    >>> from interp import ToyAddition
    >>> samples_of(ToyAddition(4))[0].total, samples_of(ToyAddition(10))[0].total
    (3, 70)
    """
    if not isinstance(task, BinaryOperation):
        raise MissingCapability(f"the task {task.name} is no operation on two symbols, so there are no parallelograms")
    n_symbols = task.n_symbols
    in_train = torch.zeros(len(task.pairs), dtype=torch.bool)
    in_train[task.train_indices] = True
    if product:
        return Samples(task.pairs, task.labels, n_symbols, True), in_train
    pairs, index = task.pairs.sort(1).values.unique(dim=0, return_inverse=True)
    labels = torch.empty(len(pairs), dtype=torch.long)
    labels[index] = task.labels
    if not torch.equal(labels[index], task.labels):
        raise MissingCapability(f"{task.name} does not commute, and parallelograms of sums are of operations that do")
    trained = torch.zeros(len(pairs), dtype=torch.bool)
    trained[index[in_train]] = True
    return Samples(pairs, labels, n_symbols), trained


def normalised(embeddings: Float[Tensor, "symbol dim"]) -> Float[Tensor, "symbol dim"]:
    """Embeddings with mean 0 and standard deviation 1: ``(E - mean) / sqrt(mean |E - mean|^2)``, in float64.

    >>> normalised(torch.tensor([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]
    """
    centred = embeddings.detach().double() - embeddings.detach().double().mean(0)
    deviation = centred.square().sum(1).mean().sqrt()
    return centred / deviation.where(deviation > 0, torch.ones_like(deviation))


def parallelograms(
    embeddings: Float[Tensor, "symbol dim"], samples: Samples, trained: Bool[Tensor, "sample"], delta: float = DELTA
) -> Found:
    """Representation quality index ``|P(R, delta)| / |P0|`` and predicted accuracy ``|D-bar| / |D0|`` of a representation.

    A parallelogram of P(R, delta) has ``|E_i + E_j - E_m - E_n| <= delta`` (groups: ``|E_a E_b - E_c E_d|_F^2 <= delta``).
    D-bar is the train set D and every sample that shares a parallelogram of P(R, delta) with one of D. The embeddings
    are taken as they are: see `normalised`. Source: METHODS C (Liu et al. 2022, definition 1, equation 3, appendix D).

    Misleads in many dimensions: a structure that the decoder reads in one of them counts only if the others agree.

    >>> from interp import ToyAddition
    >>> line = torch.arange(10.0)[:, None]
    >>> parallelograms(normalised(line), *samples_of(ToyAddition(10)))
    Found(rqi=1.0, accuracy=1.0)
    """
    require_range("delta", delta, 0)
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
        if samples.product:
            distance = distance.square()
        one = (distance <= delta + slack) & there[:, :, None] & there[:, None, :]
        found += int(one.triu(1).sum())
        reached += int((given | (one & given[:, None, :]).any(-1)).sum())
    return Found(found / samples.total if samples.total else 0.0, reached / len(samples.labels))


ROUNDING = 1e-12  # sums of floats that are equal on paper differ by this, relative to the largest


def equations(samples: Samples, trained: Bool[Tensor, "... sample"]) -> Float[Tensor, "... symbol symbol"]:
    """``A^T A`` of the equations ``E_i + E_j - E_m - E_n = 0``, one per parallelogram with both samples trained on.

    Leading axes of ``trained`` are other train sets. Source: Liu et al. 2022, equation 7.

    >>> from interp import ToyAddition
    >>> samples, _ = samples_of(ToyAddition(10))
    >>> torch.linalg.eigvalsh(equations(samples, torch.ones(55, dtype=torch.bool)))[:4].abs().round(decimals=2).tolist()
    [0.0, 0.0, 30.0, 31.27]
    """
    if samples.product:
        raise MissingCapability("products of matrices give no linear equations, so the theory of sums does not apply")
    n = len(samples.pairs)
    if n * samples.n_symbols > LARGEST:
        raise MissingCapability(
            f"the equations of {n:,} samples of {samples.n_symbols:,} symbols are too many to solve"
        )
    rows = torch.zeros(n, samples.n_symbols, dtype=torch.float64)
    rows.index_put_((torch.arange(n)[:, None], samples.pairs), torch.tensor(1.0, dtype=torch.float64), accumulate=True)
    answers, label = samples.labels.unique(return_inverse=True)
    member = torch.nn.functional.one_hot(label, len(answers)).double()
    mask = trained.double()
    # over the pairs of a class of c rows x: sum (x - y)(x - y)^T = c sum x x^T - (sum x)(sum x)^T
    squares = torch.einsum("...s,si,sj->...ij", mask * (mask @ member)[..., label], rows, rows)
    sums = torch.einsum("...s,sc,si->...ci", mask, member, rows)
    return squares - sums.mT @ sums


def null_space(gram: Float[Tensor, "symbol symbol"]) -> Float[Tensor, "symbol free"]:
    """Orthonormal columns that span the solutions of the equations: the freedom that they leave."""
    values, vectors = torch.linalg.eigh(gram)
    return vectors[:, values <= _tolerance(values)]


def nullity(gram: Float[Tensor, "... symbol symbol"]) -> Int[Tensor, "..."]:
    """Number of dimensions of `null_space`; 2 where the equations force E_k = a + k b.

    >>> nullity(torch.zeros(3, 3, dtype=torch.float64)).item()
    3
    """
    values = torch.linalg.eigvalsh(gram)
    return (values <= _tolerance(values)).sum(-1)


def _tolerance(eigenvalues: Tensor) -> Tensor:
    """The equations are whole numbers: what float64 leaves of an eigenvalue of 0."""
    return 1e-11 * eigenvalues[..., -1:].clamp_min(1)


def ideal(samples: Samples, trained: Bool[Tensor, "sample"]) -> Found:
    """The most that a train set lets a representation have: RQI and accuracy of an ideal model.

    Its parallelograms are those of the train set and all of P0 whose equation is in the row space of theirs: those that hold
    in the null space of the equations, taken for embeddings. Source: METHODS C (Liu et al. 2022, appendix E).

    >>> from interp import ToyAddition
    >>> samples, _ = samples_of(ToyAddition(4))
    >>> ideal(samples, torch.ones(10, dtype=torch.bool)), ideal(samples, torch.zeros(10, dtype=torch.bool))
    (Found(rqi=1.0, accuracy=1.0), Found(rqi=0.0, accuracy=0.0))
    """
    return parallelograms(null_space(equations(samples, trained)), samples, trained, delta=1e-7)


def operation_of(snapshot: Snapshot) -> tuple[Float[Tensor, "symbol dim"], Samples, Bool[Tensor, "sample"]]:
    """A network's embeddings of the operands, and the samples of its operation.

    Raises:
        MissingCapability: operands with embeddings of their own, or no such operation.
    """
    tables = snapshot.embeddings
    if len(tables) > 1:
        raise MissingCapability("its operands have embeddings of their own, so there are no sums of one table's rows")
    task, table = snapshot.task, next(iter(tables.values()))
    samples, trained = samples_of(task, _multiplies(snapshot.model))
    return table, samples, trained


def _multiplies(model: HookedModel) -> bool:
    return isinstance(model, HookedMLP) and model.config.combine == "product"


def representation_of(snapshot: Snapshot) -> Float[Tensor, "symbol dim"]:
    """Embeddings as parallelograms are counted in: `normalised`; matrices are scaled alone, ``mean |E|_F^2 = 1``.

    Centring would take the products' structure away; without a scale, small matrices would have every parallelogram.
    """
    table, samples, _ = operation_of(snapshot)
    if not samples.product:
        return normalised(table)
    scale = table.double().square().sum(1).mean().sqrt()
    return table.double() / scale.where(scale > 0, torch.ones_like(scale))


def _found(snapshot: Snapshot, delta: float) -> Found:
    _, samples, trained = operation_of(snapshot)
    count = lambda: parallelograms(representation_of(snapshot), samples, trained, delta)  # noqa: E731
    return snapshot.share(f"parallelograms {delta}", count)


def _ideal(snapshot: Snapshot) -> Found:
    _, samples, trained = operation_of(snapshot)
    if samples.product:
        raise MissingCapability("matrices that are multiplied have no ideal representation in the theory of sums")
    if not _is_linear(samples):
        raise MissingCapability(
            "no representation on a line solves its equations (answers wrap around), so the ideal is empty"
        )
    return _ideal_of(samples, trained)


@lru_cache(maxsize=64)
def _is_linear(samples: Samples) -> bool:
    """Whether E_k = a + k b solves the operation, as in addition that is not reduced."""
    everything = torch.ones(len(samples.labels), dtype=torch.bool)
    return int(nullity(equations(samples, everything))) >= 2


@lru_cache(maxsize=64)
def _ideal_of(samples: Samples, trained: Tensor) -> Found:
    return ideal(samples, trained)


@measure(
    "rqi",
    order=50,
    needs=("weights", "task"),
    summary="representation quality index: share of the operation's parallelograms",
)
def rqi(snapshot: Snapshot, *, delta: float = DELTA) -> float:
    """`parallelograms` of the embeddings: RQI. Vectors are normalised first, matrices of a group scaled (`representation_of`)."""
    return _found(snapshot, delta).rqi


@measure(
    "predicted_accuracy",
    order=51,
    needs=("weights", "task"),
    summary="accuracy over all samples that the parallelograms explain",
)
def predicted_accuracy(snapshot: Snapshot, *, delta: float = DELTA) -> float:
    """`parallelograms` of the embeddings: the accuracy over all samples that they explain."""
    return _found(snapshot, delta).accuracy


@measure("ideal_rqi", order=52, needs=("weights", "task"), summary="the largest RQI that the train set allows")
def ideal_rqi(snapshot: Snapshot) -> float:
    """`ideal` of the train set; the same at every step."""
    return _ideal(snapshot).rqi


@measure(
    "ideal_accuracy",
    order=53,
    needs=("weights", "task"),
    summary="the largest predicted accuracy that the train set allows",
)
def ideal_accuracy(snapshot: Snapshot) -> float:
    """`ideal` of the train set; the same at every step."""
    return _ideal(snapshot).accuracy
