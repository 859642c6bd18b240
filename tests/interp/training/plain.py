"""The same training in plain PyTorch: one network of torch's modules, one torch optimizer, one loop."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from interp.hooked import HookedModel
from interp.tasks import Task
from interp.training.randomness import keys, shuffles

Loss = Callable[[Tensor, Tensor], Tensor]
ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu, "gelu": nn.functional.gelu}


class PlainMLP(nn.Module):
    """An embedding where there is one, linear layers, and a linear layer to the outputs, in the order of their making."""

    def __init__(
        self, widths: Sequence[int], act: str, embed: tuple[int, int] | None = None, add: bool = False,
        last_bias: bool = True,
    ):  # fmt: skip
        super().__init__()
        self.act, self.add = ACTIVATIONS[act], add
        self.embed = nn.Embedding(*embed) if embed else None
        pairs = itertools.pairwise(widths[:-1])
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in pairs)
        self.out = nn.Linear(widths[-2], widths[-1], bias=last_bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.embed is not None:
            x = self.embed(x)
            x = x.sum(1) if self.add else x.flatten(1)
        for layer in self.hidden:
            x = self.act(layer(x))
        return self.out(x)

    def by_our_names(self) -> dict[str, Tensor]:
        """The weights under the names and in the shapes of a `HookedMLP`."""
        found = {} if self.embed is None else {"embed.W_E": self.embed.weight}
        for i, layer in enumerate(self.hidden):
            found |= {f"layers.{i}.W": layer.weight.T, f"layers.{i}.b": layer.bias}
        found["unembed.W_U"] = self.out.weight.T
        if self.out.bias is not None:
            found["unembed.b_U"] = self.out.bias
        return {name: t.detach().clone() for name, t in found.items()}


def build(seed: int, make: Callable[[], PlainMLP], scale: float = 1.0) -> PlainMLP:
    """The network as torch draws it after ``torch.manual_seed(seed)``, in float64 and times ``scale``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make().double()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(scale)
    return model


@dataclass
class PlainTraining:
    """A loop; its knobs are those of a run.

    Attributes:
        loss: of outputs and labels, a scalar.
        batches: batch size and seed of their order.
        late: (step, weight decay), from that step on.
        late_memorised: weight decay from the first step in ``measure_at`` on whose train accuracy exceeds 0.999.
        minimised: in place of ``loss`` where that is what is measured only.
        penalty: of the model, the inputs and the step; added to what is minimised.
        on_gradients: changes the gradients of a model, given the number of the update.
        after: changes a model's weights after an update.
        scheduler: of learning rates, in place of ``warmup``.
        snapshots: weights by step, for the steps in ``keep``.
        measured: (train loss, train accuracy, test loss, test accuracy, norm) by step.
    """

    model: PlainMLP
    optimizer: torch.optim.Optimizer
    task: Task
    loss: Loss
    right: Callable[[Tensor, Tensor], Tensor]
    batches: tuple[int, int] | None = None
    warmup: int = 0
    l1: float = 0.0
    norm_penalty: float = 0.0
    clip_norm: float | None = None
    normalise: bool = False
    late: tuple[int, float] | None = None
    late_memorised: float | None = None
    minimised: Loss | None = None
    penalty: Callable[[PlainMLP, Tensor, int], Tensor] | None = None
    on_gradients: Callable[[PlainMLP, int], None] | None = None
    after: Callable[[PlainMLP], None] | None = None
    scheduler: torch.optim.lr_scheduler.LRScheduler | None = None
    keep: Sequence[int] = ()
    measure_at: Sequence[int] = ()
    snapshots: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    measured: dict[int, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        inputs, labels = self.task.inputs, self.task.labels
        inputs = inputs.double() if inputs.is_floating_point() else inputs
        train, test = self.task.train_indices, self.task.test_indices
        self.train, self.test = (inputs[train], labels[train]), (inputs[test], labels[test])

    def run(self, steps: int) -> PlainTraining:
        rates = [group["lr"] for group in self.optimizer.param_groups]
        for step in range(steps + 1):
            self._events(step)
            if step == steps:
                return self
            if self.scheduler is None:
                for group, lr in zip(self.optimizer.param_groups, rates, strict=True):
                    group["lr"] = lr * min(step / self.warmup, 1) if self.warmup else lr
            self._update(*self._batch(step), step)
            if self.scheduler is not None:
                self.scheduler.step()
        return self

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        inputs, labels = self.train
        if self.batches is None:
            return inputs, labels
        size, seed = self.batches
        epoch, place = divmod(step, -(-len(labels) // size))
        order = shuffles(keys([seed], "batches", torch.device("cpu")) + epoch, len(labels))[0]
        index = order[place * size : (place + 1) * size]
        return inputs[index], labels[index]

    def _update(self, inputs: Tensor, labels: Tensor, step: int) -> None:
        self.optimizer.zero_grad()
        loss = (self.minimised or self.loss)(self.model(inputs), labels)
        if self.penalty is not None:
            loss = loss + self.penalty(self.model, inputs, step)
        loss = loss + self.l1 * sum(p.abs().sum() for p in self.model.parameters())
        loss = loss - self.norm_penalty * sum((p * p).sum() for p in self.model.parameters())
        loss.backward()
        if self.on_gradients is not None:
            self.on_gradients(self.model, step)
        parameters = list(self.model.parameters())
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, self.clip_norm)
        if self.normalise:
            total = torch.cat([p.grad.flatten() for p in parameters]).norm()
            for p in parameters:
                p.grad /= total
        self.optimizer.step()
        if self.after is not None:
            self.after(self.model)

    @torch.no_grad()
    def _events(self, step: int) -> None:
        if self.late is not None and step == self.late[0]:
            self._decay(self.late[1])
        if step in self.measure_at:
            row: list[float] = []
            for inputs, labels in (self.train, self.test):
                outputs = self.model(inputs)
                row += [self.loss(outputs, labels).item(), self.right(outputs, labels).double().mean().item()]
            row.append(torch.cat([p.flatten() for p in self.model.parameters()]).norm().item())
            self.measured[step] = tuple(row)
            if self.late_memorised is not None and row[1] > 0.999:
                self._decay(self.late_memorised)
                self.late_memorised = None
        if step in self.keep:
            self.snapshots[step] = self.model.by_our_names()

    def _decay(self, value: float) -> None:
        for group in self.optimizer.param_groups:
            group["weight_decay"] = value if group["weight_decay"] else 0.0


def distance(model: HookedModel, weights: dict[str, Tensor]) -> float:
    """The largest difference between a model's parameters and weights of the same names."""
    own = {name: p.detach() for name, p in model.named_parameters()}
    assert own.keys() == weights.keys()
    return max((own[name] - weights[name]).abs().max().item() for name in own)
