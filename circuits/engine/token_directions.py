"""Directions in the space of functions of the token, such as Fourier modes over Z_p, at the embedding."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuits.engine.components import Components
from circuits.engine.evaluation import Evaluation
from interp.hooked import HookedMLP, HookedTransformer

SITE = "hook_embed"


def token_rows(evaluation: Evaluation, components: Components, width: int) -> Float[Tensor, "direction unit"] | None:
    """What a unit of each direction writes into the embedding, for directions that are functions of the token.

    A basis consists of such functions if it is given at ``hook_embed``, its dimension differs from the embedding's width,
    and there are at least as many tokens; further tokens (an "=") belong to no direction. The embedding of token t is
    ``sum over directions f of f(t) (f^T W_E) + the rest``.

    Args:
        evaluation: network and inputs.
        components: directions of a site.
        width: of the embedding.

    Returns:
        the rows ``f^T W_E``; None if the basis does not consist of functions of the token.
    """
    model, basis = evaluation.model, components.basis
    if basis is None or components.site.name != SITE or basis.dim == width:
        return None
    if not isinstance(model, HookedTransformer | HookedMLP) or evaluation.inputs.is_floating_point():
        return None
    table = model.W_E.detach()
    if table.ndim != 2 or basis.dim > len(table):  # a table for each operand holds two embeddings
        return None
    return basis.directions.to(table) @ table[: basis.dim]


def token_coordinates(
    inputs: Int[Tensor, "..."], components: Components, like: Tensor
) -> Float[Tensor, "... direction"]:
    """The value of every direction at each token; 0 at tokens beyond its dimension."""
    assert components.basis is not None
    functions = components.basis.directions.T.to(like)  # [token, direction]
    beyond = torch.zeros_like(functions[:1])
    return torch.cat([functions, beyond])[inputs.to(like.device).clamp_max(components.basis.dim)]
