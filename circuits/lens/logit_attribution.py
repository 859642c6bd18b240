"""Direct logit attribution: what each component, neuron or position adds by itself to the answer's logit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from circuits.engine.budget import BATCH, DEFAULT_BYTES, slices
from circuits.findings import COLUMNS, Findings
from circuits.lens.asked import AnswersLike, asked
from circuits.lens.places import ROUNDED
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.report import figures
from interp.subject import Subject
from probes.direct_effects import By, Parts, Question, direct_effects

if TYPE_CHECKING:
    import plotly.graph_objects as go

SHOWN = 40  # bars of a figure
FROZEN = "the final norm's scale is frozen at the whole stream's; effects through later parts are not counted"


@dataclass(repr=False, eq=False)
class LogitAttribution(Findings):
    """What each part adds directly to a logit, or to a difference of logits. The parts add up to it.

    Attributes:
        names: of the parts.
        sites: the hook point of each.
        contributions: mean over the inputs ``[part]``.
        spread: standard deviation over the inputs ``[part]``.
        total: mean over the inputs of what is explained, in the network's own forward passes.
        metric: what that is: ``logit``, ``logit_diff`` or ``centred_logit``.
        inputs: how many there were.
        values: of every input ``[n, part]``; None where they would take more than ``max_bytes``.
        error: the largest difference, of an input, between the parts' sum and the network's own logit.
    """

    names: tuple[str, ...]
    sites: tuple[str, ...]
    contributions: Float[Tensor, " part"]
    spread: Float[Tensor, " part"]
    total: float
    metric: str
    inputs: int
    error: float
    values: Float[Tensor, "n part"] | None = field(default=None, repr=False)

    @property
    @override
    def rows(self) -> pd.DataFrame:
        """A row per part: its mean contribution, the standard deviation over inputs, and its share of the whole."""
        return pd.DataFrame({
            "component": self.names, "site": self.sites, "contribution": self.contributions.cpu().numpy(),
            "std": self.spread.cpu().numpy(), "share": (self.contributions / self.total).cpu().numpy(),
        })  # fmt: skip

    @property
    @override
    def table(self) -> pd.DataFrame:
        """As `rows`; ``clean`` is the whole, ``changed`` the whole without what the part adds directly."""
        rows, given = self.rows, self.contributions.cpu().numpy()
        index = [i for _, i in _numbered(self.sites)]
        rows = rows.assign(index=index, metric=self.metric, clean=self.total, changed=self.total - given, change=-given)
        return rows.reindex(columns=pd.Index([*COLUMNS, "contribution", "std", "share"]))

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """What is explained, by how many parts, and how exactly they add up to it."""
        return {
            self.metric: self.total, "parts": len(self.names), "inputs": self.inputs, "largest_error_of_the_sum": self.error,
            "note": FROZEN,
        }  # fmt: skip

    @override
    def figure(self) -> go.Figure:
        """The largest mean contributions as bars."""
        order = self.contributions.abs().argsort(descending=True)[:SHOWN].sort().values.tolist()
        return figures.bars(
            [self.names[i] for i in order], [float(self.contributions[i]) for i in order],
            title=f"Direct effect on the {self.metric} ({self.total:.3g}), scale frozen", x_title="", y_title=self.metric,
        )  # fmt: skip


def logit_attribution(
    subject: Subject | HookedModel,
    inputs: Tensor | None = None,
    *,
    by: By = "component",
    answers: AnswersLike = None,
    wrong: Tensor | None = None,
    position: int | None = None,
    centred: bool = False,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
) -> LogitAttribution:
    """Direct logit attribution: what each part adds by itself to the right answer's logit, or to a difference of logits.

    The logits are a sum over what each part writes into the residual stream, times the unembedding. A LayerNorm or RMSNorm
    before it divides by a scale, which is frozen at the one that the whole stream has; its weights are counted. The parts then
    add up to the logit exactly, in every input, which is checked. What a part does to later parts is not counted: that is
    what `ablate` and `patch` are for.

    Args:
        subject: a transformer, a wrapped bridge, or a network that is linear after its last hidden layer (its units are the
            parts then).
        inputs: ``[n, pos]``; the task's examples by default.
        by: ``"component"``: embeddings, heads, MLPs, biases; ``"head"``: heads, and all else in one; ``"neuron"``: the MLPs'
            neurons instead of the MLPs; ``"position"``: each head split by the position that it reads.
        answers: the answer's index per input ``[n]``; the task's by default.
        wrong: subtract the logit of these ``[n]``.
        position: where the logits are read; by default where the task reads, without a task the last.
        centred: subtract the mean of all answers' logits, which softmax ignores.
        dtype: the subject's precision (float64) by default.
        max_bytes: limit on the values of single inputs that are kept; inputs run in batches.

    Returns:
        means and standard deviations over the inputs by part, and the values of every input.

    Raises:
        MissingCapability: the answers are not known.
        UnknownName: another ``by``.
        InterpError: a network whose logits are not a sum of parts, or arguments of the wrong kind or shape.

    Elhage et al. 2021, A Mathematical Framework for Transformer Circuits,
    https://transformer-circuits.pub/2021/framework/index.html. It misleads where later parts erase what earlier ones wrote, and
    where a part's effect is mostly on the scale: McGrath et al. 2023, https://arxiv.org/abs/2307.15771.

    >>> import interp
    >>> model = interp.HookedMLP(interp.MLPConfig((8,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    >>> found = logit_attribution(interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model)))
    >>> abs(float(found.contributions.sum()) - found.total) < 1e-12
    True
    """
    given = asked(subject, inputs, answers, wrong, dtype)
    at = given.readout if position is None else given.positions(position)[0]
    right = given.at(given.required(), at)
    question = Question(right, None if given.wrong is None else given.at(given.wrong, at), at, given.width, centred)
    sums, squares, total, error = torch.zeros(()), torch.zeros(()), 0.0, 0.0
    kept: list[Tensor] | None = []
    parts: list[Parts] = []
    for rows in slices(len(given.inputs), BATCH):
        parts, whole = direct_effects(given.model, given.inputs[rows], question.of(rows), by)
        values = torch.cat([part.values for part in parts], 1).double()
        gap = (values.sum(1) - whole.double()).abs().max().item()
        _check(gap, float(values.abs().sum(1).max()), whole.dtype, given.name)
        sums, squares = sums + values.sum(0), squares + values.square().sum(0)
        total, error = total + float(whole.double().sum()), max(error, gap)
        if kept is not None:
            kept.append(values)
            kept = None if values.shape[1] * len(given.inputs) * values.element_size() > max_bytes else kept
    n = len(given.inputs)
    mean = sums / n
    metric = "logit_diff" if given.wrong is not None else "centred_logit" if centred else "logit"
    return LogitAttribution(
        tuple(name for part in parts for name in part.names), tuple(part.site for part in parts for _ in part.names), mean,
        (squares / n - mean.square()).clamp_min(0).sqrt(), total / n, metric, n, error, None if kept is None else torch.cat(kept),
    )  # fmt: skip


def _check(gap: float, size: float, dtype: torch.dtype, name: str) -> None:
    """Refuse parts that do not add up: then the network does something between stream and logits that is not known here."""
    if gap > max(size, 1.0) * max(torch.finfo(dtype).eps ** 0.5, ROUNDED):
        raise InterpError(
            f"{name}: the parts add up to its logits only within {gap:.2g}, so something else than a LayerNorm or RMSNorm and an "
            "unembedding stands between its residual stream and its logits (or layers write into the stream scaled)"
        )


def _numbered(sites: tuple[str, ...]) -> list[tuple[str, int]]:
    """Each part's number among those of its hook point."""
    seen: dict[str, int] = {}
    found = []
    for site in sites:
        seen[site] = seen.get(site, -1) + 1
        found.append((site, seen[site]))
    return found
