"""Restricted and excluded loss: the logits of a network over the table of a group, taken apart by what they are made of.

Restricted loss keeps the key parts of a network and discards the rest; excluded loss removes them and keeps the rest. A part is
a frequency of Z_n or an irreducible representation r of another group, with its character chi_r: ``cos(w_k x)`` in Z_n. Four
definitions are in use, and their numbers differ:

- ``nanda2d``: logits over the input table, per output; kept or removed are functions of ``a * b`` in the part of r: in Z_n cos
  and sin of w_k (a + b). The constant stays in both (Nanda et al. 2023, Progress measures for grokking via mechanistic
  interpretability, https://arxiv.org/abs/2301.05217).
- ``logit``: the one coefficient of ``chi_r(a * b * c^-1)``, in Z_n cos(w_k (a + b - c)), over inputs and outputs together. No
  constant is kept; outputs outside the group (0, in multiplication) keep their mean, minus that of the others (Chughtai et al.
  2023, A Toy Model of Universality, https://arxiv.org/abs/2302.03025).
- ``hidden``: the last hidden layer over the input table, projected on functions of ``a * b`` in the part of r. Only that (or
  only the layer without it) is decoded again: no mean, no path around the layer and no bias after it is kept (Chughtai et al.).
- ``neurons``: the last hidden layer, projected on functions of a, of b and of ``a * b`` in the part of r, then decoded by the
  rest of the network, whose other paths are unchanged. The mean stays in both.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.fourier.modes import Modes
from circuits.fourier.table import Loss, Parts, Table
from interp.errors import UnknownName, unknown
from probes.representations import product_means, quotient_means

Definition = Literal["nanda2d", "logit", "hidden", "neurons"]
DEFINITIONS: tuple[Definition, ...] = get_args(Definition)
OF_LAYER: tuple[Definition, ...] = ("hidden", "neurons")  # those that need a hidden layer


def usual_definition(table: Table) -> Definition:
    """The definition where none is given: ``nanda2d`` for Z_n, ``logit`` for any other group."""
    return "nanda2d" if table.cyclic else "logit"


def project(table: Table, parts: Parts | None, definition: Definition | None, *, keep: bool) -> Loss:
    """The loss of a network with some parts only (restricted loss) or without them (excluded loss).

    Args:
        table: the network's logits; one table serves many calls.
        parts: frequencies from 1 to n // 2, or names of representations; the network's key ones where None.
        definition: ``nanda2d``, ``logit``, ``hidden`` or ``neurons``; None: `usual_definition`.
        keep: keep the parts; otherwise remove them.

    Returns:
        the loss over the table and over both parts of the split.

    Raises:
        UnknownName: another definition, or a representation that the group does not have.
        InterpError: a frequency outside 1..n // 2, or a definition by the hidden layer on a network without one.
    """
    definition = usual_definition(table) if definition is None else definition
    if definition not in DEFINITIONS:
        raise UnknownName(unknown("definition", definition, DEFINITIONS))
    chosen = table.chosen(parts)
    if definition == "nanda2d":
        return Modes.of(table, [chosen]).scores(keep=keep)[0]
    if definition == "neurons":
        return table.score(_decode(table, chosen, keep=keep))
    if definition == "hidden":
        part = hidden_component(table, chosen)
        return (
            table.score_products(_alone(table, table.hidden.arriving(part)))
            if keep
            else table.score(_without(table, part))
        )
    part = character_component(table, chosen)
    if keep:
        return table.score_products(table.with_cube(part, rest="centred"))
    return table.score(table.with_cube(table.cube - part[table.product], rest="keep"))


def character_component(table: Table, parts: Parts) -> Float[Tensor, "n n"]:
    """The part of logits ``[a, b, c]`` on ``chi_r(a * b * c^-1)``: one coefficient per part.

    Args:
        table: the network's logits.
        parts: frequencies or representations.

    Returns:
        ``[a * b, c]``.
    """
    means = quotient_means(product_means(table.cube, table.product), table.product)
    characters = table.characters(parts)
    return (characters.T @ (characters @ means))[table.product[:, table.inverse]]


def hidden_component(table: Table, parts: Parts) -> Float[Tensor, "n ..."]:
    """The part of the last hidden layer on functions of ``a * b``.

    Args:
        table: the network's logits and hidden layer.
        parts: frequencies or representations.

    Returns:
        ``[a * b, ..., unit]``.
    """
    of_product = table.hidden_means.of_product
    return (table.projection(parts) @ of_product.flatten(1)).reshape(of_product.shape)


@torch.no_grad()
def _decode(table: Table, parts: Parts, *, keep: bool) -> Tensor:
    """Logits ``[n, n, outputs]`` after the hidden layer was projected, the rest of the network as it was."""
    hidden, projection = table.hidden, table.projection(parts)

    def arriving(means: Tensor) -> Tensor:
        """The part of means over the table, as it arrives: the projection acts on inputs, the way on units."""
        return hidden.arriving((projection @ means.flatten(1)).reshape(means.shape))

    means = table.hidden_means
    part = arriving(means.of_left)[:, None] + arriving(means.of_right) + arriving(means.of_product)[table.product]
    part = part.flatten(0, 1)
    if not keep:
        return _resumed(table, hidden.clean - part)
    return _resumed(table, hidden.clean - hidden.arrived + hidden.arriving(hidden.grid.mean((0, 1))) + part)


def _without(table: Table, part: Tensor) -> Float[Tensor, "pairs outputs"]:
    """Logits of the hidden layer alone, without a part of it."""
    hidden = table.hidden
    return _alone(table, hidden.arrived - hidden.arriving(part)[table.product].flatten(0, 1))


@torch.no_grad()
def _alone(table: Table, stream: Tensor) -> Float[Tensor, "rows outputs"]:
    """Logits of the hidden layer alone, from how it arrives: what the rest of the network makes of it, less what of 0."""
    return _resumed(table, stream) - _resumed(table, torch.zeros_like(stream[:1]))


def _resumed(table: Table, stream: Tensor) -> Float[Tensor, "rows outputs"]:
    hidden = table.hidden
    return table.task.read(hidden.model.resume(hidden.stream, stream.to(hidden.model.dtype))).double()
