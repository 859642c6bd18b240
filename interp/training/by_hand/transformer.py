"""Gradients of a transformer of one layer that is read at one position, such as the ``=`` of a sum.

Scores and values are tables over tokens (see `asked_rows`), and only the position that is read passes through the MLP and the
unembedding, some inputs at a time. Nothing is approximated: the sums are those of the model, in another order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from interp.hooked import HookedModel, HookedTransformer
from interp.hooked.inputs import require_vocabulary
from interp.tasks import Task
from interp.training.by_hand.asked_rows import AskedRows, Asking
from interp.training.by_hand.parts import Parts
from interp.training.by_hand.unasked import Rest

Parameters = Mapping[str, Tensor]
LANES = 4  # parts of the examples that may be computed side by side
WORTH = 16_000_000  # multiplications of the neurons of a step; below, the tables take longer than they save
DTYPES = (torch.float32, torch.float64)


class TransformerGradients:
    """Gradients of `HookedTransformer`s of one layer, member after member.

    They have ReLU neurons, no norms, no dropout and no hooks, and all inputs have the same token where the network is read;
    inputs with another one are computed apart.

    Args:
        model: the network; only its form matters.
        task: what it is trained on.
        members: networks in the stack.
    """

    def __init__(self, model: HookedModel, task: Task, members: int):
        assert isinstance(model, HookedTransformer)
        assert task.readout is not None
        self._config, self._criterion, self._width = model.config, task.criterion, task.width
        self._readout = task.readout if model.config.readout is None else model.config.readout
        self._scale = model.block(0).attention.scale
        self._gradients: dict[str, Tensor] = {}
        self._parts = Parts()
        self._known: dict[int, tuple[Tensor, list[Group]]] = {}  # by member; the full batch is the same at every step

    @staticmethod
    def applies(model: HookedModel, task: Task, examples: int) -> bool:
        """Whether this computes the gradient of a network on a task, faster than autograd for so many examples a step."""
        if type(model) is not HookedTransformer or not task.criterion.separable or task.readout is None:
            return False
        c = model.config
        plain = (
            c.n_layers == 1 and c.normalization is None and c.dropout == 0 and not c.gated_mlp and c.act_fn == "relu"
        )
        if not plain or not c.d_mlp or model.dtype not in DTYPES or model.device.type != "cpu" or model.watched_sites():
            return False
        asked = task.inputs[:, task.readout]
        return examples * c.d_model * c.d_mlp >= WORTH and bool((asked == asked[0]).all())

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
            self._gradients = {name: torch.empty_like(p, requires_grad=False) for name, p in parameters.items()}
        shared, members = inputs.ndim == 2, len(next(iter(parameters.values())))
        share = 1 / inputs.shape[-2]
        with self._parts.step():
            for gradient in self._gradients.values():
                gradient.zero_()
            for member in range(members):
                own = {name: p.detach()[member] for name, p in parameters.items()}
                into = {name: g[member] for name, g in self._gradients.items()}
                tokens, answers = (inputs, labels) if shared else (inputs[member], labels[member])
                factor = own["embed.W_E"].new_full(answers.shape, share) if weights is None else weights[member]
                for group in self._groups(0 if shared else member, tokens):
                    self._add(group, own, answers, factor, into)
        return self._gradients

    def _groups(self, place: int, inputs: Tensor) -> list[Group]:
        """The inputs, by their token at the readout: as a rule all in one group."""
        known = self._known.get(place)
        if known is None or known[0].data_ptr() != inputs.data_ptr() or known[0].shape != inputs.shape:
            require_vocabulary(inputs, self._config.d_vocab)
            at = self._readout % inputs.shape[1]
            asked = inputs[:, at]
            parts = [None] if (asked == asked[0]).all() else [(asked == t).nonzero()[:, 0] for t in asked.unique()]
            groups = [Group(i, Asking.of(inputs if i is None else inputs[i], self._config, at)) for i in parts]
            known = self._known[place] = inputs, groups  # which keeps the inputs' memory from being used again
        return known[1]

    def _add(self, group: Group, own: Parameters, labels: Tensor, factor: Tensor, into: Parameters) -> None:
        if group.index is not None:
            labels, factor = labels[group.index], factor[group.index]
        start = AskedRows(self._config, self._scale, own, group.asking)
        mid = start.mid()
        d_mid = torch.empty_like(mid)
        # always the same lanes, so that the sums do not depend on the number of threads
        examples = zip(*(x.tensor_split(LANES) for x in (mid, labels, factor.to(mid.dtype), d_mid)), strict=True)
        rest = Rest(own, self._criterion, self._width)
        lanes = [(rest.sums(), part) for part in examples]
        self._parts.run([partial(rest.add, *part, found) for found, part in lanes])
        for found, _ in lanes[1:]:
            lanes[0][0].add(found)
        rest.finish(lanes[0][0], into)
        start.backward(d_mid, into)


@dataclass(frozen=True)
class Group:
    """Inputs with one token at the readout.

    Attributes:
        index: which they are; None: all.
        asking: the rows that they read.
    """

    index: Tensor | None
    asking: Asking
