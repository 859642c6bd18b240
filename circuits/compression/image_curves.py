"""Image networks (CPPNs) with fewer units, principal components or ranks, against the error of the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import pandas as pd
import torch
from torch import Tensor

from circuits.compression.spectra import Spectra
from interp.errors import require_range
from interp.hooked import HookedCPPN
from interp.hooked.cppn.activation_functions import activate
from interp.hooked.cppn.colour import rgb
from interp.hooked.cppn.plane import coordinates
from probes.spectra import pca

SIZE = 64


@torch.no_grad()
def components_kept(cppn: HookedCPPN, n: int, size: int = SIZE) -> Tensor:
    """The picture where every layer passes on only its mean and its first principal components.

    The components are those of the unchanged network's feature maps, so that errors of one layer reach the next.

    Args:
        cppn: an image network.
        n: number of components of each layer.
        size: pixels along each edge.

    Returns:
        the picture ``[pixel, 3]``.

    Raises:
        InterpError: a negative ``n``.
    """
    require_range("n", n, 0)

    def keep(layer: int, reduced: Tensor, whole: Tensor) -> Tensor:
        found = pca(whole.T)
        directions, mean = found.basis.directions[:n].to(whole), found.mean.to(whole).unsqueeze(1)
        return mean + directions.T @ (directions @ (reduced - mean))

    return _carried(cppn, size, keep)


@torch.no_grad()
def unit_effects(cppn: HookedCPPN, size: int = SIZE) -> Tensor:
    """Mean squared change of the picture when one unit is held at its mean over the picture.

    Args:
        cppn: an image network.
        size: pixels along each edge.

    Returns:
        ``[layer, slot]``; the units of a layer are computed in one pass.
    """
    points = coordinates(size, size, dtype=cppn.dtype).to(cppn.device)
    picture = cppn(points)
    found, x = [], points.T
    for i, W in enumerate(cppn.matrices[:-1]):
        x = activate(W.T @ x, cppn.config.groups)  # [slot, pixel]
        held = x.mean(1)
        own = []
        for part in torch.arange(len(x), device=x.device).split(max(1, (1 << 22) // x.numel())):
            stack = x.repeat(len(part), 1, 1)  # [unit held, slot, pixel]
            stack[torch.arange(len(part)), part] = held[part].unsqueeze(1)
            drawn = cppn.resume(f"layers.{i}.hook_post", stack.transpose(1, 2).flatten(0, 1))
            own.append((drawn.unflatten(0, (len(part), -1)) - picture).square().mean((1, 2)))
        found.append(torch.cat(own))
    return torch.stack(found)


@torch.no_grad()
def units_kept(cppn: HookedCPPN, kept: Tensor, size: int = SIZE) -> Tensor:
    """The picture with some units only; every other unit is held at its mean in the unchanged network.

    Args:
        cppn: an image network.
        kept: units that stay ``[layer, slot]``.
        size: pixels along each edge.

    Returns:
        the picture ``[pixel, 3]``.
    """
    return _carried(
        cppn, size, lambda i, reduced, whole: torch.where(kept[i].unsqueeze(1), reduced, whole.mean(1, keepdim=True))
    )


def _carried(cppn: HookedCPPN, size: int, keep: Callable[[int, Tensor, Tensor], Tensor]) -> Tensor:
    """The picture where every layer passes on what ``keep`` leaves of it.

    Args:
        cppn: an image network.
        size: pixels along each edge.
        keep: given the layer, its reduced and its unchanged values ``[slot, pixel]``.

    Returns:
        the picture ``[pixel, 3]``.
    """
    whole = reduced = coordinates(size, size, dtype=cppn.dtype).to(cppn.device).T
    for i, W in enumerate(cppn.matrices[:-1]):
        whole = activate(W.T @ whole, cppn.config.groups)
        reduced = keep(i, activate(W.T @ reduced, cppn.config.groups), whole)
    return rgb((cppn.W_U.T @ reduced).T)


AMOUNTS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def curve(cppn: HookedCPPN, size: int = SIZE, amounts: Iterable[float] = AMOUNTS) -> pd.DataFrame:
    """Image error against the size of the network, by three routes.

    Args:
        cppn: an image network.
        size: pixels along each edge at which the error is measured.
        amounts: shares of the units, of a layer's width or of the rank that are kept.

    Returns:
        A row per method and amount: ``method`` (``units``: the most important by `unit_effects`, others at their mean;
        ``components``: of every layer; ``rank``: of every matrix), ``left`` (units; components or rank per layer),
        ``parameters``, ``mean_square`` and ``largest`` difference of the picture. Parameters are the weights that are not 0
        between the units that are left; ``r (in + out)`` for a rank, where that is less than the matrix has; for n components
        the matrices from the inputs to them, between them, and to the colours.
    """
    base = cppn.draw(size).pixels.reshape(-1, 3)
    width, rows = cppn.config.width, []

    def add(method: str, left: int, parameters: int, drawn: Tensor) -> None:
        change = (drawn - base).double()
        rows.append({"method": method, "left": left, "parameters": parameters,
                     "mean_square": float(change.square().mean()), "largest": float(change.abs().max())})  # fmt: skip

    effects = unit_effects(cppn, size)
    order = effects.flatten().argsort(descending=True)
    for amount in amounts:
        n = max(1, round(amount * order.numel()))
        kept = torch.zeros(order.numel(), dtype=torch.bool, device=effects.device)
        kept[order[:n]] = True
        kept = kept.reshape(effects.shape)
        add("units", n, _weights_between(cppn, kept), units_kept(cppn, kept, size))
    shapes, spectra = [W.shape for W in cppn.matrices], Spectra.of(cppn)
    for n in sorted({max(1, round(a * width)) for a in amounts}):
        sizes = [shapes[0][0], *(min(c, n) for _, c in shapes[:-1]), 3]  # the inputs arrive whole
        parameters = sum(a * b for a, b in pairwise(sizes))
        add("components", n, parameters, components_kept(cppn, n, size))
        truncated = sum(min(n * (r + c), r * c) for r, c in shapes)
        add("rank", n, truncated, spectra.truncated(cppn, spectra.same(n)).draw(size).pixels.reshape(-1, 3))
    return pd.DataFrame(rows)


def _weights_between(cppn: HookedCPPN, kept: Tensor) -> int:
    """Number of weights that are not 0 between the units that are left."""
    first, last = torch.ones(4, dtype=torch.bool), torch.ones(3, dtype=torch.bool)
    masks = [first, *kept.cpu(), last]
    pairs = zip(cppn.matrices, masks, masks[1:], strict=False)
    return int(sum((W[before.to(W.device)][:, after.to(W.device)] != 0).sum() for W, before, after in pairs))
