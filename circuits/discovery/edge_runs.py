"""What a run of held edges computes, and where its gradients are taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass
class Run:
    """Networks of some edges on some inputs: k of them, or one (`Base`), whose tensors have no axis k.

    Attributes:
        written: by sender, what it writes minus what it is replaced by ``[k, n, pos, d_model]``; only of senders that differ
            from the base's.
        heads: by layer and part, queries, keys or values ``[k, n, pos, head, d_head]``; only those that differ.
        outputs: ``[k, n, pos, out]``; None where no change reaches them.
    """

    written: dict[int, Tensor]
    heads: dict[tuple[int, str], Tensor]
    outputs: Tensor | None


@dataclass
class Base(Run):
    """One network, from which others differ: everything that it computes, and its edges.

    Attributes:
        rows: by receiver, the share of each sender that it hears ``[hears, width]``.
    """

    rows: list[Tensor]

    def outputs_of(self, run: Run, k: int) -> Tensor:
        """Outputs of k networks that differ from it ``[k, n, pos, out]``, its own where no change reaches them."""
        assert self.outputs is not None
        return self.outputs.expand(k, *self.outputs.shape) if run.outputs is None else run.outputs

    def become(self, run: Run, which: int, rows: Mapping[int, Tensor]) -> None:
        """Turn into one of the networks that differed from it.

        Args:
            run: of these networks.
            which: of them.
            rows: its own, of the receivers that differ.
        """
        self.written |= {s: t[which] for s, t in run.written.items()}
        self.heads |= {at: t[which] for at, t in run.heads.items()}
        self.outputs = self.outputs if run.outputs is None else run.outputs[which]
        for r, own in rows.items():
            self.rows[r] = own


@dataclass
class Tap:
    """Where a group of receivers that hear the same take it in, for gradients.

    Attributes:
        receivers: the group.
        heard: what it hears ``[1, n, pos, d_model]``.
        norm: what it is read through.
        taken: what is made of it: projections ``[1, n, pos, receiver, d_head]``, or the normalised stream itself.
        weights: of the projections ``[receiver, d_model, d_head]``; None for the stream itself.
    """

    receivers: list[int]
    heard: Tensor
    norm: nn.Module
    taken: Tensor
    weights: Tensor | None

    def slopes(self, gradient: Tensor) -> Float[Tensor, "receivers n pos d_model"]:
        """Gradients with respect to what each receiver hears, from those of what it takes in."""
        own = gradient[0].unsqueeze(0)
        if self.weights is not None:
            own = torch.einsum("nprh,rdh->rnpd", gradient[0], self.weights)
        if isinstance(self.norm, nn.Identity):
            return own
        with torch.enable_grad():
            heard = self.heard[0].detach().requires_grad_()
            return torch.autograd.grad(self.norm(heard), heard, own, is_grads_batched=True)[0]
