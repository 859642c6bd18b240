"""Token embeddings of a stack of MLPs: combined into the first layer's input, and the gradient of their tables."""

from __future__ import annotations

import torch
from torch import Tensor

from interp.hooked.mlp.config import MLPConfig
from interp.hooked.mlp.linear import to_weight

MOST_COUNTED = 4096  # numbers in the tables; a product with larger ones is slower than to gather their rows


class Embedded:
    """Gather the operands' embeddings, concatenate, sum or multiply them; and the way back.

    Args:
        config: of the network.
        members: networks in the stack.
    """

    def __init__(self, config: MLPConfig, members: int):
        assert config.d_vocab is not None
        self._config, self._members, self._vocabulary = config, members, config.d_vocab
        self._tables = members * (config.n_operands if config.embedding == "per_operand" else 1)
        self._seen: Tensor | None = None
        self._counts: Tensor | None = None
        self._rows = self._values = torch.empty(0)

    @staticmethod
    def applies(config: MLPConfig) -> bool:
        """Whether the operands are combined in a way that is written out here."""
        return config.combine != "product" or config.n_operands == 2

    def __call__(self, tables: Tensor, tokens: Tensor) -> Tensor:
        """The first layer's input ``[member, n, width]`` of tokens ``[(member,) n, operand]``."""
        n = tokens.shape[-2]
        if tokens is not self._seen:
            self._rows, self._counts = self._numbered(tokens), None
            self._seen = tokens
        elif self._counts is None and self._config.combine == "sum" and tables[0].numel() <= MOST_COUNTED:
            self._counts = self._counted(n, tables)  # the full batch, which is the same at every step
        if self._counts is not None:
            flat = tables.reshape(self._members, -1, tables.shape[-1])
            return (
                torch.bmm(self._counts, flat) if flat.shape[2] > 1 else (self._counts * flat.mT).sum(-1, keepdim=True)
            )
        width = tables.shape[-1]
        values = tables.reshape(-1, width).index_select(0, self._rows).view(self._members, n, -1, width)
        if self._config.combine == "concat":
            return values.flatten(2)
        if self._config.combine == "sum":
            return values.sum(2)
        self._values = values
        first, second = self._matrices(values)
        return (first @ second).flatten(2)

    def backward(self, gradient: Tensor, into: Tensor) -> None:
        """Write the gradient of the tables, from that of the first layer's input ``[member, n, width]``."""
        n, width = gradient.shape[1], into.shape[-1]
        if self._counts is not None:
            to_weight(self._counts, gradient, into.view(self._members, -1, width))
            return
        if self._config.combine == "sum":
            gradient = gradient.unsqueeze(2).expand(-1, -1, self._config.n_operands, -1)
        elif self._config.combine == "product":
            first, second = self._matrices(self._values)
            g = gradient.view(first.shape)
            gradient = torch.stack([g @ second.mT, first.mT @ g], 2)
        rows = gradient.reshape(self._members * n * self._config.n_operands, width)
        found = torch.ops.aten.embedding_dense_backward(rows, self._rows, self._tables * self._vocabulary, -1, False)
        into.copy_(found.view(into.shape))

    def _numbered(self, tokens: Tensor) -> Tensor:
        """Each token's row where the tables of all members, and operands, are one ``[n * operand * member]``."""
        shape = (self._members, *tokens.shape[-2:])
        if self._config.embedding == "per_operand":
            operands = self._config.n_operands
            tokens = tokens + torch.arange(operands, device=tokens.device) * self._vocabulary
            step = operands * self._vocabulary
        else:
            step = self._vocabulary
        members = torch.arange(self._members, device=tokens.device).view(-1, 1, 1) * step
        return (tokens + members).expand(shape).flatten()

    def _counted(self, n: int, like: Tensor) -> Tensor:
        """How often each row of the tables is added up in each example's input ``[member, n, row]``."""
        per_member = self._tables // self._members * self._vocabulary
        rows = (self._rows % per_member).view(self._members, n, -1)
        counts = like.new_zeros(self._members, n, per_member)
        return counts.scatter_add_(2, rows, like.new_ones(1).expand(rows.shape))

    def _matrices(self, values: Tensor) -> tuple[Tensor, Tensor]:
        side = round(values.shape[-1] ** 0.5)
        first, second = values.unflatten(-1, (side, side)).unbind(2)  # each [member, n, m, m]
        return first, second
