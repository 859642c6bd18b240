"""The rest of a model after a site: what lets an experiment reuse the part of a forward pass that it does not change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from interp.errors import UnknownSite


@dataclass(frozen=True)
class NormedRest:
    """A LayerNorm followed by a linear map: ``outputs = centred(x) @ matrix / scale(x) + constant``.

    Attributes:
        matrix: ``[d, out]``, with the LayerNorm's weights folded in.
        eps: added to the variance.
    """

    matrix: Tensor
    eps: float

    def outputs(self, clean: Tensor, outputs: Tensor, change: Tensor, shift: Tensor) -> Tensor:
        """The model's outputs after a change to the LayerNorm's input.

        Args:
            clean: the LayerNorm's unchanged input ``[n, ..., d]``.
            outputs: the model's unchanged outputs ``[n, ..., out]``.
            change: centred ``[k, n, ..., d]``.
            shift: ``change @ matrix``, ``[k, n, ..., out]``.

        Returns:
            ``[k, n, ..., out]``.
        """
        centred = clean - clean.mean(-1, keepdim=True)
        before = (centred.square().mean(-1, keepdim=True) + self.eps).sqrt()
        after = ((centred + change).square().mean(-1, keepdim=True) + self.eps).sqrt()
        linear = centred @ self.matrix
        return outputs - linear / before + (linear + shift) / after


class Resumable:
    """Base of models that can run from a site on; each method's default is a model that cannot."""

    def for_all(self, inputs: Any, *, coarse: bool = False) -> Callable[[Any], Tensor]:
        """What computes the model's outputs for all of some inputs, part by part, in the fewest operations.

        Args:
            inputs: ``[n, ...]``, or what a wrapped module takes.
            coarse: in float32 as well, where rounding shows beside outputs of the model itself.

        Returns:
            a function of a part of the inputs: the model itself, or one whose outputs differ from its by rounding. Hooks that
            are installed now act in it.
        """
        return cast(Callable[[Any], Tensor], self)

    def resume(self, site: str, activation: Tensor) -> Tensor:
        """Run the rest of the model from ``site`` on, as if that hook point had just returned ``activation``.

        Args:
            site: name of a hook point.
            activation: of the hook point's shape.

        Returns:
            the model's outputs.

        Raises:
            UnknownSite: the model cannot resume there; the message lists where it can.
        """
        raise UnknownSite(f"a {type(self).__name__} cannot resume at {site!r}, nor at any other site")

    def writes(self, site: str) -> tuple[str, Tensor | None]:
        """Where a change at ``site`` arrives linearly.

        Args:
            site: name of a hook point.

        Returns:
            a site at which `resume` works, and the matrix ``[features, d]`` that maps the change to it. A change
            ``c [..., features]`` (head and unit axes flattened) moves the returned site by ``c @ matrix``; the matrix is
            None where the change arrives as it is.

        Raises:
            UnknownSite: the computation after the site is not linear up to any site at which the model can resume.
        """
        raise UnknownSite(f"a {type(self).__name__} does not know where a change at {site!r} arrives")

    def reads(self, parameter: str) -> str | None:
        """The site after which `resume` uses this parameter and nothing before it does; None if there is no such site."""
        return None

    def linear_rest(self, site: str) -> Tensor | NormedRest | None:
        """The matrix that maps a site to the outputs, if the rest of the model is linear at each position.

        Args:
            site: name of a hook point.

        Returns:
            ``[unit, out]``; a `NormedRest` if a LayerNorm comes first; None if the rest is not linear.
        """
        return None

    def follow(self, site: str, clean: Tensor) -> Callable[[slice, Tensor, Tensor], Tensor]:
        """The rest of the model for many activations that differ from a clean one by low-rank moves.

        Args:
            site: one at which `resume` works.
            clean: its activation ``[n, ..., d]``.

        Returns:
            a function of a slice of the n, ``moves [k, n, ..., size]`` and ``rows [k, size, d]`` that gives the outputs
            ``[k, n, ...]`` of k networks; network i has ``clean + moves[i] @ rows[i]`` at the site.
        """

        def outputs(part: slice, moves: Tensor, rows: Tensor) -> Tensor:
            changed = clean[part] + torch.einsum("kn...s,ksd->kn...d", moves, rows)
            return self.resume(site, changed.flatten(0, 1)).unflatten(0, changed.shape[:2])

        return outputs
