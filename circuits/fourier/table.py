"""A network's logits over a cyclic input table: what losses by frequency are computed from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp.activations.capture import capture
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.scores import Scores, of_examples
from interp.sites import hidden_sites
from interp.subject import Subject, as_subject, at_readout
from probes import cyclic_tables, fourier


@dataclass(frozen=True)
class Loss:
    """The loss over the cyclic input table, and the number of correct answers.

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


class Table:
    """The logits of a network over the part of its input table that is a cyclic group of n elements.

    Args:
        subject: of a task that is addition modulo n, perhaps in disguise (subtraction, multiplication, a cyclic group).

    Attributes:
        subject: in one dtype.
        task: what the network was trained on.
        n: the order of the group.
        rows: which of the task's examples has exponents (i, j) ``[n, n]``.
        logits: ``[n, n, outputs]`` in exponent order of the operands, float64.
        columns: which outputs have exponents 0..n-1.
        labels: the answers ``[n * n]``.
        train: which examples the network was trained on ``[n * n]``.

    Raises:
        MissingCapability: the task is not addition modulo n; the message says why.
    """

    def __init__(self, subject: Subject | HookedModel):
        subject = as_subject(subject).cast()  # logits and hidden units in one dtype
        self.subject, self.n, self.task = subject, subject.require_cyclic().order, subject.require_task()
        self.rows = cyclic_tables.rows(self.task)
        logits = subject.logits().double()
        self.logits = logits[self.rows.to(logits.device)]
        self.columns = cyclic_tables.columns(self.task).to(logits.device)
        self.labels = self.task.labels[self.rows].flatten().to(logits.device)
        in_train = torch.zeros(len(self.task.labels), dtype=torch.bool)
        in_train[self.task.train_indices] = True
        self.train = in_train[self.rows].flatten().to(logits.device)

    @cached_property
    def keys(self) -> list[int]:
        """The network's key frequencies."""
        return fourier.logit_frequencies(self.cube)

    @cached_property
    def hidden(self) -> Hidden:
        """The last hidden layer.

        Raises:
            InterpError: the network has none.
        """
        model = at_readout(self.subject.model, self.task)
        sites = hidden_sites(model)
        if not sites:
            raise InterpError(f"{self.subject.name} has no hidden units, so definition='hidden' does not apply")
        stream, matrix = model.writes(sites[-1])
        acts = capture(model, self.task.inputs[self.rows.flatten()], [sites[-1], stream], batch_size=4096)
        values = acts[sites[-1]].double().unflatten(0, (self.n, self.n))
        matrix = None if matrix is None else matrix.detach().double()
        return Hidden(values, model, stream, acts[stream].double(), matrix)

    @cached_property
    def cube(self) -> Float[Tensor, "n n n"]:
        """The logits with the outputs in exponent order as well."""
        return self.logits[..., self.columns]

    def with_cube(
        self, cube: Float[Tensor, "n n n"], *, rest: Literal["keep", "mean", "centred"]
    ) -> Float[Tensor, "n n outputs"]:
        """The logits with the cyclic outputs replaced.

        Args:
            cube: replaces the cyclic outputs.
            rest: the other outputs stay (``keep``) or are held at their mean (``mean``; ``centred``: minus the mean of the
                cyclic ones, so that a constant added to all logits changes nothing).

        Returns:
            logits ``[n, n, outputs]``.
        """
        if torch.equal(self.columns, torch.arange(self.logits.shape[-1], device=cube.device)):
            return cube  # all outputs are cyclic, as in addition
        changed = self.logits.clone()
        if rest != "keep":
            held = self.logits.mean((0, 1)) - (self.cube.mean() if rest == "centred" else 0)
            changed = held.expand_as(self.logits).clone()
        changed[..., self.columns] = cube
        return changed

    def score(self, logits: Float[Tensor, "n n outputs"]) -> Loss:
        """The loss of changed logits."""
        flat = logits.reshape(self.n**2, -1)
        losses, correct = self.task.losses(flat, self.labels), self.task.correct(flat, self.labels)
        return Loss.of(of_examples(losses, correct, self.train.nonzero()[:, 0], (~self.train).nonzero()[:, 0]))
