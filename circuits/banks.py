"""Banks: what the ablation of each component of a site adds, and where it arrives, computed once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuits.apply import applied
from circuits.features import Features
from circuits.interventions import Intervention
from circuits.trials import Trial
from circuits.values import Value
from interp.activations import capture
from interp.errors import InterpError
from probes.basis import Basis

if TYPE_CHECKING:
    from circuits.effects import Components

BATCH = 4096


@dataclass(frozen=True)
class Bank:
    """Directions at a site, ready to be ablated in groups of equal size.

    Attributes:
        stream: the site where the changes arrive, and ``clean`` its activation for all inputs.
        moves: what an ablation adds to each coordinate.
        rows: along what each coordinate writes into the stream.
        groups: which directions go together.
    """

    stream: str
    clean: Float[Tensor, "inputs ... d"]
    moves: Float[Tensor, "inputs ... directions"]
    rows: Float[Tensor, "directions d"]
    groups: Int[Tensor, "groups size"]


def make_bank(trial: Trial, components: Components, value: Value, held: Sequence[Intervention] = ()) -> Bank:
    """Capture a site for all inputs and prepare directions of it.

    Raises:
        InterpError: the site's activation, or the value, does not fit.
    """
    reader, site = trial.model, components.site
    stream, matrix = reader.writes(site.name)
    features = Features(reader.axes_of(site.name))
    check_value(value)
    value = settle(trial, value, site.name, components.basis)
    with applied(reader, held, strict=False):
        acts = capture(reader, trial.inputs, {site.name, stream}, batch_size=BATCH)
    coordinates = _coordinates(features.last(acts[site.name]), components.basis)
    if value.needs_all_positions and reader is not trial.whole:
        with applied(trial.whole, held, strict=False):
            everywhere = capture(trial.whole, trial.inputs, site.name, batch_size=BATCH)[site.name]
        replacement = _replacement(everywhere, features, components.basis, value)
        if "pos" in features.axes and replacement.shape[1] != coordinates.shape[1]:
            assert trial.task is not None
            assert trial.task.readout is not None
            replacement = replacement[:, [trial.task.readout]]
    else:
        replacement = _replacement(acts[site.name], features, components.basis, value)
    rows = matrix if matrix is not None else torch.eye(acts[stream].shape[-1], dtype=acts[stream].dtype)
    rows = rows.detach().to(acts[stream])
    if components.basis is not None:
        rows = components.basis.directions.to(rows) @ rows
    moves = replacement - coordinates
    mask = site.mask(moves.shape, features.flat_axes, moves.device)
    moves = moves if mask is None else moves * mask
    return Bank(stream, acts[stream], moves, rows, torch.as_tensor(components.groups, device=rows.device))


def check_value(value: Value) -> None:
    """Refuse a value that averages over what components are told apart by."""
    averaged = {"unit", "head"} & set(getattr(value, "over", ()))
    if averaged:
        raise InterpError(f"{value} averages over {', '.join(averaged)}, which components are told apart by")


def settle(trial: Trial, value: Value, site: str, basis: Basis | None) -> Value:
    """A value of a reference set as a constant; others as they are."""
    value = value.bound(trial.task)
    if value.inputs is None:
        return value
    model = trial.whole if value.needs_all_positions else trial.model
    reference = capture(model, value.inputs, site, batch_size=BATCH)[site]
    axes = model.axes_of(site)
    if basis is None:
        return value.settled(reference, axes)
    features = Features(axes)
    return value.settled(basis.coordinates(features.last(reference)), features.flat_axes)


def _coordinates(features: Tensor, basis: Basis | None) -> Tensor:
    if basis is None:
        return features
    if basis.dim != features.shape[-1]:
        raise InterpError(f"{basis} has {basis.dim} dimensions, the site's features are {features.shape[-1]}")
    return basis.coordinates(features)


def _replacement(activation: Tensor, features: Features, basis: Basis | None, value: Value) -> Tensor:
    if basis is None:
        return features.last(value.of(activation, features.axes).expand_as(activation))
    coordinates = _coordinates(features.last(activation), basis)
    return value.of(coordinates, features.flat_axes).expand_as(coordinates)
