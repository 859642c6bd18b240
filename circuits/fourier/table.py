"""A network's logits over the table of a group: what losses by frequency, or by representation, are computed from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.activations.capture import capture
from interp.errors import InterpError
from interp.groups import Representations, representations_of
from interp.hooked.base import HookedModel
from interp.scores import Scores, of_examples
from interp.sites import hidden_sites
from interp.subject import Subject, as_subject, at_readout
from interp.tasks.factors import fourier_rows
from probes import fourier, group_tables, representations

Parts: TypeAlias = Sequence[int | str]  # frequencies of Z_n, or names of representations


@dataclass(frozen=True)
class Loss:
    """The loss over the group's table, and the number of correct answers.

    Attributes:
        all: mean over the table, in the unit of the task's loss (cross-entropy: nats per example).
        train: mean over the examples that the network was trained on; NaN where there are none.
        test: mean over the others; NaN where there are none.
        correct: number of correct answers.
        total: number of examples.
    """

    all: float
    train: float
    test: float
    correct: int
    total: int

    @classmethod
    def of(cls, scores: Scores) -> Loss:
        """The numbers of `interp.Scores`."""
        train, test = (math.nan if part.loss is None else part.loss for part in (scores.train, scores.test))
        return cls(scores.loss, train, test, scores.correct or 0, scores.all.total)


@dataclass(frozen=True)
class Hidden:
    """The last hidden layer over the table, and the way from it to the logits.

    Attributes:
        grid: activations at the readout, in float64.
        model: the network up to the readout.
        stream: the site at which a change of the layer arrives.
        clean: the activation at ``stream``.
        matrix: through which the change arrives there; None: unchanged.
    """

    grid: Float[Tensor, "n n ... units"]
    model: HookedModel
    stream: str
    clean: Tensor
    matrix: Tensor | None

    def arriving(self, change: Float[Tensor, "pairs ... units"]) -> Tensor:
        """A change of the layer as it arrives at ``stream``."""
        return change if self.matrix is None else change @ self.matrix

    @cached_property
    def arrived(self) -> Float[Tensor, "pairs ... d"]:
        """The layer's values as they arrive at ``stream``."""
        return self.arriving(self.grid.flatten(0, 1))


@dataclass(frozen=True)
class Means:
    """Means of a table ``[a, b, ...]``, from which its functions of a, of b and of ``a * b`` are made.

    Attributes:
        of_left: over b, by a.
        of_right: over a, by b.
        of_product: over all pairs with one product.
    """

    of_left: Float[Tensor, "n ..."]
    of_right: Float[Tensor, "n ..."]
    of_product: Float[Tensor, "n ..."]


