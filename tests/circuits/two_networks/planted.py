"""Copies of networks whose insides are changed in a known way while their outputs are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

import interp
from interp import HookedMLP, MLPConfig, ModularArithmetic, Subject

P, HIDDEN = 11, 8
LAYER = "layers.0.hook_post"


def network(seed: int = 0, hidden: int = HIDDEN) -> Subject:
    """A small random MLP on pairs of symbols."""
    model = HookedMLP(MLPConfig((hidden,), P, d_vocab=P, d_embed=5, act_fn="tanh")).double().init_weights(seed, 2.0)
    return Subject(f"mlp {seed}", model, ModularArithmetic(P, train_fraction=0.5).fit(model))


def taught(subject: Subject) -> Subject:
    """The same network, whose own answers are the right ones."""
    task = subject.require_task()
    examples = interp.Examples(task.inputs, subject.logits().argmax(-1), train=task.train_indices, n_answers=P)
    return Subject(subject.name, subject.model, examples)


def with_units(subject: Subject, units: list[int], name: str, **changes: Mapping[int, Tensor | float]) -> Subject:
    """The same network with its hidden units chosen anew (in another order, or repeated), then changed.

    ``reads``: new weights ``[d_in]`` into a unit of the result; ``writes``: a factor on what it writes.
    """
    weights = {k: v.clone() for k, v in subject.model.state_dict().items()}
    weights["layers.0.W"] = weights["layers.0.W"][:, units]
    weights["layers.0.b"] = weights["layers.0.b"][units]
    weights["unembed.W_U"] = weights["unembed.W_U"][units]
    for unit, column in changes.get("reads", {}).items():
        weights["layers.0.W"][:, unit] = torch.as_tensor(column)
    for unit, factor in changes.get("writes", {}).items():
        weights["unembed.W_U"][unit] *= factor
    config = replace(subject.model.config, hidden=(len(units),))
    return Subject(name, HookedMLP.from_weights(config, weights), subject.task)


def rotated(seed: int = 0) -> tuple[Subject, Subject]:
    """A wrapped network, and one whose middle layer is mixed by an invertible matrix that the next layer undoes."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    inputs, mix = draw(60, 4), draw(5, 5) + 2 * torch.eye(5)
    weights = [draw(9, 4), draw(5, 9), draw(3, 5)]
    labels = torch.randint(3, (60,), generator=generator)
    made = []
    for name, turn in (("plain", torch.eye(5).double()), ("mixed", mix)):
        layers = [nn.Linear(a, b).double() for a, b in ((4, 9), (9, 5), (5, 3))]
        with torch.no_grad():
            layers[0].weight.copy_(weights[0])
            layers[1].weight.copy_(turn @ weights[1])
            layers[1].bias.copy_(turn @ torch.ones(5).double())
            layers[2].weight.copy_(weights[2] @ torch.linalg.inv(turn))
            layers[0].bias.zero_()
            layers[2].bias.zero_()
        module = nn.Sequential(layers[0], nn.Tanh(), layers[1], layers[2]).eval()
        task = interp.Examples(inputs, labels, train=list(range(30)))
        made.append(Subject(name, interp.wrap(module, inputs), task))
    return made[0], made[1]
