"""A block: as many members as train fastest together, updated in one batched pass."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from interp._util.subnormals import without_subnormals
from interp.hooked import HookedModel
from interp.tasks import Task
from interp.training.by_hand import ByHand, by_hand
from interp.training.changes import changes, strengths
from interp.training.data import Examples
from interp.training.members import seed_of
from interp.training.plan import Plan
from interp.training.randomness import keys, shuffles
from interp.training.updates.criterion import training_loss
from interp.training.updates.lr_schedule import lr_factors
from interp.training.updates.optimizers import BatchedOptimizer

EVALUATION_ROWS = 1 << 14  # examples times members of a forward pass that only measures


@dataclass(frozen=True)
class Measured:
    """Loss and accuracy per member ``[member]``: accuracy is None for a regression, both are None without examples.

    Attributes:
        loss: mean over the examples.
        accuracy: share of correct answers, 0 to 1.
    """

    loss: Tensor | None
    accuracy: Tensor | None


class Block:
    """Parameters ``{name: [member, ...]}`` of some members, and everything that their next step needs.

    Args:
        plan: of the whole run.
        model: the network; only its form matters.
        task: of the run, in the form that the model takes.
        ids: which members of the run these are.
        parameters: stacked in the order of ``ids``; not copied.
        moments: of the optimizer, by ``"<moment>.<parameter>"``, stacked likewise; None at the start.
        rates: by parameter, a (learning rate, weight decay) per member.
        train: the examples to train on, of these members.
        test: the examples to test on.
        kept: with ``fixed_norm``, the norms that these members keep.
    """

    def __init__(
        self, plan: Plan, model: HookedModel, task: Task, ids: Sequence[int], parameters: Mapping[str, Tensor],
        moments: Mapping[str, Tensor] | None, rates: Mapping[str, Sequence[tuple[float, float]]],
        train: Examples, test: Examples, kept: Sequence[dict[str, float]] | None = None,
    ):  # fmt: skip
        self.plan, self.task, self.ids = plan, task, tuple(ids)
        self.parameters = {n: nn.Parameter(p) for n, p in parameters.items()}
        self.optimizer = BatchedOptimizer(plan.optimizer, self.parameters, rates, moments)
        self.train, self.test = train, test
        device = next(iter(parameters.values())).device
        seeds = [seed_of(plan.members[i], "order") for i in ids]
        self._order_keys, self._noise_keys = keys(seeds, "batches", device), keys(seeds, "dropout", device)
        self._dropout = getattr(model.config, "dropout", 0.0) > 0
        found = planned_by_hand(plan, model, task)
        self._by_hand = None if found is None else found(len(ids))
        # a model of its own, too, lets blocks be measured side by side
        own = model.stacks and (len(ids) > 1 or self._by_hand is not None)
        alone = model if self._by_hand is None else copy.deepcopy(model)  # functional_call changes it for a moment
        calls = _own_model(model, self.parameters) if own else alone
        self._call = _caller(calls, task, len(ids), own, train.shared)
        self._call_stacked = _caller(calls, task, len(ids), own, shared=False)
        self._call_test = _caller(calls, task, len(ids), own, test.shared)
        self._epoch: tuple[int, tuple[Tensor, ...]] | None = None
        self._loss = training_loss(task, strengths(plan, self.ids, "label_smoothing", device), plan.softmax_dtype)
        self._changes = changes(plan, model, task, self.ids, self.optimizer, kept)
        self._lr_factor = lr_factors(plan.lr_schedule, plan.warmup, plan.steps)

    def advance(self, start: int, stop: int) -> None:
        """Make the updates from ``start + 1`` to ``stop``, both included."""
        for step in range(start, stop):
            gradients = self.gradients(step)
            for _, change in self._changes.gradient:
                change(gradients, step, self._drawn)
            self.optimizer.step(gradients, step + 1, self._lr_factor(step))
            for _, restore in self._changes.weights:
                restore()

    def gradients(self, step: int) -> Mapping[str, Tensor]:
        """The gradient of each member's own loss on the batch of a step ``{name: [member, ...]}``."""
        drawn = self._drawn(step)
        noise = self._noise_keys + step if self._dropout else None
        if self._by_hand is not None:
            return self._by_hand(self.parameters, drawn.inputs, drawn.labels, drawn.weights, noise)
        call = self._call if drawn is self.train else self._call_stacked
        outputs = call(self.parameters, drawn.inputs, noise)
        outputs.register_hook(without_subnormals)
        loss = drawn.mean(self._loss(outputs, drawn.labels))
        # members do not see each other: the gradient of the sum is each member's own
        found = torch.autograd.grad(loss.sum(), list(self.parameters.values()))
        return dict(zip(self.parameters, found, strict=True))

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The examples of a step ``[member, batch, ...]``; every epoch is a new shuffle, cut into batches."""
        size = self.plan.batch_size or len(self.train)
        epoch, place = divmod(step, -(-len(self.train) // size))
        if self._epoch is None or self._epoch[0] != epoch:
            order = shuffles(self._order_keys + epoch, len(self.train))
            self._epoch = epoch, self.train.rows(order).split(size, 1)
        return self.train.take(self._epoch[1][place])

    def _drawn(self, step: int) -> Examples:
        """The examples of a step."""
        if self.plan.batch_size is None or self.plan.batch_size >= len(self.train):
            return self.train
        inputs, labels = self._batch(step)
        return Examples(inputs, labels, (labels.shape[1],) * len(self.ids), False)

    @torch.no_grad()
    def measure(self, part: str) -> Measured:
        """Loss and accuracy of every member on all its train or test examples, in float64."""
        found = self.train if part == "train" else self.test
        if not len(found):
            return Measured(None, None)
        call = self._call if part == "train" else self._call_test
        size = max(1, EVALUATION_ROWS // len(self.ids))
        axis = 0 if found.shared else 1
        pieces = [call(self.parameters, piece, None) for piece in found.inputs.split(size, axis)]
        outputs = torch.cat(pieces, 1).double() if found.labels.device.type != "mps" else torch.cat(pieces, 1)
        correct = self.task.criterion.correct(outputs, found.labels)
        accuracy = None if correct is None else found.mean(correct.to(outputs.dtype))
        return Measured(found.mean(self.task.criterion(outputs, found.labels)), accuracy)


Call = Callable[[Mapping[str, Tensor], Tensor, Tensor | None], Tensor]


def _own_model(model: HookedModel, parameters: Mapping[str, nn.Parameter]) -> HookedModel:
    """A copy of the model that holds the stacked parameters, so that no call has to put them in place."""
    copied = copy.deepcopy(model)
    for name, parameter in parameters.items():
        module, _, leaf = name.rpartition(".")
        copied.get_submodule(module)._parameters[leaf] = parameter
    return copied


def _caller(model: HookedModel, task: Task, members: int, own: bool, shared: bool) -> Call:
    """A function that computes the outputs of every member from stacked parameters, inputs and noise.

    Args:
        model: the network.
        task: decides which outputs are read.
        members: number of them.
        own: the model holds the stacked parameters and takes them all at once.
        shared: all members have the same inputs ``[n, ...]``; otherwise they are stacked.

    Returns:
        a function of parameters, inputs and noise; its outputs are ``[member, n, width]``.
    """

    def stacked(parameters: Mapping[str, Tensor], inputs: Tensor, noise: Tensor | None) -> Tensor:
        return task.read(model(inputs, noise) if noise is not None else model(inputs))

    def one(parameters: Mapping[str, Tensor], inputs: Tensor, noise: Tensor | None) -> Tensor:
        extra = {} if noise is None else {"noise": noise}
        return task.read(functional_call(model, dict(parameters), (inputs,), extra))

    def single(parameters: Mapping[str, Tensor], inputs: Tensor, noise: Tensor | None) -> Tensor:
        flat = {name: p.squeeze(0) for name, p in parameters.items()}
        outputs = one(flat, inputs if shared else inputs.squeeze(0), None if noise is None else noise[0])
        return outputs.unsqueeze(0)

    def together(parameters: Mapping[str, Tensor], inputs: Tensor, noise: Tensor | None) -> Tensor:
        axes = (0, None if shared else 0, None if noise is None else 0)
        return torch.vmap(one, in_dims=axes)(parameters, inputs, noise)

    if own:
        return stacked
    return single if members == 1 else together


def planned_by_hand(plan: Plan, model: HookedModel, task: Task) -> Callable[[int], ByHand] | None:
    """`by_hand`, where a run minimises its task's loss as it is.

    Args:
        plan: of the run; smoothed labels and probabilities of another precision are left to autograd.
        model: as in `by_hand`.
        task: as in `by_hand`.

    Returns:
        as in `by_hand`.
    """
    smoothed = any(plan.setting(i, "label_smoothing") for i in range(len(plan.members)))
    return None if smoothed or plan.softmax_dtype != "float64" else by_hand(model, task, plan.batch_size)
