"""Attention of one query over tables: what one token at the readout reads from the tokens of the other positions.

A token at a position always has the same score and the same value, so scores, and values times ``W_O``, are tables of a row
per position and token; an input adds up a row per position and head, each weighted by the head's attention.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from interp.hooked.transformer.config import TransformerConfig

Parameters = Mapping[str, Tensor]


@dataclass(frozen=True)
class Asking:
    """Which rows the inputs of a batch read, and the same the other way round.

    The tables have a row per token for every other position that is seen, and then one row for the readout itself.

    Attributes:
        tokens: of every row ``[row]``.
        places: the position of every row ``[row]``.
        rows: the row of every position that is seen ``[pos, n]``; the readout comes last.
        entries: ``row * heads + head``, of every position and head ``[n, pos * head]``.
        order: where entries stand in ``entries``, sorted ``[n * pos * head]``.
        askers: the input that reads each of these.
        starts: where every entry's readers begin in ``order`` ``[row * head]``.
        firsts: where every input's entries begin, flat ``[n]``.
    """

    tokens: Tensor
    places: Tensor
    rows: Tensor
    entries: Tensor
    order: Tensor
    askers: Tensor
    starts: Tensor
    firsts: Tensor

    @classmethod
    def of(cls, inputs: Tensor, config: TransformerConfig, readout: int) -> Asking:
        """The rows of inputs ``[n, pos]`` that all have the same token at the readout."""
        (n, n_pos), heads, vocabulary = inputs.shape, config.n_heads, config.d_vocab
        others = [p for p in range(readout + 1 if config.causal else n_pos) if p != readout]
        tokens = torch.cat([torch.arange(vocabulary).repeat(len(others)), inputs[:1, readout]])
        places = torch.tensor(others, dtype=torch.long).repeat_interleave(vocabulary)
        places = torch.cat([places, torch.tensor([readout])])
        own = torch.full((1, n), len(tokens) - 1)
        rows = torch.cat([inputs.T[others] + vocabulary * torch.arange(len(others)).unsqueeze(-1), own])
        entries = (rows.T.unsqueeze(-1) * heads + torch.arange(heads)).flatten(1)
        order = entries.flatten().argsort(stable=True)
        counts = torch.bincount(entries.flatten(), minlength=len(tokens) * heads)
        per_input = entries.shape[1]
        return cls(
            tokens, places, rows, entries, order, order // per_input, counts.cumsum(0) - counts,
            torch.arange(n) * per_input,
        )  # fmt: skip


class AskedRows:
    """The residual stream after attention, at the readout, and the gradients of everything before it.

    Args:
        config: of the transformer.
        scale: that scores are divided by.
        weights: of one network, by name.
        asking: what is read.
    """

    def __init__(self, config: TransformerConfig, scale: float, weights: Parameters, asking: Asking):
        self._config, self._scale, self._asking = config, scale, asking
        self._weights = {name.removeprefix("blocks.0.attn."): w for name, w in weights.items()}
        w = self._weights
        self._stream = w["embed.W_E"][asking.tokens]  # [row, d_model]
        if config.positions:
            self._stream += w["pos_embed.W_pos"][asking.places]
        bias = config.attn_bias
        self._query = (w["W_Q"].mT @ self._stream[-1]).add_(w["b_Q"] if bias else 0) / scale  # [head, d_head]
        self._sought = (w["W_K"] @ self._query.unsqueeze(-1)).squeeze(-1)  # [head, d_model]
        self._scores = self._stream @ self._sought.mT  # [row, head]
        if bias:
            self._scores += (w["b_K"] * self._query).sum(-1)
        self._values = torch.matmul(self._stream, w["W_V"])  # [head, row, d_head]
        if bias:
            self._values += w["b_V"].unsqueeze(1)
        self._written = torch.bmm(self._values, w["W_O"]).transpose(0, 1).contiguous()  # [row, head, d_model]

    def mid(self) -> Tensor:
        """The stream after attention at the readout ``[n, d_model]``."""
        asking, heads = self._asking, self._config.n_heads
        # positions first: softmax over the last axis would be over three numbers at a time
        scores = self._scores.flatten().index_select(0, asking.entries.flatten())
        scores = scores.view(len(asking.entries), -1, heads).transpose(0, 1).contiguous()
        self._pattern = scores.softmax(0)  # [pos, n, head]
        self._flat = self._pattern.transpose(0, 1).flatten()  # [n * pos * head]
        start = self._stream[-1] + self._weights["b_O"] if self._config.attn_bias else self._stream[-1]
        return sums(self._written.flatten(0, 1), asking.entries.flatten(), asking.firsts, self._flat).add_(start)

    def backward(self, d_mid: Tensor, into: Parameters) -> None:
        """Add the gradients, from that of `mid` ``[n, d_model]``, to those of the same names."""
        asking, w, heads = self._asking, self._weights, self._config.n_heads
        into = {name.removeprefix("blocks.0.attn."): g for name, g in into.items()}
        d_written = sums(d_mid, asking.askers, asking.starts, self._flat.index_select(0, asking.order))
        d_written = d_written.view(-1, heads, d_mid.shape[1]).transpose(0, 1)  # [head, row, d_model]
        d_scores = self._of_scores(d_mid)  # [row, head]
        d_values = torch.bmm(d_written, w["W_O"].mT)
        into["W_O"].baddbmm_(self._values.mT, d_written)
        into["W_V"] += torch.matmul(self._stream.T, d_values)
        d_stream = torch.bmm(d_values, w["W_V"].mT).sum(0)
        d_own = d_mid.sum(0)  # of the readout's own stream
        d_stream.addmm_(d_scores, self._sought)
        d_sought = d_scores.T @ self._stream  # [head, d_model]
        d_query = (w["W_K"].mT @ d_sought.unsqueeze(-1)).squeeze(-1)
        into["W_K"].baddbmm_(d_sought.unsqueeze(-1), self._query.unsqueeze(1))
        if self._config.attn_bias:
            into["b_O"] += d_own
            into["b_V"] += d_values.sum(1)
            totals = d_scores.sum(0).unsqueeze(-1)
            into["b_K"] += totals * self._query
            d_query += totals * w["b_K"]
        d_query /= self._scale
        if self._config.attn_bias:
            into["b_Q"] += d_query
        into["W_Q"] += self._stream[-1].view(1, -1, 1) * d_query.unsqueeze(1)
        d_stream[-1] += d_own + (w["W_Q"] @ d_query.unsqueeze(-1)).sum((0, 2))
        into["embed.W_E"].index_add_(0, asking.tokens, d_stream)
        if self._config.positions:
            into["pos_embed.W_pos"].index_add_(0, asking.places, d_stream)

    def _of_scores(self, d_mid: Tensor) -> Tensor:
        """The gradient of the tables of scores ``[row, head]``."""
        asking, (heads, _, size) = self._asking, self._weights["W_V"].shape
        d_heads = d_mid @ self._weights["W_O"].flatten(0, 1).T  # [n, head * d_head]
        values = self._values.transpose(0, 1).flatten(1)  # [row, head * d_head]
        slopes = torch.empty_like(self._pattern)
        for slope, rows in zip(slopes[:-1], asking.rows[:-1], strict=True):
            torch.sum(values.index_select(0, rows).mul_(d_heads).view(-1, heads, size), -1, out=slope)
        torch.sum((d_heads * values[-1]).view(-1, heads, size), -1, out=slopes[-1])
        d_scores = torch.ops.aten._softmax_backward_data(slopes, self._pattern, 0, slopes.dtype)
        found = torch.zeros_like(self._scores)
        return found.index_add_(0, asking.rows.flatten(), d_scores.flatten(0, 1))


def sums(rows: Tensor, which: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of rows: one for every start, of the rows ``which`` from there to the next start.

    Args:
        rows: ``[row, width]``.
        which: ``[n]``.
        starts: ``[sum]``.
        weights: ``[n]``.

    Returns:
        ``[sum, width]``.
    """
    return nn.functional.embedding_bag(which, rows, starts, mode="sum", per_sample_weights=weights)
