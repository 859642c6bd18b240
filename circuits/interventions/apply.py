"""`applied`: the only code that installs interventions.

1. Sites are resolved before anything is installed, so a wrong name leaves the model as it was.
2. Values made of a reference set are computed before anything is installed, so from the untouched network.
3. Interventions on one hook point act in the order given, after any hooks that the user has already installed there.
4. What was installed is removed by handle when the block ends, however it ends; other hooks stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from circuits.interventions.kinds import Freeze, Intervention, Replacing
from interp.activations.capture import capture, fitting
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.sites import Site, SitePattern, resolve_sites
from interp.subject import Subject
from interp.tasks import Task


class NoEffect(InterpError):
    """An intervention that never fired, or fired and changed nothing."""


@dataclass
class Entry:
    """What became of one intervention at one hook point.

    Attributes:
        fired: how often the hook point passed an activation.
    """

    intervention: Intervention
    site: Site
    fired: int = 0
    _moved: Tensor | None = field(default=None, repr=False)
    _size: Tensor | None = field(default=None, repr=False)

    def add(self, before: Tensor, after: Tensor) -> None:
        # squared norms stay on the device: reading them here would wait for it in every forward pass
        moved = (after.detach() - before.detach()).double().pow(2).sum()
        size = before.detach().double().pow(2).sum()
        self._moved = moved if self._moved is None else self._moved + moved
        self._size = size if self._size is None else self._size + size

    @property
    def change(self) -> float:
        """Norm of the change, summed in squares over all firings."""
        return 0.0 if self._moved is None else float(self._moved.sqrt())

    @property
    def relative_change(self) -> float:
        """Norm of the change as a share of the activation's norm."""
        return 0.0 if self._size is None else self.change / max(float(self._size.sqrt()), 1e-300)


class Record(Sequence[Entry]):
    """The entries of an `applied` block, in the order of the interventions."""

    def __init__(self, entries: list[Entry]):
        self.entries = entries

    def __getitem__(self, index: Any) -> Any:
        return self.entries[index]

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        return "\n".join(
            f"{e.intervention} at {e.site.name}: fired {e.fired} times, moved {e.relative_change:.3%}"
            for e in self.entries
        )

    def check(self) -> None:
        """Raise `NoEffect` for an intervention that never fired or changed nothing."""
        for entry in self.entries:
            if entry.fired == 0:
                raise NoEffect(
                    f"{entry.intervention} never fired: {entry.site.name} was not reached by any forward pass"
                )
            if entry.change == 0.0 and not entry.intervention.idle:
                raise NoEffect(
                    f"{entry.intervention} fired {entry.fired} times and changed nothing; pass strict=False if that is meant"
                )


@contextmanager
def applied(
    model: HookedModel | Subject,
    interventions: Intervention | Sequence[Intervention],
    *,
    strict: bool = True,
    measured: bool = True,
) -> Iterator[Record]:
    """Run what is inside the block with the interventions in place.

    Args:
        model: a hooked model; a `Subject` for its model, whose task then says what ``Mean(reference="train")`` means.
        interventions: one or several; a glob on a site applies at every hook point that it matches.
        strict: an intervention that never fired or changed nothing raises when the block ends.
        measured: how far each activation moves is measured, in passes of float64 over it; without, and without ``strict``,
            the record knows only how often each fired.

    Yields:
        a `Record`: per intervention, how often it fired and how far it moved the activation.

    Raises:
        UnknownSite: a site that matches no hook point; nothing is installed then.
        NoEffect: with ``strict``, after the block.
        InterpError: an intervention whose value does not fit the activation.

    >>> import torch
    >>> from interp import HookedMLP, MLPConfig
    >>> from circuits.interventions.kinds import Ablate
    >>> model = HookedMLP(MLPConfig((4,), 3, d_in=2)).init_weights(seed=0)
    >>> with applied(model, Ablate("layers.0.hook_post")) as record:
    ...     model(torch.ones(1, 2)).abs().sum().item()
    0.0
    >>> record[0].fired
    1
    """
    given = [interventions] if isinstance(interventions, Intervention) else list(interventions)
    model, task = (model.model, model.task) if isinstance(model, Subject) else (model, None)
    record, handles = Record([Entry(i, s) for i, s in settled(model, given, task)]), []
    try:
        for entry in record.entries:
            point: nn.Module = model.hook_dict[entry.site.name]
            handles.append(
                point.register_forward_hook(_hook(entry, model.axes_of(entry.site.name), measured or strict))
            )
        yield record
    finally:
        for handle in handles:
            handle.remove()
    if strict:
        record.check()


def settled(
    model: HookedModel, interventions: Sequence[Intervention], task: Task | None = None
) -> list[tuple[Intervention, Site]]:
    """Every intervention at every hook point that its site names, with its reference set's mean as a constant.

    Raises:
        UnknownSite: a site that matches no hook point.
        InterpError: a reference set that nothing is known of, or that the model cannot run on.
    """
    found = []
    for intervention in interventions:
        if isinstance(intervention, Replacing):
            intervention = intervention.bound(task)
        inputs = intervention.value.inputs if isinstance(intervention, Replacing) else None
        sites = resolve_sites(model, intervention.site)
        if inputs is None:
            found += [(intervention, site) for site in sites]
            continue
        assert isinstance(intervention, Replacing)
        with fitting(model, inputs, "the reference set"):
            acts = capture(model, inputs, {site.name for site in sites})
        found += [(intervention.settled(acts[s.name], model.axes_of(s.name), s), s) for s in sites]
    return found


def freeze(model: HookedModel, inputs: Tensor, sites: SitePattern) -> list[Freeze]:
    """Interventions that hold sites at what they are in the untouched run on ``inputs``.

    Freeze attention patterns or LayerNorm scales to see what an ablation does with them as they were.

    >>> import torch
    >>> from interp import HookedMLP, MLPConfig
    >>> from circuits.interventions.kinds import Ablate
    >>> model, x = HookedMLP(MLPConfig((4, 4), 3, d_in=2)).init_weights(seed=0), torch.ones(1, 2)
    >>> with applied(model, [Ablate("layers.0.hook_post"), *freeze(model, x, "layers.1.hook_pre")]):
    ...     frozen = model(x)
    >>> bool(torch.equal(frozen, model(x)))
    True
    """
    acts = capture(model, inputs, sites)
    return [Freeze(site, acts[str(site)]) for site in resolve_sites(model, sites)]


def _hook(entry: Entry, axes: Sequence[str], measured: bool) -> Callable[..., Tensor]:
    def change(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        after = entry.intervention.transform(output, axes, entry.site)
        if after.shape != output.shape:
            raise InterpError(
                f"{entry.intervention} turned {list(output.shape)} into {list(after.shape)} at {entry.site.name}"
            )
        if measured:
            entry.add(output, after)
        entry.fired += 1
        return after

    return change
