"""Path patching: what one component tells others directly, with everything in between held as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from circuits.engine.clean_corrupted import make_pair
from circuits.interventions.apply import NoEffect, applied
from circuits.interventions.kinds import Freeze, Intervention, Patch
from circuits.metrics import MetricLike
from interp.activations.capture import capture
from interp.hooked.base import HookedModel
from interp.sites import Site, resolve_sites
from interp.subject import Subject


@dataclass(frozen=True)
class PathEffect:
    """The effect of one sender through some receivers.

    Attributes:
        value: the metric with the path patched; ``clean`` and ``corrupted`` are the two runs' own.
        recovered: 0 where the value is the corrupted run's, 1 where it is the clean run's.
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


@torch.no_grad()
def path_patch(
    subject: Subject,
    clean: Tensor,
    corrupted: Tensor,
    *,
    sender: str | Site,
    receivers: Sequence[str | Site],
    metric: MetricLike = "logit_diff",
    through: Sequence[str] = (),
    dtype: torch.dtype | None = None,
) -> PathEffect:
    """Let one component of the clean run speak to some receivers in the corrupted run, directly and to nobody else.

    1. The corrupted run with the sender as in the clean run, and all other components (heads, neurons) frozen at what they
       are in the corrupted run: what changes at the receivers came along the residual stream alone.
    2. The corrupted run with the receivers as they were in 1, and nothing else changed: its metric.

    Args:
        clean, corrupted, metric, dtype: as in `patch`.
        sender: such as ``Site("blocks.0.attn.hook_z", head=2)``.
        receivers: such as ``Site("blocks.1.attn.hook_q", head=0)`` or ``"hook_logits"``.
        through: hook points, by name or glob, that are not frozen: paths through them count too.

    Raises:
        UnknownSite: a site that the model has not.
        NoEffect: the sender is the same in both runs, or nothing of it arrives at any receiver.

    Source: Wang et al. 2022 (IOI), with the roles of `patch`: clean into corrupted.
    """
    model = subject.model
    senders, wanted = resolve_sites(model, sender), resolve_sites(model, receivers)
    open_points = {s.name for pattern in through for s in resolve_sites(model, pattern)}
    components = [n for kind in ("heads", "neurons") for n in model.component_sites(kind)]
    frozen = [n for n in dict.fromkeys(components) if n not in open_points]
    points = [*frozen, *(s.name for s in wanted)]
    pair = make_pair(subject, clean, corrupted, metric, sites=senders, beside=lambda _: points, dtype=dtype)
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
            f"nothing of {sender} arrives at {', '.join(map(str, receivers))}: they do not lie behind it, or only beyond "
            "components that are frozen; name those in through=[...] to let paths through them count"
        )
    return PathEffect(
        str(sender), tuple(str(r) for r in receivers), pair.evaluation.metrics[0].name, float(value), pair.clean_value,
        pair.corrupted_value, float(pair.recovered(value)),
        {str(entry.site): entry.relative_change for entry in record.entries},
    )  # fmt: skip


def _frozen(model: HookedModel, name: str, run: Tensor, receivers: Sequence[Site]) -> list[Freeze]:
    """Freezes of a hook point, but for what receivers read of it."""
    own = [r for r in receivers if r.name == name]
    if not own:
        return [Freeze(Site(name), run)]
    axes = model.axes_of(name)
    spared = torch.zeros(run.shape, dtype=torch.bool)
    for receiver in own:
        mask = receiver.mask(run.shape, axes, spared.device)
        spared |= torch.ones_like(spared) if mask is None else mask
    axis = "head" if "head" in axes else "unit"
    dims = [d for d in range(spared.ndim) if d != axes.index(axis)]
    rest = (~spared.any(dims)).nonzero().flatten().tolist() if dims else []
    return [Freeze(replace(Site(name), **{axis: rest}), run)] if rest else []
