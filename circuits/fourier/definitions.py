"""Restricted and excluded loss: the logits of a network over a cyclic input table, taken apart by frequency.

Restricted loss keeps the key frequencies of a network and discards the rest; excluded loss removes them and keeps the rest.
Three definitions are in use, and their numbers differ:

- ``nanda2d``: logits over the input table, per output; kept or removed are cos and sin of w_k (a + b). The constant stays in
  both (Nanda et al. 2023, Progress measures for grokking via mechanistic interpretability, https://arxiv.org/abs/2301.05217).
- ``logit``: the one coefficient of cos(w_k (a + b - c)) over inputs and outputs together. No constant is kept; outputs outside
  the group (0, in multiplication) keep their mean, minus that of the others (Chughtai et al. 2023, A Toy Model of Universality,
  https://arxiv.org/abs/2302.03025).
- ``hidden``: the last hidden layer over the input table, projected on cos and sin of w_k a, w_k b and w_k (a + b), then decoded
  by the rest of the network, whose other paths are unchanged. The mean stays in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.fourier.modes import Modes
from circuits.fourier.table import Loss, Table
from interp.errors import UnknownName, unknown
from probes import fourier

Definition = Literal["nanda2d", "logit", "hidden"]
DEFINITIONS: tuple[Definition, ...] = get_args(Definition)


def project(table: Table, frequencies: Sequence[int] | None, definition: Definition, *, keep: bool) -> Loss:
    """The loss of a network with some frequencies only (restricted loss) or without them (excluded loss).

    Args:
        table: the network's logits; one table serves many calls.
        frequencies: from 1 to n // 2; the network's key frequencies where None.
        definition: ``nanda2d``, ``logit`` or ``hidden``.
        keep: keep the frequencies; otherwise remove them.

    Returns:
        the loss over the table and over both parts of the split.

    Raises:
        UnknownName: another definition.
        InterpError: a frequency outside 1..n // 2, or ``hidden`` on a network without hidden units.
    """
    if definition not in DEFINITIONS:
        raise UnknownName(unknown("definition", definition, DEFINITIONS))
    chosen = list(frequencies) if frequencies is not None else table.keys
    if definition == "nanda2d":
        return Modes.of(table, [chosen]).scores(keep=keep)[0]
    fourier.check_frequencies(chosen, table.n)
    if definition == "hidden":
        return table.score(_decode(table, chosen, keep=keep))
    part = trilinear_component(table.cube, chosen)
    if keep:
        return table.score(table.with_cube(part, rest="centred"))
    return table.score(table.with_cube(table.cube - part, rest="keep"))


def trilinear_component(logits: Float[Tensor, "n n n"], frequencies: Sequence[int]) -> Float[Tensor, "n n n"]:
    """The part of logits ``[a, b, c]`` on cos(w_k (a + b - c)): one coefficient per frequency.

    Args:
        logits: over the cyclic table, with the outputs in exponent order as well.
        frequencies: from 1 to n // 2.

    Returns:
        the part, in the shape of the logits.

    >>> import math
    >>> a = torch.arange(5, dtype=torch.float64)
    >>> wave = torch.cos(2 * math.pi * 2 * (a[:, None, None] + a[:, None] - a) / 5)
    >>> [bool(torch.allclose(trilinear_component(wave, [k]), wave)) for k in (1, 2)]
    [False, True]
    """
    n = logits.shape[0]
    index = torch.arange(n, device=logits.device)
    argument = (index[:, None, None] + index[:, None] - index) % n
    means = torch.zeros(n, dtype=logits.dtype, device=logits.device)
    means.index_add_(0, argument.flatten(), logits.flatten())
    means /= n * n
    cosines = fourier.basis(n).select([f"cos {k}" for k in frequencies]).directions.to(logits)
    return (cosines.T @ (cosines @ means))[argument]


@torch.no_grad()
def _decode(table: Table, frequencies: Sequence[int], *, keep: bool) -> Tensor:
    """Logits ``[n, n, outputs]`` after the hidden layer was projected."""
    hidden, n = table.hidden, table.n
    mean = hidden.grid.mean((0, 1))
    index = torch.arange(n, device=hidden.grid.device)
    a, b = index[:, None].expand(n, n), index.expand(n, n)
    part = torch.zeros_like(hidden.grid)
    for argument in (a, b, (a + b) % n):
        part += _function_of(argument, hidden.grid, frequencies)
    change = (mean + part - hidden.grid if keep else -part).flatten(0, 1)
    moved = hidden.clean + (change if hidden.matrix is None else change @ hidden.matrix)
    logits = table.task.read(hidden.model.resume(hidden.stream, moved.to(hidden.model.dtype))).double()
    return logits.unflatten(0, (n, n))


def _function_of(argument: Tensor, values: Tensor, frequencies: Sequence[int]) -> Tensor:
    """Projection of ``values [n, n, ...]`` on cos and sin of w_k times an integer argument ``[n, n]`` modulo n."""
    n = values.shape[0]
    if not frequencies:
        return torch.zeros_like(values)
    modes = fourier.frequency_basis(n, list(frequencies)).directions.to(values)
    flat = values.reshape(n * n, -1)
    means = torch.zeros(n, flat.shape[1], dtype=values.dtype, device=values.device)
    means.index_add_(0, argument.flatten(), flat)
    means /= n  # every residue occurs n times
    return (modes.T @ (modes @ means))[argument].reshape(values.shape)
