"""Spectra: the singular values of a network's weight matrices, and the network with matrices of low rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import pandas as pd
import torch
from torch import Tensor

from circuits.compression.derived import derived, score_columns, scores_of
from interp.errors import InterpError, require_range
from interp.hooked.base import HookedModel
from interp.scores import Scores
from interp.snapshot import is_matrix
from interp.subject import Subject

M = TypeVar("M", bound=HookedModel)


def powers(largest: int) -> list[int]:
    """1, 2, 4, ... and the largest.

    Args:
        largest: the last number.

    Returns:
        the numbers.

    >>> powers(6)
    [1, 2, 4, 6]
    """
    return [*(1 << i for i in range(largest.bit_length()) if 1 << i < largest), largest]


@dataclass(frozen=True, eq=False)
class Spectra:
    """The singular value decompositions of all weight matrices of a model.

    Attributes:
        parts: by parameter ``u [..., in, k]``, ``s [..., k]``, ``vh [..., k, out]``, in float64; leading axes are those of a
            stack (heads, operands).
    """

    parts: dict[str, tuple[Tensor, Tensor, Tensor]]

    @classmethod
    def of(cls, model: HookedModel) -> Spectra:
        """Decompose all weight matrices of a model.

        Args:
            model: any hooked model.

        Returns:
            the decompositions.

        Raises:
            InterpError: weights that are not finite.
        """
        weights = {name: p.detach().double() for name, p in model.named_parameters() if is_matrix(name, p)}
        bad = [name for name, W in weights.items() if not bool(W.isfinite().all())]
        if bad:
            raise InterpError(f"weights hold NaN or infinity, so they have no singular values: {', '.join(bad)}")
        return cls({name: torch.linalg.svd(W, full_matrices=False) for name, W in weights.items()})

    @property
    def full(self) -> int:
        """The largest rank that a matrix may have."""
        return max((s.shape[-1] for _, s, _ in self.parts.values()), default=1)

    def same(self, rank: int) -> dict[str, Tensor]:
        """One rank for all matrices, at most their own.

        Args:
            rank: the common rank.

        Returns:
            by parameter the ranks ``[...]`` of its matrices.

        Raises:
            InterpError: a rank below 1.
        """
        require_range("rank", rank, 1)
        return {n: torch.full(s.shape[:-1], min(rank, s.shape[-1])) for n, (_, s, _) in self.parts.items()}

    def within(self, error: float) -> dict[str, Tensor]:
        """The smallest ranks with a relative error, in Frobenius norm, within a bound; 0 for a matrix of zeros.

        Args:
            error: the bound, from 0 to 1.

        Returns:
            by parameter the ranks ``[...]`` of its matrices.

        Raises:
            InterpError: an error outside 0 to 1.
        """
        require_range("error", error, 0, 1)
        return {n: (_errors(s) > error).sum(-1).cpu() for n, (_, s, _) in self.parts.items()}

    def truncated(self, model: M, ranks: dict[str, Tensor]) -> M:
        """The model with its matrices at their best approximations of these ranks (Eckart and Young)."""
        weights = dict(model.state_dict())
        for name, (u, s, vh) in self.parts.items():
            kept = torch.arange(s.shape[-1], device=s.device) < ranks[name].to(s.device).unsqueeze(-1)
            weights[name] = ((u * (s * kept).unsqueeze(-2)) @ vh).to(weights[name].dtype)
        return type(model).from_weights(model.config, weights).to(model.device)

    def row(self, subject: Subject, ranks: dict[str, Tensor], found: Scores | None = None) -> dict[str, Any]:
        """A row of `circuits.rank_curve`: the subject with its matrices at these ranks; ``found`` are its scores, where known."""
        table = self.table(ranks)
        if found is None:
            found = scores_of(derived(subject, self.truncated(subject.model, ranks), "reduced"))
        return {
            "rank": max(table["rank"].tolist()), "error": max(table["error"].tolist()),
            "parameters": sum(table["parameters"].tolist()), **score_columns(found),
        }  # fmt: skip

    def table(self, ranks: dict[str, Tensor]) -> pd.DataFrame:
        """A row per matrix: ``matrix, shape, rank, full_rank, error, parameters``."""
        rows = []
        for name, (u, s, vh) in self.parts.items():
            inputs, outputs, full = u.shape[-2], vh.shape[-1], s.shape[-1]
            errors, own = _errors(s).reshape(-1, full + 1), ranks[name].reshape(-1).tolist()
            for i, r in enumerate(own):
                rows.append(
                    {"matrix": f"{name}[{i}]" if len(own) > 1 else name, "shape": f"{inputs}x{outputs}", "rank": r,
                     "full_rank": full, "error": float(errors[i, r]),
                     "parameters": min(r * (inputs + outputs), inputs * outputs)}
                )  # fmt: skip
        return pd.DataFrame(rows)


def _errors(s: Tensor) -> Tensor:
    """Relative errors ``[..., k + 1]`` of ranks 0..k: the norm of the singular values that are left out."""
    squares = torch.cat([s.square(), torch.zeros_like(s[..., :1])], -1)
    left_out = squares.flip(-1).cumsum(-1).flip(-1)
    return (left_out / left_out[..., :1].clamp_min(torch.finfo(s.dtype).tiny)).sqrt()
