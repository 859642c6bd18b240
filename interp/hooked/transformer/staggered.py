"""Batched runs of a causal transformer that differ from another run from one position on; only that part runs again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

import torch
from torch import Tensor

from interp.errors import UnknownSite
from interp.hooked.base import HookedModel
from interp.hooked.transformer.fused import Readout
from interp.hooked.transformer.model import HookedTransformer
from interp.hooked.transformer.readout_block import LaterBlock

POINTS = ("*attn.hook_q", "*attn.hook_k", "*attn.hook_v", "*hook_resid_pre")  # activations needed of the other run


def departs(model: HookedModel) -> TypeGuard[HookedTransformer]:
    """Whether runs can depart from another run at a position: causal, all positions computed, `HookedTransformer.adds_up`."""
    if not isinstance(model, HookedTransformer):
        return False
    return model.config.causal and model.config.readout is None and model.adds_up


class Departures:
    """All runs that differ from another run in the residual stream at one position.

    In a causal model, positions before the changed one and layers before the changed site stay as they are. In the first
    block after the site, queries, keys and values change only at that position. Runs that start in different layers are
    batched: each block runs once, on the runs from below and those that start there.

    Hook points are skipped, and nothing drops out.

    Args:
        model: a causal transformer that computes every position.
        run: activations of `POINTS` in the other run, ``[batch, pos, ...]``.
        outputs: the other run's outputs ``[batch, pos, out]``.

    Raises:
        UnknownSite: the model is not causal, or computes only one position in its last block.
    """

    def __init__(self, model: HookedTransformer, run: Mapping[str, Tensor], outputs: Tensor):
        if not departs(model):
            raise UnknownSite(
                "runs can depart at one position only in a causal transformer that computes every position and whose "
                "residual stream is a plain sum (no post_norm, no RMSNorm)"
            )
        self.model, self._outputs = model, outputs
        self._layers = [LaterBlock.of(model.block(i), i, run) for i in range(model.config.n_layers)]
        self._rest = Readout.of(model)

    def outputs(self, starts: Sequence[tuple[str, Tensor]], position: int) -> Tensor:
        """Outputs of all runs.

        Args:
            starts: pairs of a site (``blocks.i.hook_resid_pre``, ``_mid`` or ``_post``, or ``hook_embed``) and its new
                activations at the position, ``[runs, batch, d_model]``.
            position: where they replace the other run's.

        Returns:
            ``[k, batch, pos, out]``, in the order given.

        Raises:
            UnknownSite: the model cannot resume there.
        """
        entering = [self._enter(site, x, position) for site, x in starts]
        order = sorted(range(len(entering)), key=lambda i: entering[i][0])
        found = self._climb(entering, position)
        if order == list(range(len(order))):
            return found
        parts = dict(zip(order, found.split([len(entering[i][1]) for i in order]), strict=True))
        return torch.cat([parts[i] for i in range(len(parts))])

    def _climb(self, entering: Sequence[tuple[int, Tensor]], position: int) -> Tensor:
        """Outputs of runs that enter at blocks, in order of the block."""
        streams = None  # of the runs that have started [k, batch, pos - position, d_model]
        for index, layer in enumerate(self._layers[:-1]):
            streams = layer.step(streams, _of(entering, index), position)
        mid = self._layers[-1].mid(streams, _of(entering, len(self._layers) - 1), position)
        read = [] if mid is None else [self._placed(self._rest.outputs(mid), position)]
        late = _of(entering, len(self._layers))  # after the last block only the position itself changes
        if late is not None:
            read.append(self._placed(self.model.unembed(self.model.ln_final(late.unsqueeze(2))), position))
        return read[0] if len(read) == 1 else torch.cat(read)

    def _placed(self, found: Tensor, position: int) -> Tensor:
        """Outputs at all positions: ``found [k, batch, n, out]`` from ``position`` on, the other run's elsewhere."""
        outputs = self._outputs.expand(len(found), *self._outputs.shape)
        end = position + found.shape[2]
        return torch.cat([outputs[:, :, :position], found, outputs[:, :, end:]], 2)

    def _enter(self, site: str, x: Tensor, position: int) -> tuple[int, Tensor]:
        """The first block that runs again, and its input at the position."""
        if site == "hook_embed":
            return 0, x + self.model.W_pos[position] if self.model.config.positions else x
        name, _, point = site.rpartition(".")
        if site in self.model.hook_dict and name.startswith("blocks."):
            layer = int(name.split(".")[1])
            if point == "hook_resid_pre":
                return layer, x
            if point == "hook_resid_mid":
                return layer + 1, self.model.block(layer).after_mid(x)
            if point == "hook_resid_post":
                return layer + 1, x
        raise UnknownSite(f"a run cannot depart at one position of {site!r}; use hook_embed or the residual stream")


def _of(entering: Sequence[tuple[int, Tensor]], index: int) -> Tensor | None:
    """The streams that enter at a block ``[k, batch, d_model]``; None if there are none."""
    found = [x for first, x in entering if first == index]
    return torch.cat(found) if found else None
