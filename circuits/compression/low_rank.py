"""Low rank: every weight matrix at its best approximation, and what the network still does with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from circuits.scores import Scores, derived, scores
from interp.errors import InterpError, require_range
from interp.hooked.base import HookedModel
from interp.snapshot import is_matrix
from interp.subject import Subject

ERRORS = (0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.01)


@dataclass(frozen=True)
class Reduced:
    """A network of low rank.

    Attributes:
        subject: the same network with the weights of low rank, written out in full.
        table: ``matrix, shape, rank, full_rank, error`` (relative, in Frobenius norm), ``parameters``: a row per matrix.
        scores, scores_before: what it does, and did; None without a task.
    """

    subject: Subject
    table: pd.DataFrame
    scores: Scores | None
    scores_before: Scores | None

    @property
    def parameters(self) -> int:
        """Of all matrices together."""
        return sum(self.table["parameters"].tolist())


def reduce(subject: Subject, rank: int | None = None, error: float | None = None) -> Reduced:
    """Every weight matrix at its best approximation of low rank: ``sum over i < r of s_i u_i v_i^T`` (Eckart and Young).

    Embeddings and unembeddings too; heads and operands one by one; biases stay. A matrix takes ``r (in + out)`` parameters
    where that is fewer than it has, else all that it has. Misleads as a measure of what a network needs: the largest singular
    values are not the ones that the task needs most, and a rank is a rank of every matrix alone, not of their products.

    Args:
        rank: the same for all matrices (at most their own).
        error: in place of it: each matrix gets the smallest rank with a relative error in Frobenius norm
            ``|W - W_r| / |W|`` of at most this, so that all are at about the same error.

    Raises:
        InterpError: both or none of the two, a rank below 1, an error outside 0 to 1, weights that are not finite.

    >>> import torch, interp
    >>> model = interp.HookedMLP(interp.MLPConfig((2,), 2, d_in=2, bias=False, unembed_bias=False)).double()
    >>> _ = model.layer(0).W.data.copy_(torch.diag(torch.tensor([4.0, 3.0]))), model.W_U.data.copy_(torch.eye(2))
    >>> reduce(interp.Subject("diagonal", model), rank=1).table["error"].round(6).tolist()
    [0.6, 0.707107]
    """
    if (rank is None) == (error is None):
        raise InterpError("reduce takes either rank=, the same for all matrices, or error=, the same for all")
    subject = subject.cast()
    found = Spectra.of(subject.model)
    ranks = found.same(rank) if rank is not None else found.within(error or 0.0)
    small = derived(subject, found.truncated(subject.model, ranks), f"rank {rank}" if rank else f"error {error:g}")
    known = subject.task is not None
    return Reduced(small, found.table(ranks), scores(small) if known else None, scores(subject) if known else None)


def rank_curve(
    subject: Subject, ranks: Sequence[int] | None = None, errors: Sequence[float] | None = None
) -> pd.DataFrame:
    """Accuracy and loss against rank, error and parameters: `reduce` at many sizes, with each matrix decomposed once.

    Args:
        ranks: common ranks of all matrices; by default powers of 2 up to the largest that a matrix has.
        errors: in place of them: the relative error that each matrix may have.

    Returns:
        ``rank`` (the largest of any matrix), ``error`` (the largest of any matrix), ``parameters`` (of all matrices),
        and the fields of `Scores`, a row per rank or error.

    Raises:
        MissingCapability: no task is known.
        InterpError: as `reduce`.
    """
    if ranks is not None and errors is not None:
        raise InterpError("rank_curve takes either ranks= or errors=")
    subject.require_task()
    subject = subject.cast()
    found = Spectra.of(subject.model)
    if errors is not None:
        wanted = [found.within(e) for e in errors]
    else:
        wanted = [found.same(r) for r in (powers(found.full) if ranks is None else ranks)]
    return pd.DataFrame([found.row(subject, each) for each in wanted])


def powers(largest: int) -> list[int]:
    """1, 2, 4, ... and the largest.

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
        """By parameter the ranks ``[...]`` of its matrices, where all get the same."""
        require_range("rank", rank, 1)
        return {n: torch.full(s.shape[:-1], min(rank, s.shape[-1])) for n, (_, s, _) in self.parts.items()}

    def within(self, error: float) -> dict[str, Tensor]:
        """By parameter the smallest ranks ``[...]`` with a relative error of at most this; 0 for a matrix of zeros."""
        require_range("error", error, 0, 1)
        return {n: (_errors(s) > error).sum(-1).cpu() for n, (_, s, _) in self.parts.items()}

    def truncated(self, model: HookedModel, ranks: dict[str, Tensor]) -> HookedModel:
        """The model with its matrices at these ranks."""
        weights = dict(model.state_dict())
        for name, (u, s, vh) in self.parts.items():
            kept = torch.arange(s.shape[-1], device=s.device) < ranks[name].to(s.device).unsqueeze(-1)
            weights[name] = ((u * (s * kept).unsqueeze(-2)) @ vh).to(weights[name].dtype)
        return type(model).from_weights(model.config, weights).to(model.device)

    def row(self, subject: Subject, ranks: dict[str, Tensor], found: Scores | None = None) -> dict[str, Any]:
        """A row of `rank_curve`: the subject with its matrices at these ranks; ``found`` are its scores, where known."""
        table = self.table(ranks)
        if found is None:
            found = scores(derived(subject, self.truncated(subject.model, ranks), "reduced"))
        return {
            "rank": max(table["rank"].tolist()), "error": max(table["error"].tolist()),
            "parameters": sum(table["parameters"].tolist()), **asdict(found),
        }  # fmt: skip

    def table(self, ranks: dict[str, Tensor]) -> pd.DataFrame:
        """A row per matrix, as of `Reduced.table`."""
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
