"""Networks of every kind whose units can be relabelled: small, random, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

import interp
from circuits.weight_line.relabelling import Relabelling
from circuits.weight_line.tables import symmetries_of
from interp.hooked import HookedModel, build
from interp.hooked.config import Config
from tests.models import CONFIGS, LSTMS, P

ALL = "4;cache:3,cos:1,gaussian:3,identity:2,relu:2,sigmoid:2,sin:2,step:1,tanh:2,ugaussian:2"  # activation functions
OTHERS: dict[str, Config] = {
    "cppn": interp.CPPNConfig(ALL),
    "vectors": interp.MLPConfig((6, 5), 3, d_in=2, act_fn="tanh", bias=False),
    "no hidden layer": interp.MLPConfig((), P, d_vocab=P, d_embed=4),
    "square mlp": interp.MLPConfig((6, 5), P, d_vocab=P, d_embed=4, act_fn="square"),
    "rnn": interp.RNNConfig(8, 3, n_layers=2, d_vocab=P, d_embed=5, learned_start=True),
    "relu rnn": interp.RNNConfig(8, 3, act_fn="relu", d_in=4),
    "states": interp.RNNConfig(6, None, n_layers=2, d_in=4),
    "gru": interp.RNNConfig(8, 3, cell="gru", d_vocab=P, d_embed=5),
    "rnn lstm": interp.RNNConfig(6, 3, cell="lstm", n_layers=2, d_in=4, learned_start=True),
    "toy": interp.ToyModelConfig(5, 4),
    "rms": interp.TransformerConfig(1, 8, 2, 4, P, P, 3, d_mlp=6, normalization="RMS", act_fn="tanh"),
}  # fmt: skip
NAMES = [*CONFIGS, *LSTMS, *OTHERS]


def network(name: str, seed: int = 0) -> HookedModel:
    """A network in which no weight, bias or gain is 0 or 1 by chance."""
    model = build({**CONFIGS, **LSTMS, **OTHERS}[name]).double().init_weights(seed, 2.0)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


def inputs(model: HookedModel) -> Tensor:
    """Some inputs that the network takes."""
    config, generator = model.config, torch.Generator().manual_seed(2)
    if (vocabulary := getattr(config, "d_vocab", None)) is not None:
        length = {"mlp": 2, "transformer": 3}.get(config.kind, 4)
        return torch.randint(0, vocabulary, (20, length), generator=generator)
    width = getattr(config, "d_in", None) or getattr(config, "n_features", 0)
    shape = (20, 5, width) if config.kind == "rnn" else (20, width)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def weights(model: HookedModel) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in model.named_parameters()}


def relabelled(model: HookedModel, seed: int = 3) -> tuple[HookedModel, Relabelling]:
    """The same network with its units in other places and some signs changed."""
    drawn = Relabelling.random(symmetries_of(model), torch.Generator().manual_seed(seed))
    return type(model).from_weights(model.config, drawn.weights(weights(model))), drawn
