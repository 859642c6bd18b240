"""The tuned lens: a logit lens behind an affine map of each layer's stream, fitted to the final one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from circuits.engine.arguments import require_whole
from circuits.engine.budget import DEFAULT_BYTES
from circuits.lens.asked import AnswersLike, Asked, asked
from circuits.lens.logit_lens import LogitLens
from circuits.lens.places import judged, lens_metrics, places, streams
from circuits.metrics import MetricLike
from interp.errors import InterpError, require_positive, require_range
from interp.hooked.base import HookedModel
from interp.report import figures
from interp.subject import Subject
from probes.unembedding import Unembedding

if TYPE_CHECKING:
    import plotly.graph_objects as go

RANK = 1e-10  # directions of the stream with less than this share of the largest variance count as constant
BATCH = 256  # inputs per step of the training


class Translator(nn.Module):
    """An affine map of a stream: ``x @ weight + bias``.

    Args:
        weight: ``[d_model, d_model]``.
        bias: ``[d_model]``.
    """

    def __init__(self, weight: Tensor, bias: Tensor):
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    @override
    def forward(self, stream: Tensor) -> Tensor:
        """``[..., d_model]`` to ``[..., d_model]``."""
        return stream @ self.weight + self.bias


@dataclass(repr=False, eq=False)
class TunedLens(LogitLens):
    """A `LogitLens` whose streams went through translators, on inputs that these were not fitted to.

    ``values`` are the tuned lens's.

    Attributes:
        untuned: the logit lens on the same inputs ``[place, position, metric]``.
        translators: by label, for every place but the last.
        fitted_on: how many inputs they were fitted to; ``inputs`` are the others, which are judged.
        seed: of the split.
    """

    untuned: Float[Tensor, "place pos metric"]
    translators: dict[str, Translator] = field(repr=False)
    fitted_on: int = 0
    seed: int = 0

    @property
    @override
    def rows(self) -> pd.DataFrame:
        """A row per place and position; of each metric the tuned lens's value, and the logit lens's."""
        frame = super().rows
        for k, metric in enumerate(self.metrics):
            frame[f"{metric.name} untuned"] = self.untuned[..., k].flatten().cpu().numpy()
        return frame

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """The split, and the first metric at every place."""
        return {"fitted_on": self.fitted_on, "judged_on_others": self.inputs, "seed": self.seed, **super().summary}

    @override
    def figure(self) -> go.Figure:
        """The first metric by place, tuned and not."""
        if len(self.positions) > 1:
            return super().figure().update_layout(title=f"Tuned lens: {self.metrics[0].name}")
        both = {"tuned": self.values, "logit lens": self.untuned}
        curves = {name: (list(self.sites), v[:, 0, 0].cpu().numpy()) for name, v in both.items()}
        name = self.metrics[0].name
        return figures.lines(curves, title="Tuned lens", x_title="place", y_title=name, markers=True)


def tuned_lens(
    subject: Subject | HookedModel,
    inputs: Tensor | None = None,
    *,
    metric: MetricLike | Sequence[MetricLike] | None = None,
    answers: AnswersLike = None,
    wrong: Tensor | None = None,
    positions: int | Sequence[int] | Literal["all"] | None = None,
    mid: bool = True,
    held_out: float = 0.25,
    ridge: float = 0.0,
    steps: int = 0,
    learning_rate: float = 1e-3,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
) -> TunedLens:
    """Tuned lens: a logit lens behind an affine map per layer that brings its stream as near to the final one as it can.

    The maps are fitted in closed form: least squares of the final stream on the layer's, over some of the inputs. With ``steps``
    they are then trained to the paper's objective, the divergence KL(network || lens). They are judged on the other inputs.

    Args:
        subject: a transformer or a wrapped bridge; with its task, if it has one.
        inputs: ``[n, pos]``; the task's examples by default.
        metric: as in `logit_lens`.
        answers: as in `logit_lens`.
        wrong: as in `logit_lens`.
        positions: as in `logit_lens`; one map per layer serves all of them.
        mid: read the stream between attention and MLP, too.
        held_out: share of the inputs, drawn at random, that the maps are judged on and not fitted to.
        ridge: added to the covariance's diagonal, as a share of its mean.
        steps: of Adam on the divergence, each on 256 inputs.
        learning_rate: of these.
        seed: of the split and the training.
        dtype: the subject's precision (float64) by default.
        max_bytes: of one batch's activations.

    Returns:
        a value for every place, position and metric on the held-out inputs, with the logit lens's beside it, and the maps.

    Raises:
        MissingCapability: neither inputs nor a task, or a metric that needs answers that are not known.
        InterpError: another kind of network, too few inputs, or arguments of the wrong kind or shape.

    Belrose et al. 2023, Eliciting Latent Predictions from Transformers with the Tuned Lens,
    https://arxiv.org/abs/2303.08112. It misleads where a map can compute what the network has yet to compute: what it reads is
    linearly there, not used.
    """
    given = asked(subject, inputs, answers, wrong, dtype)
    metrics, sites = lens_metrics(metric, given.right is not None), places(given.model, mid)
    require_whole("steps", steps, 0)
    require_whole("seed", seed, 0)
    require_positive("learning_rate", learning_rate)
    require_range("ridge", ridge, 0)
    at, names = given.positions(positions), list(sites.values())
    fit, judge = _split(len(given.inputs), held_out, seed)
    maps = _fitted(given, names, at, fit, ridge, max_bytes)
    if steps:
        _trained(given, maps, names, at, fit, steps, learning_rate, seed, max_bytes)
    values, own = judged(given, names, at, metrics, maps, judge, max_bytes)
    untuned, _ = judged(given, names, at, metrics, None, judge, max_bytes)
    found = {label: maps[site] for label, site in sites.items() if site in maps}
    return TunedLens(sites, at, metrics, values, own, len(judge), given, untuned, found, len(fit), seed)


def _split(n: int, held_out: float, seed: int) -> tuple[Tensor, Tensor]:
    if isinstance(held_out, bool) or not isinstance(held_out, (int, float)) or not 0 < held_out < 1:
        raise InterpError(f"held_out is a share between 0 and 1, got {held_out!r}")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    n_judged = max(1, round(n * held_out))
    if n - n_judged < 2:
        raise InterpError(f"{n} inputs are too few to fit a tuned lens and hold some out")
    return order[n_judged:].sort().values, order[:n_judged].sort().values


@torch.no_grad()
def _fitted(
    given: Asked, names: list[str], at: list[int], rows: Tensor, ridge: float, max_bytes: int
) -> dict[str, Translator]:
    """Least squares of the last stream on each other one, from sums over batches."""
    final, count = names[-1], 0
    sums: dict[str, Tensor] = {}
    for _, found, _ in streams(given, names, at, rows, max_bytes):
        flat = {name: x.flatten(0, 1).double() for name, x in found.items()}
        flat = {name: torch.cat([x, torch.ones_like(x[:, :1])], 1) for name, x in flat.items()}
        count += len(flat[final])
        for name, x in flat.items():
            for key, other in ((name, x), (f"{name} final", flat[final])):
                sums[key] = sums.get(key, 0) + x.T @ other
    made = {}
    for name in names[:-1]:
        own, cross = sums[name] / count, sums[f"{name} final"] / count
        mean, target = own[-1, :-1], cross[-1, :-1]  # the last row belongs to the constant
        covariance = own[:-1, :-1] - mean[:, None] * mean
        size = float(covariance.diagonal().mean())
        covariance = covariance + ridge * size * torch.eye(len(mean)).to(covariance)
        weight = torch.linalg.pinv(covariance, rtol=RANK, hermitian=True) @ (cross[:-1, :-1] - mean[:, None] * target)
        weight = torch.zeros_like(weight) if size <= 1e-20 * float(own.diagonal().mean()) else weight  # constant stream
        made[name] = Translator(weight.to(given.model.dtype), (target - mean @ weight).to(given.model.dtype))
    return made


@torch.enable_grad()
def _trained(
    given: Asked, maps: Mapping[str, Translator], names: list[str], at: list[int], rows: Tensor, steps: int, rate: float,
    seed: int, max_bytes: int,
) -> None:  # fmt: skip
    """Minimise the divergence of the lens from the network, in place."""
    read, generator = Unembedding.of(given.model), torch.Generator().manual_seed(seed)
    parameters = [p for translator in maps.values() for p in translator.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=rate)
    for _ in range(steps):
        chosen = rows[torch.randint(len(rows), (min(BATCH, len(rows)),), generator=generator)]
        loss = torch.zeros((), dtype=given.model.dtype, device=given.model.device)
        for _, found, outputs in streams(given, names, at, chosen, max_bytes):
            target = outputs[..., : given.width].log_softmax(-1)
            for name, translator in maps.items():
                lens = read.logits(translator(found[name]))[..., : given.width].log_softmax(-1)
                loss = loss + F.kl_div(lens, target, reduction="sum", log_target=True) / len(chosen) / len(at)
        optimizer.zero_grad()
        loss.backward(inputs=parameters)
        optimizer.step()
