"""`applied`: the context manager that runs a network with interventions in place.

1. Sites are resolved before anything is installed, so a wrong name leaves the model as it was.
2. Values made of a reference set are computed before anything is installed, hence in the unchanged network.
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
from typing_extensions import override

from circuits.interventions.base import Intervention, Replacing
from circuits.interventions.kinds import Freeze
from interp.activations.batches import fitting
from interp.activations.capture import capture
from interp.activations.transform import transform_at
from interp.errors import InterpError, kind_of
from interp.hooked.base import HookedModel
from interp.hooked.coerce import as_model
from interp.hooked.foreign.several import InputsLike
from interp.sites import Site, SitePattern, resolve_sites
from interp.subject import Subject
from interp.tasks import Task


class NoEffect(InterpError):
    """An intervention that never fired, or fired and changed nothing."""


@dataclass
class Entry:
    """What one intervention did at one hook point.

    Attributes:
        intervention: the intervention.
        site: where, with the exact name of the hook point.
        fired: how often an activation passed the hook point.
    """

    intervention: Intervention
    site: Site
    fired: int = 0
    _moved: Tensor | None = field(default=None, repr=False)
    _size: Tensor | None = field(default=None, repr=False)

    def add(self, before: Tensor, after: Tensor) -> None:
        """Count the change of one activation."""
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
    """The entries of an `applied` block, in the order of the interventions.

    Args:
        entries: one per intervention and hook point.
    """

    def __init__(self, entries: list[Entry]):
        self.entries = entries

    @override
    def __getitem__(self, index: Any) -> Any:
        return self.entries[index]

    @override
    def __len__(self) -> int:
        return len(self.entries)

    @override
    def __repr__(self) -> str:
        return "\n".join(
            f"{e.intervention} at {e.site.name}: fired {e.fired} times, moved {e.relative_change:.3%}"
            for e in self.entries
        )

    def check(self) -> None:
        """Refuse interventions without an effect.

        Raises:
            NoEffect: an intervention never fired, or fired and changed nothing although it is not a `Freeze`.
        """
        for entry in self.entries:
            if entry.fired == 0:
                raise NoEffect(
                    f"{entry.intervention} never fired: {entry.site.name} was not reached by any forward pass of this thread"
                )
            if entry.change == 0.0 and not entry.intervention.idle:
                raise NoEffect(
                    f"{entry.intervention} fired {entry.fired} times and changed nothing; pass strict=False if that is intended"
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
        model: a hooked model, or a `Subject`, whose task also supplies ``Mean(reference="train")``.
        interventions: one or several; a glob on a site applies at every hook point that it matches.
        strict: raise when the block ends if an intervention never fired or changed nothing.
        measured: measure how far each activation moves, which takes float64 passes over it. With neither this nor
            ``strict`` the record counts only how often each intervention fired.

    Yields:
        a `Record`: per intervention, how often it fired and how far it moved the activation.

    Raises:
        UnknownSite: a site that matches no hook point; nothing is installed then.
        NoEffect: with ``strict``, after the block.
        InterpError: an argument of the wrong kind, or an intervention whose value does not fit the activation.

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
            raise InterpError(f"an intervention is needed, such as circuits.Ablate(site), got {kind_of(one)}")


def settled(
    model: HookedModel, interventions: Sequence[Intervention], task: Task | None = None
) -> list[tuple[Intervention, Site]]:
    """Every intervention at every hook point that its site names, with its reference set's mean as a constant.

    Args:
        model: the model, without the interventions.
        interventions: one or several.
        task: supplies the reference sets that are given by name.

    Returns:
        pairs of an intervention and its exact site.

    Raises:
        UnknownSite: a site that matches no hook point.
        InterpError: a reference set by name without a task, or one that the model cannot run on.
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


def freeze(model: HookedModel | Subject, inputs: InputsLike, sites: SitePattern) -> list[Freeze]:
    """Interventions that hold sites at their activations in the unchanged run on ``inputs``.

    Freeze attention patterns or LayerNorm scales to separate what an ablation does through them from the rest.

    Args:
        model: a hooked model, or a `Subject`.
        inputs: ``[batch, ...]``, the inputs that the frozen model will run on.
        sites: names, globs, or `Site`s; a site with ``pos``, ``head`` or ``unit`` freezes only that part.

    Returns:
        a `Freeze` per hook point, for `applied`.

    Raises:
        UnknownSite: a site that the model does not have.
        InterpError: an argument of the wrong kind, inputs that the model cannot run on, or a hook point that fires several
            times in a forward pass.

    >>> import torch
    >>> from interp import HookedMLP, MLPConfig
    >>> from circuits import Ablate, Zero
    >>> model, x = HookedMLP(MLPConfig((4, 4), 3, d_in=2)).init_weights(seed=0), torch.ones(1, 2)
    >>> with applied(model, [Ablate("layers.0.hook_post", Zero()), *freeze(model, x, "layers.1.hook_pre")]):
    ...     frozen = model(x)
    >>> bool(torch.equal(frozen, model(x)))
    True
    """
    network = as_model(model)
    found = resolve_sites(network, sites)
    acts = capture(network, inputs, {site.name for site in found})
    for site in found:
        if acts[site.name].ndim > len(network.axes_of(site.name)):
            raise InterpError(f"{site.name} fires several times in a forward pass, so no one activation freezes it")
    return [Freeze(site, acts[site.name]) for site in found]


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
