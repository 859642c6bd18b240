"""What each unit of a site adds to the outputs, over all examples: what its mean ablation takes away."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.interventions.apply import applied
from circuits.interventions.kinds import Ablate
from circuits.interventions.values import Fixed
from interp.activations.batches import batches, placed
from interp.activations.capture import capture
from interp.errors import InterpError, MissingCapability, UnknownSite
from interp.hooked.base import HookedModel
from interp.hooked.rest import NormedRest
from interp.sites import Site, hidden_sites, resolve_sites
from interp.subject import Subject, at_readout
from interp.tasks import Task

BATCH = 4096


@dataclass(frozen=True, eq=False)
class Contributions:
    """The outputs of a network, and the units of one site.

    Attributes:
        site: name of the hook point.
        names: of its units.
        outputs: of the unchanged network.
        activations: of the units at the readout.
        moves: activations minus their means, over the scale of a LayerNorm behind the site where there is one.
        writes: what a unit of activation adds to the outputs; None where what follows the site is not linear.
        heads: number of heads that the units belong to; 1 where there are none.
        notes: what a reader must know.
    """

    site: str
    names: tuple[str, ...]
    outputs: Float[Tensor, "n width"]
    activations: Float[Tensor, "n units"]
    moves: Float[Tensor, "n units"]
    writes: Float[Tensor, "units width"] | None
    heads: int = 1
    notes: tuple[str, ...] = ()

    @classmethod
    @torch.no_grad()
    def of(cls, subject: Subject, inputs: Tensor, site: str | Site | None = None) -> Contributions:
        """The units of a site.

        Args:
            subject: with a task, in the precision in which it is run.
            inputs: all examples.
            site: a hook point of units; by default that of the last hidden layer.

        Returns:
            activations and outputs at every example.

        Raises:
            MissingCapability: no hidden layer is known, or the site has no units.
            InterpError: several sites, or a part of a site.
        """
        task = subject.require_task()
        reader = at_readout(subject.model, task)
        name = unit_site(reader, site)
        arrival = _arrival(reader, name)
        names = {name} if arrival is None else {name, arrival[0]}
        acts = capture(reader, inputs, names, batch_size=BATCH, outputs=task.read)
        assert acts.outputs is not None
        values = _read(acts[name], reader.axes_of(name), task)
        heads, labels = _names(values)
        values = values.flatten(1)
        moves, notes = values - values.mean(0), ()
        rest = None if arrival is None else reader.linear_rest(arrival[0])
        writes = None if rest is None else _written(arrival, rest, moves)
        if isinstance(rest, NormedRest) and arrival is not None:
            stream = _read(acts[arrival[0]], reader.axes_of(arrival[0]), task)
            moves = moves / (stream.var(1, correction=0, keepdim=True) + rest.eps).sqrt()
            notes = ("The scale of the last LayerNorm is held at its clean value.",)
        writes = None if writes is None else writes[:, : acts.outputs.shape[1]]
        return cls(name, labels, acts.outputs, values, moves, writes, heads, notes)


def unit_site(model: HookedModel, site: str | Site | None) -> str:
    """The hook point whose units are meant.

    Args:
        model: of the network.
        site: its name; None: the last hidden layer's.

    Returns:
        the exact name.

    Raises:
        MissingCapability: no hidden layer is known, or the site has no units.
        InterpError: several sites, or a part of a site.
    """
    if site is None:
        known = [] if model.config.kind == "wrapped" else hidden_sites(model)
        if not known:
            raise MissingCapability(
                "needs to know the last hidden layer: name a site of units, circuits.fracture(subject, site)"
            )
        site = known[-1]
    found = resolve_sites(model, site)
    if len(found) > 1:
        raise InterpError(f"one site is needed, {site!r} names {len(found)}: {', '.join(map(str, found[:3]))}, ...")
    if found[0] != Site(found[0].name):
        raise InterpError(f"all units of a site are measured at the readout: give its name alone, got {found[0]}")
    axes = model.axes_of(found[0].name)
    if axes[:1] != ("batch",) or axes[-1] != "unit" or set(axes) - {"batch", "pos", "head", "unit"}:
        raise MissingCapability(
            f"{found[0].name} has the axes {', '.join(axes)}; a site of units has batch, (pos, head,) unit"
        )
    return found[0].name


def ablated_outputs(
    subject: Subject, inputs: Tensor, contributions: Contributions
) -> Iterator[Float[Tensor, "n width"]]:
    """The outputs with each unit in turn at its mean over the examples, at every position; the network runs again for each.

    Args:
        subject: with a task.
        inputs: all examples.
        contributions: of the site.

    Yields:
        what the task reads of the outputs, unit by unit.
    """
    task = subject.require_task()
    model, name = at_readout(subject.model, task), contributions.site
    means = Fixed(capture(model, inputs, name, batch_size=BATCH)[name].mean(0, keepdim=True))
    per_head = len(contributions.names) // contributions.heads
    for i in range(len(contributions.names)):
        head = i // per_head if "head" in model.axes_of(name) else None
        ablation = Ablate(Site(name, head=head, unit=i % per_head), means)
        with torch.no_grad(), applied(model, ablation, strict=False, measured=False):
            outputs = torch.cat([task.read(model(placed(part, model))) for part in batches(inputs, BATCH)])
        yield outputs  # without hooks, and with gradients as whoever asks has them


def _arrival(model: HookedModel, site: str) -> tuple[str, Tensor | None] | None:
    try:
        return model.writes(site)
    except UnknownSite:
        return None


def _read(values: Tensor, axes: tuple[str, ...], task: Task) -> Tensor:
    """A site's activations at the readout, ``[n, (head,) unit]``."""
    if "pos" not in axes:
        return values
    at = axes.index("pos")
    return values.select(at, 0 if values.shape[at] == 1 or task.readout is None else task.readout)


def _names(values: Tensor) -> tuple[int, tuple[str, ...]]:
    """Number of heads, and the name of every unit."""
    if values.ndim == 2:
        return 1, tuple(f"unit {u}" for u in range(values.shape[1]))
    heads, units = values.shape[1:]
    return heads, tuple(f"head {h} unit {u}" for h in range(heads) for u in range(units))


def _written(arrival: tuple[str, Tensor | None] | None, rest: Tensor | NormedRest, moves: Tensor) -> Tensor:
    assert arrival is not None
    matrix = arrival[1]
    rows = torch.eye(moves.shape[1], dtype=moves.dtype, device=moves.device) if matrix is None else matrix.detach()
    if isinstance(rest, NormedRest):
        return ((rows - rows.mean(1, keepdim=True)) @ rest.matrix).detach()
    return (rows @ rest).detach()
