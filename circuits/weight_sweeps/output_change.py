"""How all outputs of a network change when its weights move: as a table, or as a product of two thin matrices."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class OutputChange:
    """The outputs after a step minus those before it, over all examples: ``left @ right``, or ``left`` itself.

    Attributes:
        left: by example; the change itself where ``right`` is None.
        right: to the outputs; where few things change, only these need be stored and transformed.
    """

    left: Float[Tensor, "n rank"]
    right: Float[Tensor, "rank width"] | None = None

    @classmethod
    def of_output(cls, moved: Float[Tensor, "n"], output: int, width: int) -> OutputChange:
        """One output moves and no other; none, where the task does not read it (``output`` of ``width`` or more)."""
        here = moved.new_zeros(1, width)
        here[0, output : output + 1] = 1
        return cls(moved.unsqueeze(1), here)

    def centred(self) -> OutputChange:
        """The change without its mean over the outputs, which a loss like cross-entropy does not see."""
        if self.right is None:
            return OutputChange(self.left - self.left.mean(-1, keepdim=True))
        return replace(self, right=self.right - self.right.mean(-1, keepdim=True))

    def dense(self) -> Float[Tensor, "n width"]:
        """The change of every output."""
        return self.left if self.right is None else self.left @ self.right

    def rows(self) -> Float[Tensor, "n rank"]:
        """Vectors with the inner products of the examples' changes, and no more entries than needed."""
        if self.right is None:
            return self.left
        if len(self.right) == 1:
            return self.left * self.right.norm()
        return self.left @ torch.linalg.qr(self.right.T).R.T

    def columns(self) -> Float[Tensor, "width rank"]:
        """Vectors with the inner products of the outputs' changes, and no more entries than needed."""
        if self.right is None:
            return self.left.T
        if len(self.right) == 1:
            return self.right.T * self.left.norm()
        return self.right.T @ torch.linalg.qr(self.left).R.T

    def energy(self) -> Float[Tensor, "n"]:
        """Squared size of the change at each example, in float64."""
        return self.rows().square().sum(-1, dtype=torch.float64)

    @property
    def width(self) -> int:
        """Number of outputs."""
        return (self.left if self.right is None else self.right).shape[1]


def inner_products(changes: list[OutputChange]) -> Float[Tensor, "m m"]:
    """Inner products of changes, each scaled to length 1, in float64.

    Args:
        changes: of the same network; a change that is 0 stays 0.

    Returns:
        a symmetric matrix with ones on its diagonal.
    """
    m = len(changes)
    found = torch.zeros(m, m, dtype=torch.float64)
    thin = [i for i, c in enumerate(changes) if c.right is not None]
    full = [i for i, c in enumerate(changes) if c.right is None]
    if full:
        flat = torch.stack([changes[i].left.flatten() for i in full])
        found[torch.tensor(full)[:, None], torch.tensor(full)] = (flat @ flat.T).double().cpu()
    if thin:
        lefts = torch.cat([changes[i].left for i in thin], 1)
        rights = torch.cat([c.right for c in changes if c.right is not None])
        sizes = [changes[i].left.shape[1] for i in thin]
        owner = torch.arange(len(thin)).repeat_interleave(torch.tensor(sizes)).to(lefts.device)
        products = ((lefts.T @ lefts) * (rights @ rights.T)).double()
        summed = torch.zeros(len(thin), len(owner), dtype=torch.float64, device=lefts.device).index_add_(
            0, owner, products
        )
        own = torch.zeros(len(thin), len(thin), dtype=torch.float64, device=lefts.device).index_add_(1, owner, summed)
        found[torch.tensor(thin)[:, None], torch.tensor(thin)] = own.cpu()
        for i in full:
            along = ((lefts.T @ changes[i].left) * rights).sum(1).double()
            mixed = torch.zeros(len(thin), dtype=torch.float64, device=lefts.device).index_add_(0, owner, along).cpu()
            found[i, torch.tensor(thin)] = mixed
            found[torch.tensor(thin), i] = mixed
    size = found.diagonal().sqrt().clamp_min(1e-300)
    return found / size[:, None] / size
