"""`applied`: runs a network with interventions in place.

1. Sites are resolved before anything is installed, so a wrong name leaves the model as it was.
2. Values made of a reference set are computed before anything is installed, so from the untouched network.
3. Interventions on one hook point act in the order given, after any hooks that the user has already installed there.
4. What was installed is removed when the block ends, however it ends; other hooks stay (`transform_at`).
5. Interventions act on forward passes of the thread that applied them, so that several threads may share a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from circuits.interventions.kinds import Freeze, Intervention, Replacing
from interp.activations.batches import fitting
from interp.activations.capture import capture
from interp.activations.transform import transform_at
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.sites import Site, SitePattern, resolve_sites
from interp.subject import Subject, as_model
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
                    f"{entry.intervention} never fired: {entry.site.name} was not reached by any forward pass of this thread"
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
    >>> from circuits import Ablate, Zero
    >>> model = HookedMLP(MLPConfig((4,), 3, d_in=2)).init_weights(seed=0)
    >>> with applied(model, Ablate("layers.0.hook_post", Zero())) as record:
    ...     model(torch.ones(1, 2)).abs().sum().item()
    0.0
    >>> record[0].fired
    1
    """
    given = list(interventions) if isinstance(interventions, Sequence) else [interventions]
    task = model.task if isinstance(model, Subject) else None
    network = as_model(model)
    _check_kinds(given)
    record = Record([Entry(i, s) for i, s in settled(network, given, task)])
    changes = [(e.site.name, _transform(e, network.axes_of(e.site.name), measured or strict)) for e in record]
    with transform_at(network, changes):
        yield record
    if strict:
        record.check()


def _check_kinds(given: Sequence[object]) -> None:
    for one in given:
        if isinstance(one, type) and issubclass(one, Intervention):
            raise InterpError(f"{one.__name__} is a class: give an instance, such as {one.__name__}(site, ...)")
        if not isinstance(one, Intervention):
            raise InterpError(f"an intervention is needed, such as circuits.Ablate(site), got a {type(one).__name__}")


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
        inputs = intervention.replacement.inputs if isinstance(intervention, Replacing) else None
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
    >>> from circuits import Ablate, Zero
    >>> model, x = HookedMLP(MLPConfig((4, 4), 3, d_in=2)).init_weights(seed=0), torch.ones(1, 2)
    >>> with applied(model, [Ablate("layers.0.hook_post", Zero()), *freeze(model, x, "layers.1.hook_pre")]):
    ...     frozen = model(x)
    >>> bool(torch.equal(frozen, model(x)))
    True
    """
    acts = capture(model, inputs, sites)
    return [Freeze(site, acts[str(site)]) for site in resolve_sites(model, sites)]


def _transform(entry: Entry, axes: Sequence[str], measured: bool) -> Callable[[Tensor], Tensor]:
    def change(activation: Tensor) -> Tensor:
        after = entry.intervention.transform(activation, axes, entry.site)
        if after.shape != activation.shape:
            raise InterpError(
                f"{entry.intervention} turned {list(activation.shape)} into {list(after.shape)} at {entry.site.name}"
            )
        if measured:
            entry.add(activation, after)
        entry.fired += 1
        return after

    return change