class Table:
    """The logits of a network over the part of its input table that is a finite group of n elements.

    Z_n is taken apart by frequency, any other group by irreducible representation; representations of Z_n are also known by
    their names, ``freq_k``. What is kept or removed is called a part below: a frequency or the name of a representation.

    Args:
        subject: of a task that is composition in a finite group, perhaps in disguise (addition modulo n, subtraction,
            multiplication modulo a prime).

    Attributes:
        subject: in one dtype.
        task: what the network was trained on.
        cyclic: whether the task is addition modulo n.
        n: the order of the group.
        product: the group's table: row a, column b holds a * b.
        rows: which of the task's examples is the elements (i, j) ``[n, n]``; in Z_n the exponents.
        logits: ``[n, n, outputs]`` in the order of the elements, float64.
        columns: which outputs are elements 0..n-1.
        labels: the answers ``[n * n]``.
        train: which examples the network was trained on ``[n * n]``.

    Raises:
        MissingCapability: the task is not composition in a finite group; the message says why.
    """

    def __init__(self, subject: Subject | HookedModel):
        subject = as_subject(subject).cast()  # logits and hidden units in one dtype
        structure, self.task = subject.require_group(), subject.require_task()
        self.subject, self.n, self.cyclic = subject, structure.order, not isinstance(self.task.cyclic(), str)
        self.rows = group_tables.rows(self.task, structure)
        logits = subject.logits().double()
        self.product = structure.table.to(logits.device)
        self.logits = logits[self.rows.to(logits.device)]
        self.columns = group_tables.columns(self.task, structure).to(logits.device)
        self.labels = self.task.labels[self.rows].flatten().to(logits.device)
        in_train = torch.zeros(len(self.task.labels), dtype=torch.bool)
        in_train[self.task.train_indices] = True
        self.train = in_train[self.rows].flatten().to(logits.device)

    @cached_property
    def group(self) -> Representations:
        """The irreducible representations of the group."""
        return representations_of(self.product)

    @cached_property
    def inverse(self) -> Int[Tensor, " n"]:
        """The inverse of every element."""
        neutral = (self.product == torch.arange(self.n, device=self.product.device)).all(1).nonzero()[0]
        return (self.product == neutral).long().argmax(1)

    @property
    def noun(self) -> str:
        """What a part of the logits is called."""
        return "frequency" if self.cyclic else "representation"

    @property
    def parts(self) -> list[int] | list[str]:
        """Everything that the logits are taken apart into: all frequencies, or all representations but the trivial one."""
        return list(range(1, self.n // 2 + 1)) if self.cyclic else list(self.group.names[1:])

    @cached_property
    def keys(self) -> list[int] | list[str]:
        """The network's key frequencies, or key representations."""
        if self.cyclic:
            return fourier.logit_frequencies(self.cube)
        return representations.key_representations(self.cube, self.group)

    def chosen(self, parts: Parts | None) -> list[int] | list[str]:
        """Parts that exist, without repetitions; the key ones where none are given.

        Args:
            parts: frequencies from 1 to n // 2, or names of representations.

        Returns:
            The parts, in their order.

        Raises:
            UnknownName: no representation has this name; the nearest are named.
            InterpError: a frequency outside 1..n // 2, or a frequency of a group that is not cyclic.
        """
        if parts is None:
            return self.keys
        listed = [parts] if isinstance(parts, (str, int)) else list(dict.fromkeys(parts))
        named = [part for part in listed if isinstance(part, str)]
        if named:
            self.group.indices(named)
            if len(named) == len(listed):
                return named
        if listed and (named or not self.cyclic):
            raise InterpError(
                f"{self.task.name}: the parts of a group are representations, by name ({', '.join(self.group.names[1:4])}, ...), "
                f"got {listed}"
            )
        numbers = [part for part in listed if not isinstance(part, str)]
        fourier.check_frequencies(numbers, self.n)
        return numbers

    def projection(self, parts: Parts) -> Float[Tensor, "n n"]:
        """The orthogonal projection of functions on the group on some parts."""
        names = [part for part in parts if isinstance(part, str)]
        if names:
            return self.group.projection(names).to(self.product.device)
        rows, frequencies = self._waves
        modes = rows[torch.isin(frequencies, torch.tensor([k for k in parts if isinstance(k, int)], dtype=torch.long))]
        return (modes.T @ modes).to(self.product.device)

    @cached_property
    def _waves(self) -> tuple[Tensor, Tensor]:
        return fourier_rows(self.n)

    def characters(self, parts: Parts) -> Float[Tensor, "parts n"]:
        """The characters of some parts as functions on the group, of unit length: ``cos(w_k x)`` for a frequency."""
        names = [part for part in parts if isinstance(part, str)]
        if names:
            rows = self.group.characters[self.group.indices(names)].to(self.product.device)
            return rows / rows.norm(dim=1, keepdim=True)
        return fourier.basis(self.n).select([f"cos {k}" for k in parts]).directions.to(self.product.device)

    @cached_property
    def hidden(self) -> Hidden:
        """The last hidden layer.

        Raises:
            InterpError: the network has none.
        """
        model = at_readout(self.subject.model, self.task)
        sites = hidden_sites(model)
        if not sites:
            raise InterpError(
                f"{self.subject.name} has no hidden units, so definitions 'neurons' and 'hidden' do not apply"
            )
        stream, matrix = model.writes(sites[-1])
        acts = capture(model, self.task.inputs[self.rows.flatten()], [sites[-1], stream], batch_size=4096)
        values = acts[sites[-1]].double().unflatten(0, (self.n, self.n))
        matrix = None if matrix is None else matrix.detach().double()
        return Hidden(values, model, stream, acts[stream].double(), matrix)

    @cached_property
    def hidden_means(self) -> Means:
        """Means of the last hidden layer over its table."""
        grid = self.hidden.grid
        return Means(grid.mean(1), grid.mean(0), representations.product_means(grid, self.product))

    @cached_property
    def by_product(self) -> Float[Tensor, "product pair outputs"]:
        """The logits of all pairs, ordered by their product."""
        return self.logits.flatten(0, 1)[self.order].unflatten(0, (self.n, self.n))

    @cached_property
    def order(self) -> Int[Tensor, " pairs"]:
        """All pairs by their product, those of one product in the order of the table."""
        return self.product.flatten().argsort(stable=True)

    @cached_property
    def cube(self) -> Float[Tensor, "n n n"]:
        """The logits with the outputs in the order of the elements as well."""
        return self.logits[..., self.columns]

    def with_cube(
        self, cube: Float[Tensor, "... n"], *, rest: Literal["keep", "mean", "centred"]
    ) -> Float[Tensor, "... outputs"]:
        """The logits with the outputs in the group replaced.

        Args:
            cube: replaces the outputs in the group.
            rest: the other outputs stay (``keep``; ``cube`` is then ``[n, n, n]``) or are held at their mean (``mean``;
                ``centred``: minus the mean of the others, so that a constant added to all logits changes nothing).

        Returns:
            logits, a row for each of ``cube``.
        """
        outputs = self.logits.shape[-1]
        if torch.equal(self.columns, torch.arange(outputs, device=cube.device)):
            return cube  # all outputs are in the group, as in addition
        if rest == "keep":
            changed = self.logits.clone()
        else:
            held = self.logits.mean((0, 1)) - (self.cube.mean() if rest == "centred" else 0)
            changed = held.expand(*cube.shape[:-1], outputs).clone()
        changed[..., self.columns] = cube
        return changed

    def score_products(self, logits: Float[Tensor, "n outputs"]) -> Loss:
        """The loss of logits that depend on the product only: a row for each."""
        answers = torch.empty(self.n, dtype=self.labels.dtype, device=self.labels.device)
        answers[self.product.flatten()] = self.labels
        losses, correct = self.task.losses(logits, answers), self.task.correct(logits, answers)
        return self._loss(losses[self.product.flatten()], correct[self.product.flatten()])

    def score(self, logits: Float[Tensor, "*pairs outputs"]) -> Loss:
        """The loss of changed logits."""
        flat = logits.reshape(self.n**2, -1)
        return self._loss(self.task.losses(flat, self.labels), self.task.correct(flat, self.labels))

    def _loss(self, losses: Tensor, correct: Tensor) -> Loss:
        return Loss.of(of_examples(losses, correct, self.train.nonzero()[:, 0], (~self.train).nonzero()[:, 0]))
