"""Low rank: every weight matrix at its best approximation, and what the network still does with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from circuits.compression.derived import derived, score_columns, scores_of
from circuits.compression.size_curve import SizeCurve
from circuits.compression.spectra import Spectra, powers
from circuits.findings import Findings
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.scores import Scores
from interp.subject import Subject, as_subject

if TYPE_CHECKING:
    import plotly.graph_objects as go

ERRORS = (0.8, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.01)


@dataclass(frozen=True, repr=False)
class Reduced(Findings):
    """A network whose weight matrices have low rank.

    Attributes:
        subject: the same network with the weights of low rank, written out in full.
        matrices: ``matrix, shape, rank, full_rank, error`` (relative, in Frobenius norm), ``parameters``: a row per matrix.
        scores: what it does; None without a task.
        scores_before: what the whole network does; None without a task.
    """

    subject: Subject
    matrices: pd.DataFrame
    scores: Scores | None
    scores_before: Scores | None

    @property
    def rows(self) -> pd.DataFrame:
        """`matrices`."""
        return self.matrices

    @property
    def table(self) -> pd.DataFrame:
        """A row per matrix: ``component, site, index, metric, clean, changed, change``, and all columns of ``matrices``.

        The metric is the relative error in Frobenius norm.
        """
        own, error = self.matrices, self.matrices["error"]
        first = {
            "component": own["matrix"], "site": own["matrix"].str.replace(r"\[\d+\]$", "", regex=True), "index": range(len(own)),
            "metric": "error", "clean": 0.0, "changed": error, "change": error,
        }  # fmt: skip
        return pd.DataFrame({**first, **own})

    @property
    def summary(self) -> dict[str, Any]:
        """Parameters of all matrices, and loss and accuracy before and after."""
        found: dict[str, Any] = {"parameters": self.parameters}
        for label, scores in (("clean", self.scores_before), ("reduced", self.scores)):
            found |= {} if scores is None else {label: score_columns(scores)}
        return found

    def figure(self) -> go.Figure:
        """Rank of every matrix, against its full rank."""
        from interp.report import figures

        own = self.matrices
        drawn = figures.bars(
            own["matrix"].to_list(),
            own["rank"],
            title="Rank of every matrix (grey: full rank)",
            x_title="",
            y_title="rank",
        )
        return drawn.add_scatter(
            x=own["matrix"], y=own["full_rank"], mode="markers", name="full rank", marker={"color": figures.GREY}
        )

    @property
    def parameters(self) -> int:
        """Number of parameters of all matrices together."""
        return sum(self.matrices["parameters"].tolist())


def reduce(subject: Subject | HookedModel, rank: int | None = None, error: float | None = None) -> Reduced:
    """Every weight matrix at its best approximation of low rank: ``sum over i < r of s_i u_i v_i^T`` (Eckart and Young).

    Embeddings and unembeddings too; heads and operands one by one; biases stay. A matrix takes ``r (in + out)`` parameters
    where that is fewer than it has, else all that it has. Misleads as a measure of what a network needs: the largest singular
    values are not always those that the task needs most, and the rank of every single matrix is not that of their products.

    Args:
        subject: of any network; with a task its scores are given too.
        rank: the same for all matrices (at most their own).
        error: instead of a rank: each matrix gets the smallest rank with a relative error in Frobenius norm
            ``|W - W_r| / |W|`` of at most this, so that all have about the same error.

    Returns:
        `Reduced`: the network of low rank, a table of its matrices, and scores before and after.

    Raises:
        InterpError: both or neither of the two, a rank below 1, an error outside 0 to 1, weights that are not finite.

    >>> import torch, interp
    >>> model = interp.HookedMLP(interp.MLPConfig((2,), 2, d_in=2, bias=False, unembed_bias=False)).double()
    >>> _ = model.layer(0).W.data.copy_(torch.diag(torch.tensor([4.0, 3.0]))), model.W_U.data.copy_(torch.eye(2))
    >>> reduce(interp.Subject("diagonal", model), rank=1).table["error"].round(6).tolist()
    [0.6, 0.707107]
    """
    if (rank is None) == (error is None):
        raise InterpError("reduce needs either rank=, the same for all matrices, or error=, the same for all")
    subject = as_subject(subject).cast()
    found = Spectra.of(subject.model)
    ranks = found.same(rank) if rank is not None else found.within(error or 0.0)
    small = derived(subject, found.truncated(subject.model, ranks), f"rank {rank}" if rank else f"error {error:g}")
    known = subject.task is not None
    return Reduced(
        small, found.table(ranks), scores_of(small) if known else None, scores_of(subject) if known else None
    )


def rank_curve(
    subject: Subject | HookedModel, ranks: Sequence[int] | None = None, errors: Sequence[float] | None = None
) -> SizeCurve:
    """Loss and accuracy against rank, error and parameters: `reduce` at many sizes, with each matrix decomposed once.

    Args:
        subject: with a task.
        ranks: common ranks of all matrices; by default powers of 2 up to the largest that a matrix has.
        errors: instead of ranks: the relative error that each matrix may have.

    Returns:
        A DataFrame with a row per rank or error: ``rank`` (the largest of any matrix), ``error`` (the largest of any matrix),
        ``parameters`` (of all matrices), and ``loss, train_loss, test_loss, accuracy, train_accuracy, test_accuracy,
        correct``. It follows `circuits.findings.Findings`.

    Raises:
        MissingCapability: no task is known.
        InterpError: both ranks and errors, a rank below 1, an error outside 0 to 1, weights that are not finite.
    """
    if ranks is not None and errors is not None:
        raise InterpError("rank_curve takes either ranks= or errors=, not both")
    subject = as_subject(subject)
    subject.require_task()
    subject = subject.cast()
    found = Spectra.of(subject.model)
    if errors is not None:
        wanted = [found.within(e) for e in errors]
    else:
        wanted = [found.same(r) for r in (powers(found.full) if ranks is None else ranks)]
    return SizeCurve.of_rows([found.row(subject, each) for each in wanted], "rank", scores_of(subject))
