"""The gradient of a multilayer perceptron's loss, layer by layer, for a stack of networks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from interp._util.subnormals import without_subnormals
from interp.hooked import HookedMLP, HookedModel
from interp.hooked.dropout import kept
from interp.hooked.mlp.config import MLPConfig
from interp.hooked.mlp.linear import outputs, to_inputs, to_weight
from interp.tasks import Task
from interp.training.by_hand.activations import BY_HAND
from interp.training.by_hand.embedded import Embedded

Parameters = Mapping[str, Tensor]


class MLPGradients:
    """Gradients of a stack of `HookedMLP`s, written into memory that every call uses again.

    Products, activation functions and their derivatives are the kernels that autograd calls too; what is saved is its
    graph, copies, and memory that is new at every step.

    Args:
        model: the network; only its form matters.
        task: whose loss is minimised.
        members: networks in the stack.
    """

    def __init__(self, model: HookedModel, task: Task, members: int):
        assert isinstance(model, HookedMLP)
        self._config, self._criterion, self._members = model.config, task.criterion, members
        self._layers = [
            *((f"layers.{i}.W", f"layers.{i}.b" if model.config.bias else None) for i in range(len(model.config.hidden))),
            ("unembed.W_U", "unembed.b_U" if model.config.unembed_bias else None),
        ]  # fmt: skip
        self._act = BY_HAND[model.config.act_fn]
        self._embedded = None if model.config.d_vocab is None else Embedded(model.config, members)
        self._gradients: dict[str, Tensor] = {}
        self._passes: dict[int, Pass] = {}

    @staticmethod
    def applies(model: HookedModel, task: Task) -> bool:
        """Whether this computes the gradient of a network on a task."""
        if type(model) is not HookedMLP or model.config.act_fn not in BY_HAND or task.width != model.config.d_out:
            return False
        return model.config.d_vocab is None or Embedded.applies(model.config)

    @torch.no_grad()
    def __call__(
        self,
        parameters: Parameters,
        inputs: Tensor,
        labels: Tensor,
        weights: Tensor | None,
        noise: Tensor | None = None,
    ) -> Parameters:
        """See `ByHand`."""
        if not self._gradients:
            self._gradients = {name: torch.zeros_like(p, requires_grad=False) for name, p in parameters.items()}
        x = inputs if self._embedded is None else self._embedded(parameters["embed.W_E"], inputs)
        n = x.shape[-2]  # labels of a regression have an axis of their own
        if n not in self._passes:
            self._passes[n] = Pass(self._config, self._members, n, x)
        own = self._passes[n]
        own.read[0] = x.expand(self._members, *x.shape[-2:])
        stays = self._forward(parameters, own, noise)
        gradients = own.gradients
        gradients[-1] = self._of_loss(own.read[-1], labels, weights)
        for i in reversed(range(len(self._layers))):
            weight, bias = self._layers[i]
            g = gradients[i + 1]
            to_weight(own.read[i], g, self._gradients[weight])
            if bias is not None:
                torch.sum(g, 1, out=self._gradients[bias])
            if i:
                to_inputs(g, parameters[weight], gradients[i])
                if stays:
                    self._drop(gradients[i], stays[i - 1], gradients[i])
                self._act.backward(gradients[i], (own.pre if self._act.of_input else own.post)[i - 1])
            elif self._embedded is not None:
                to_inputs(g, parameters[weight], own.first)
                self._embedded.backward(own.first, self._gradients["embed.W_E"])
        return self._gradients

    def _forward(self, parameters: Parameters, own: Pass, noise: Tensor | None) -> list[Tensor]:
        """Fill the activations of every layer; returns, by hidden layer, 1 where a unit stays and 0 elsewhere."""
        stays: list[Tensor] = []
        last = len(self._layers) - 1
        for i, (weight, bias) in enumerate(self._layers):
            out = own.read[-1] if i == last else own.pre[i]
            outputs(own.read[i], parameters[weight], None if bias is None else parameters[bias], out)
            if i == last:
                break
            self._act.forward(out, own.post[i])
            if self._config.dropout:
                assert noise is not None
                stays.append(kept(noise, own.post[i].shape[1:], self._config.dropout, salt=i).to(out.dtype))
                self._drop(own.post[i], stays[i], own.read[i + 1])
        return stays

    def _drop(self, x: Tensor, stays: Tensor, out: Tensor) -> None:
        """The products of `interp.hooked.dropout.dropout`, and of its derivative."""
        torch.div(x, 1 - self._config.dropout, out=out).mul_(stays)

    def _of_loss(self, outputs: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
        """The gradient of each member's mean loss with respect to its outputs ``[member, n, width]``."""
        gradient = self._criterion.gradient(outputs, labels)
        if weights is None:
            gradient.div_(outputs.shape[-2])
        else:
            gradient.mul_(weights.to(gradient.dtype).unsqueeze(-1))
        return without_subnormals(gradient)


class Pass:
    """Memory for the activations and gradients of ``n`` examples.

    Where the derivative of the activation function follows from its output, that takes the place of its input; without
    dropout a layer reads the output itself.

    Args:
        config: of the network.
        members: networks in the stack.
        n: examples of each.
        like: a tensor of the dtype and on the device.

    Attributes:
        pre: what the activation function of each hidden layer reads.
        post: what it gives.
        read: what each layer reads, the inputs first, and the outputs at the end.
        gradients: of the loss with respect to ``pre`` of each hidden layer, from the second entry on, and the outputs.
        first: with respect to the inputs.
    """

    def __init__(self, config: MLPConfig, members: int, n: int, like: Tensor):
        def empty(width: int) -> Tensor:
            return like.new_empty(members, n, width)

        in_place = not BY_HAND[config.act_fn].of_input
        self.pre = [empty(width) for width in config.hidden]
        self.post = self.pre if in_place else [empty(width) for width in config.hidden]
        read = [empty(width) for width in config.hidden] if config.dropout else self.post
        self.read = [like, *read, empty(config.d_out)]
        self.gradients = [like, *(empty(width) for width in config.hidden), like]
        self.first = empty(config.width_in)
