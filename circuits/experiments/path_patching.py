"""Path patching: the effect of one component through chosen receivers, with the components in between frozen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor
from typing_extensions import override

from circuits.engine.clean_corrupted import make_pair
from circuits.findings import Findings
from circuits.interventions.apply import NoEffect, applied
from circuits.interventions.kinds import Freeze, Intervention, Patch
from circuits.metrics import MetricLike
from interp.activations.capture import capture
from interp.hooked.base import HookedModel
from interp.hooked.foreign.several import InputsLike
from interp.sites import Site, resolve_sites
from interp.subject import Subject, as_subject

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class PathEffect(Findings):
    """The effect of one sender through some receivers.

    Attributes:
        sender: the site whose clean activation is sent.
        receivers: the sites that receive it.
        metric: its name.
        value: the metric with the path patched.
        clean: the metric in the clean run.
        corrupted: the metric in the corrupted run.
        recovered: 0 for the corrupted run's value, 1 for the clean run's.
        moved: how far each receiver moved, as a share of the norm of its whole hook point.
    """

    sender: str
    receivers: tuple[str, ...]
    metric: str
    value: float
    clean: float
    corrupted: float
    recovered: float
    moved: dict[str, float]

    @override
    def _pieces(self) -> list[Any]:
        return super()._pieces()[: 1 if len(self.moved) < 2 else None]  # one bar says nothing

    @override
    def __repr__(self) -> str:
        path = f"{self.sender} > {', '.join(self.receivers)}"
        return (
            f"PathEffect of {path}: {self.metric} {self.value:.4g}, clean {self.clean:.4g}, corrupted {self.corrupted:.4g}; "
            f"recovered {self.recovered:.3g}"
        )

    @property
    @override
    def rows(self) -> pd.DataFrame:
        """``receiver, moved``, a row per receiver."""
        return pd.DataFrame({"receiver": list(self.moved), "moved": list(self.moved.values())})

    @property
    @override
    def table(self) -> pd.DataFrame:
        """One row: ``component, site, index, metric, clean, changed, change, corrupted, recovered``."""
        row = {
            "component": f"{self.sender} > {', '.join(self.receivers)}", "site": self.sender, "index": 0, "metric": self.metric,
            "clean": self.clean, "changed": self.value, "change": self.value - self.corrupted, "corrupted": self.corrupted,
            "recovered": self.recovered,
        }  # fmt: skip
        return pd.DataFrame([row])

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """Sender, receivers and metric by name, and every value."""
        names = ("sender", "receivers", "metric", "value", "clean", "corrupted", "recovered")
        return {name: getattr(self, name) for name in names}

    @override
    def figure(self) -> go.Figure:
        """How far each receiver moved."""
        from interp.report import figures

        title = f"{self.sender}: {self.metric} recovered {self.recovered:.3g} through these receivers"
        return figures.bars(
            list(self.moved), list(self.moved.values()), title=title, x_title="", y_title="share of its norm that moved"
        )


@torch.no_grad()
def path_patch(
    subject: Subject | HookedModel,
    clean: InputsLike,
    corrupted: InputsLike,
    *,
    sender: str | Site,
    receivers: str | Site | Sequence[str | Site],
    metric: MetricLike = "logit_diff",
    through: str | Sequence[str] = (),
    dtype: torch.dtype | None = None,
) -> PathEffect:
    """Path patching: the effect of one component of the clean run on the corrupted run, only along paths to some receivers.

    1. Run on the corrupted inputs with the sender as in the clean run, and all other components (heads, neurons) frozen at
       their activations in the corrupted run. What changes at the receivers came along the residual stream.
    2. Run on the corrupted inputs with the receivers as in 1 and nothing else changed, and measure.

    Args:
        subject: a Subject, or a hooked model together with a metric that needs no task.
        clean: inputs ``[batch, ...]``.
        corrupted: inputs with another answer, each aligned with the clean one in the same row.
        sender: such as ``Site("blocks.0.attn.hook_z", head=2)``.
        receivers: one or several, such as ``Site("blocks.1.attn.hook_q", head=0)`` or ``"hook_logits"``.
        metric: by name, a `Metric`, or a function of the model's outputs, as in `patch`.
        through: hook points, by name or glob, that are not frozen, so that paths through them count too.
        dtype: the model runs in this, the subject's precision by default.

    Returns:
        a `PathEffect`.

    Raises:
        UnknownSite: a site that the model does not have.
        NoEffect: the sender is the same in both runs, or nothing of it arrives at any receiver.
        InterpError: inputs that do not align; arguments of the wrong kind.

    Wang et al. 2022, Interpretability in the Wild (IOI), https://arxiv.org/abs/2211.00593, here with clean activations
    patched into the corrupted run, as in `patch`; Goldowsky-Dill et al. 2023, Localizing Model Behavior with Path Patching,
    https://arxiv.org/abs/2304.05969.
    """
    subject = as_subject(subject)
    receivers = (
        [receivers] if isinstance(receivers, (str, Site)) or not isinstance(receivers, Iterable) else list(receivers)
    )
    through = [through] if isinstance(through, (str, Site)) or not isinstance(through, Iterable) else list(through)
    model = subject.model
    senders, wanted = resolve_sites(model, sender), resolve_sites(model, receivers)
    open_points = {s.name for pattern in through for s in resolve_sites(model, pattern)}
    components = [n for kind in ("heads", "neurons") for n in model.component_sites(kind)]
    frozen = [n for n in dict.fromkeys(components) if n not in open_points]
    points = [*frozen, *(s.name for s in wanted)]
    pair = make_pair(subject, clean, corrupted, metric, sites=senders, corrupted_only=lambda _: points, dtype=dtype)
    model, base, source = pair.evaluation.model, pair.base, pair.source
    held: list[Intervention] = [f for n in frozen for f in _frozen(model, n, base[n], wanted)]
    sent = [Patch(s, source[s.name]) for s in senders]
    with applied(model, [*held, *sent], strict=False) as record:
        arrived = capture(model, pair.corrupted, {s.name for s in wanted})
    if not any(entry.change for entry in record.entries[len(held) :]):
        raise NoEffect(f"the sender {sender} is the same in the clean and the corrupted run")
    delivered = [Patch(s, arrived[s.name]) for s in wanted]
    with applied(model, delivered, strict=False) as record:
        value = pair.evaluation.run()
    if not any(entry.change for entry in record.entries):
        raise NoEffect(
            f"nothing of {sender} arrives at {', '.join(map(str, receivers))}: every path to them passes frozen components, or "
            "there is none; name components in through=[...] to count paths through them"
        )
    return PathEffect(
        str(sender), tuple(str(r) for r in receivers), pair.evaluation.metrics[0].name, float(value), pair.clean_value,
        pair.corrupted_value, float(pair.recovered(value)),
        {str(entry.site): entry.relative_change for entry in record.entries},
    )  # fmt: skip


def _frozen(model: HookedModel, name: str, run: Tensor, receivers: Sequence[Site]) -> list[Freeze]:
    """Freezes of a hook point, except for the heads or units that are receivers, at the positions where they are."""
    own = [r for r in receivers if r.name == name]
    if not own:
        return [Freeze(Site(name), run)]
    axes = model.axes_of(name)
    spared = torch.zeros(run.shape, dtype=torch.bool)
    for receiver in own:
        mask = receiver.mask(run.shape, axes, spared.device)
        spared |= torch.ones_like(spared) if mask is None else mask
    axis = "head" if "head" in axes else "unit"
    placed = next((a for a in ("query", "pos") if a in axes), None)
    spared = spared.movedim(axes.index(axis), -1)
    spared = spared.movedim([a for a in axes if a != axis].index(placed), 0) if placed else spared[None]
    table = spared.flatten(1, -2).any(1)  # [pos, head or unit]
    patterns: dict[tuple[bool, ...], list[int]] = {}
    for index, at in enumerate(table.T.tolist()):
        patterns.setdefault(tuple(at), []).append(index)
    found = []
    for at, indices in patterns.items():
        positions = [p for p, open_ in enumerate(at) if not open_] if any(at) else None
        if positions != []:
            found.append(Freeze(replace(Site(name, pos=positions), **{axis: indices}), run))
    return found
