"""Networks on finite groups: written by hand and random, and the plain sums that their losses are compared with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from interp import GroupComposition, HookedMLP, MLPConfig, Subject, TransformerConfig
from interp.hooked import build
from tests.interp.groups.test_representations import shuffled, table_of


def random_network(name: str, kind: str = "mlp", seed: int = 0, order: int | None = None) -> Subject:
    """An untrained network on a group, its elements in another order if ``order`` is a seed."""
    table = table_of(name) if order is None else shuffled(table_of(name), order)[0]
    n = len(table)
    configs = {
        "mlp": MLPConfig((11,), n, d_vocab=n, d_embed=6),
        "deep": MLPConfig((11, 9), n, d_vocab=n, d_embed=6),
        "transformer": TransformerConfig(
            n_layers=1, d_model=8, n_heads=2, d_head=4, d_vocab=n + 1, d_vocab_out=n, n_ctx=3, d_mlp=9
        ),
        "layer norm": TransformerConfig(
            n_layers=1, d_model=8, n_heads=2, d_head=4, d_vocab=n + 1, d_vocab_out=n, n_ctx=3, d_mlp=9, normalization="LN"
        ),
    }  # fmt: skip
    model = build(configs[kind]).double().init_weights(seed, 2.0)
    return Subject(name, model, GroupComposition(table.tolist(), 0.5).fit(model))


def written(table: np.ndarray, function: np.ndarray) -> Subject:
    """A network whose logits are ``function(a * b * c^-1)``: a hidden unit for every pair, which it tells the answers."""
    n = len(table)
    inverse = np.argwhere(table == np.flatnonzero((table == np.arange(n)).all(1))[0])[:, 1]
    pairs = torch.cartesian_prod(torch.arange(n), torch.arange(n))
    hot = torch.nn.functional.one_hot(pairs, n).double()  # a unit is on where both operands are its own
    quotients = table[table.flatten()[:, None], inverse]
    weights = {
        "embed.W_E": torch.eye(n).double(),
        "layers.0.W": hot.flatten(1).T, "layers.0.b": torch.full((n * n,), -1.0).double(),
        "unembed.W_U": torch.tensor(function[quotients]), "unembed.b_U": torch.zeros(n).double(),
    }  # fmt: skip
    model = HookedMLP.from_weights(MLPConfig((n * n,), n, d_vocab=n, d_embed=n), weights)
    return Subject("written", model, GroupComposition(table.tolist(), 0.5).fit(model))


def on_function(values: Tensor, argument: Tensor, kernel: Tensor, table: Tensor) -> Tensor:
    """Rows of ``values`` projected on functions of an argument: for every pair, a sum over all other pairs.

    ``kernel`` is d / |G| chi; the projection of a table on functions f(argument) takes the mean over all pairs (u, v) with
    weight |G| kernel(argument(u, v)^-1 argument(a, b)).
    """
    n = len(table)
    neutral = int((table == torch.arange(n)).all(1).nonzero()[0])
    inverse = (table == neutral).long().argmax(1)
    weights = n * kernel[table[inverse[argument][:, None], argument[None]]] / len(values)
    return weights.T @ values
