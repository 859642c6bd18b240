"""The logit lens: what the network would answer if it stopped at each layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import torch
from jaxtyping import Float
from plotly.subplots import make_subplots
from torch import Tensor
from typing_extensions import override

from circuits.engine.budget import DEFAULT_BYTES
from circuits.findings import Findings
from circuits.lens.asked import AnswersLike, Asked, asked
from circuits.lens.places import judged, lens_metrics, places, streams
from circuits.metrics import Metric, MetricLike
from interp.hooked.base import HookedModel
from interp.notebook.figure import Figure
from interp.report import figures
from interp.subject import Subject
from probes.unembedding import Unembedding

if TYPE_CHECKING:
    import plotly.graph_objects as go

UNITS = {"kl": "nats", "accuracy": "share right", "logit_diff": "logits"}  # of axes that need one


@dataclass(repr=False, eq=False)
class LogitLens(Findings):
    """The residual stream before and after every part, read as the final one is.

    Attributes:
        sites: hook points by label: ``0_pre``, ``0_mid``, ..., ``final_post``.
        positions: which were read.
        metrics: what the logits there are judged by.
        values: means over the inputs ``[place, position, metric]``.
        own: the same of the network's own logits ``[position, metric]``; the last place equals it.
        inputs: how many there were.
    """

    sites: dict[str, str]
    positions: list[int]
    metrics: tuple[Metric, ...]
    values: Float[Tensor, "place pos metric"]
    own: Float[Tensor, "pos metric"]
    inputs: int
    _asked: Asked = field(repr=False)

    @property
    @override
    def rows(self) -> pd.DataFrame:
        """A row per place and position, a column per metric."""
        at = [(label, site, p) for label, site in self.sites.items() for p in self.positions]
        frame = pd.DataFrame(at, columns=pd.Index(["place", "site", "position"]))
        for k, metric in enumerate(self.metrics):
            frame[metric.name] = self.values[..., k].flatten().cpu().numpy()
        return frame

    @property
    @override
    def table(self) -> pd.DataFrame:
        """A row per place, position and metric; ``clean`` is the network's own value, ``changed`` that at the place."""
        rows = [
            {"component": label, "site": site, "index": i, "metric": metric.name, "clean": float(self.own[j, k]),
             "changed": float(self.values[i, j, k]), "change": float(self.values[i, j, k] - self.own[j, k]), "position": p}
            for i, (label, site) in enumerate(self.sites.items()) for j, p in enumerate(self.positions)
            for k, metric in enumerate(self.metrics)
        ]  # fmt: skip
        return pd.DataFrame(rows)

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """The first metric at every place, over the positions."""
        means = self.values[..., 0].mean(1)
        name = self.metrics[0].name
        return {"inputs": self.inputs, name: {label: float(v) for label, v in zip(self.sites, means, strict=True)}}

    @override
    def figure(self) -> go.Figure:
        """A panel per metric, by place; of several positions a heat map of the first metric."""
        name, labels = self.metrics[0].name, list(self.sites)
        if len(self.positions) > 1:
            return figures.heatmap(
                self.values[..., 0].cpu().numpy(), title=f"Logit lens: {name}", x_title="position", y_title="", unit=name,
                x=[str(p) for p in self.positions], y=labels,
            )  # fmt: skip
        n = len(self.metrics)
        drawn = make_subplots(rows=n, cols=1, shared_xaxes=True, vertical_spacing=0.12 / n, figure=Figure())
        for k, metric in enumerate(self.metrics):
            drawn.add_scatter(
                x=labels, y=self.values[:, 0, k].cpu().numpy(), name=metric.name, mode="lines+markers", showlegend=False,
                line={"color": figures.BLUE}, row=k + 1, col=1,
            )  # fmt: skip
        figures.style(drawn, "Logit lens", "", "", height=120 + max(220, 150 * n))
        for k, metric in enumerate(self.metrics):
            drawn.update_yaxes(title=self._unit(metric.name), row=k + 1, col=1)
        return drawn.update_xaxes(title="place", row=n, col=1)

    def _unit(self, name: str) -> str:
        """The title of an axis of a metric: its name and unit, a line each."""
        if name == "loss":
            task = self._asked.task
            return figures.loss_unit("cross_entropy" if task is None else task.loss).replace(" ", "<br>")
        return f"{name}<br>({UNITS[name]})" if name in UNITS else name

    def logits(self, rows: slice | Sequence[int] = slice(0, 8)) -> Float[Tensor, "place n pos out"]:
        """Logits at every place, of some inputs.

        Args:
            rows: which inputs.

        Returns:
            as a tensor; too large for many inputs of a language model.
        """
        chosen = torch.arange(len(self._asked.inputs))[rows if isinstance(rows, slice) else list(rows)]
        read = Unembedding.of(self._asked.model)
        with torch.no_grad():
            parts = streams(self._asked, list(self.sites.values()), self.positions, chosen)
            return torch.cat([torch.stack([read.logits(x) for x in found.values()]) for _, found, _ in parts], 1)


def logit_lens(
    subject: Subject | HookedModel,
    inputs: Tensor | None = None,
    *,
    metric: MetricLike | Sequence[MetricLike] | None = None,
    answers: AnswersLike = None,
    wrong: Tensor | None = None,
    positions: int | Sequence[int] | Literal["all"] | None = None,
    mid: bool = True,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
) -> LogitLens:
    """Logit lens: the residual stream at every layer, through the final norm and the unembedding, judged.

    The last place is the network's own output, exactly. Inputs run in batches, and no logits are kept.

    Args:
        subject: a transformer or a wrapped bridge; with its task, if it has one.
        inputs: ``[n, pos]``; the task's examples by default.
        metric: one or several of ``"loss"``, ``"accuracy"``, ``"logit_diff"``, ``"logit"``, ``"probability"`` (of the right
            answer), ``"kl"`` (from the network's own answer at that position), a `Metric`, or a function of logits.
        answers: the task's by default; a tensor ``[n]`` or ``[n, pos]``, or ``"next"`` for the next token.
        wrong: what ``logit_diff`` compares with; by default the best of all others.
        positions: by default where the task reads its answer; every position where answers are known at each; ``"all"``.
        mid: read the stream between attention and MLP, too.
        dtype: the subject's precision (float64) by default.
        max_bytes: of one batch's activations.

    Returns:
        a value for every place, position and metric.

    Raises:
        MissingCapability: neither inputs nor a task, or a metric that needs answers that are not known.
        InterpError: another kind of network, or arguments of the wrong kind or shape.

    nostalgebraist 2020, interpreting GPT: the logit lens,
    https://www.lesswrong.com/posts/AcKRB8wDpdaN6v6ru/interpreting-gpt-the-logit-lens. It misleads where early layers use other
    directions than the unembedding reads: a low accuracy does not show that the answer is not there. `tuned_lens` fits a map.

    >>> import interp
    >>> lens = logit_lens(interp.load(interp.__path__[0] + "/demo/run"))
    >>> lens.rows["accuracy"].round(3).tolist()
    [0.019, 0.11, 1.0]
    """
    given = asked(subject, inputs, answers, wrong, dtype)
    metrics, sites = lens_metrics(metric, given.right is not None), places(given.model, mid)
    at = given.positions(positions)
    values, own = judged(given, list(sites.values()), at, metrics, max_bytes=max_bytes)
    return LogitLens(sites, at, metrics, values, own, len(given.inputs), given)
