"""CPPNs for the tests: small, random, dense or sparse with copies; and a renderer that knows no shortcut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from circuits.weight_sweeps.directions import Direction
from circuits.weight_sweeps.render import Renderer
from interp.hooked import CPPNConfig, HookedCPPN

ALL = "3;cache:3,cos:1,gaussian:2,identity:1,relu:1,sigmoid:1,sin:2,tanh:1"
ARCHS = (
    ALL,
    "1;gaussian:2,sin:1",  # one layer
    "4;relu:4",
    "2;cache:2,identity:2",  # no curve at all
    "6;cache:4,gaussian:1,sin:1",
    "2;cos:9,gaussian:9,tanh:9",  # more rows than one product of a path takes
)
CURVES = {
    "cache": lambda z: z,
    "cos": np.cos,
    "gaussian": lambda z: 2 * np.exp(-z * z) - 1,
    "identity": lambda z: z,
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 2 / (1 + np.exp(-z)) - 1,
    "sin": np.sin,
    "tanh": np.tanh,
}


def dense(arch: str = ALL, seed: int = 0, scale: float = 1.5) -> HookedCPPN:
    return HookedCPPN(CPPNConfig(arch)).double().init_weights(seed, scale)


def sparse(arch: str = ALL, seed: int = 0, density: float = 0.25) -> HookedCPPN:
    """Few links, cache slots that read one value times 1, and brightness that always reads something."""
    model, generator = dense(arch, seed, 3.0), torch.Generator().manual_seed(seed)
    caches = [j for j, kind in enumerate(model.config.kinds) if kind == "cache"]
    with torch.no_grad():
        for W in model.matrices:
            W *= torch.rand(W.shape, generator=generator) < density
        for W in model.matrices[:-1]:
            for j in caches:
                W[:, j] = 0
                W[int(torch.randint(len(W), (), generator=generator)), j] = 1
        model.W_U[-1, 2] = 0.8
    return model


def of_weights(arch: str, weights: Sequence[Tensor]) -> HookedCPPN:
    names = [*(f"layers.{i}.W" for i in range(len(weights) - 1)), "unembed.W_U"]
    return HookedCPPN.from_weights(CPPNConfig(arch), dict(zip(names, weights, strict=True)))


def naive_picture(model: HookedCPPN, weights: Sequence[Tensor], size: int) -> Tensor:
    """``[3, row, col]``, from the first layer on, in float64 and NumPy, with its own coordinates and colours."""
    line = np.linspace(-1, 1, size) if size > 1 else np.full(1, -1.0)
    down, along = line.repeat(size), np.tile(line, size)
    values = np.stack([along, down, 1.4 * np.hypot(down, along), np.ones_like(down)])
    *hidden, last = [W.detach().double().numpy() for W in weights]
    kinds = np.array(model.config.kinds)
    for W in hidden:
        values = W.T @ values
        for kind in set(model.config.kinds):
            values[kinds == kind] = CURVES[kind](values[kinds == kind])
    h, s, v = last.T @ values
    colours = hsv_to_rgb((h + 1) % 1, s.clip(0, 1), np.abs(v).clip(0, 1))
    return torch.from_numpy(colours.reshape(3, size, size))


def hsv_to_rgb(h: np.ndarray, s: np.ndarray, v: np.ndarray) -> np.ndarray:
    """By the six sectors of the colour wheel, as the textbook has it."""
    sector = np.floor(h * 6)
    f = h * 6 - sector
    p, q, t = v * (1 - s), v * (1 - s * f), v * (1 - s * (1 - f))
    table = ((v, t, p), (q, v, p), (p, v, t), (p, q, v), (t, p, v), (v, p, q))
    return np.stack([np.choose(sector.astype(int) % 6, [c[i] for c in table]) for i in range(3)])


def moved(model: HookedCPPN, direction: Direction, step: float) -> list[Tensor]:
    """All weights after a step, by plain indexing."""
    weights = {n: W.detach().clone() for n, W in model.named_parameters()}
    vector = direction.vector.to(next(iter(weights.values())))
    if direction.parameter is None:
        start = 0
        for W in weights.values():
            W.add_(step * vector[start : start + W.numel()].reshape(W.shape))
            start += W.numel()
    elif direction.column is None:
        weights[direction.parameter] += step * vector
    else:
        weights[direction.parameter][:, direction.column] += step * vector
    return list(weights.values())


def naive(model: HookedCPPN, directions: Sequence[Direction], steps: Tensor, size: int) -> Tensor:
    """``[direction, step, 3, row, col]``: one changed network after the other."""
    steps = steps.expand(len(directions), -1) if steps.ndim == 1 else steps
    rows = [
        torch.stack([naive_picture(model, moved(model, d, s), size) for s in own.tolist()])
        for d, own in zip(directions, steps, strict=True)
    ]
    return torch.stack(rows)


def rendered(renderer: Renderer, directions: Sequence[Direction], steps: Tensor) -> Tensor:
    """What the renderer draws, in the order of the directions; each of them must come exactly once."""
    k = steps.shape[-1]
    pictures = renderer.base.expand(len(directions), k, -1, -1, -1).clone()
    seen: list[int] = []
    for block in renderer.pictures(directions, steps):
        seen += block.directions
        if block.pictures is not None:
            assert block.pictures.shape == (len(block.directions), k, *renderer.base.shape)
            pictures[list(block.directions)] = block.pictures
    assert sorted(seen) == list(range(len(directions)))
    return pictures
