"""Preparation of an ablation: what removing each component adds, and where it arrives, computed once for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuits.engine.budget import BATCH
from circuits.engine.components import Components, located
from circuits.engine.evaluation import Evaluation
from circuits.engine.token_directions import token_coordinates, token_rows
from circuits.interventions.apply import applied
from circuits.interventions.counterfactual import Counterfactual, paired
from circuits.interventions.kinds import Intervention
from circuits.interventions.layout import Features
from circuits.interventions.values import Value
from interp.activations.batches import fitting
from interp.activations.capture import capture
from interp.errors import InterpError
from interp.hooked.foreign.several import form_of
from interp.sites import Site
from probes.basis import Basis


@dataclass(frozen=True)
class Prepared:
    """Directions at a site, ready to be ablated in groups of equal size.

    Attributes:
        stream: the site where the changes arrive.
        clean: its activation for all inputs.
        moves: what an ablation adds to each coordinate.
        rows: what a unit of each coordinate writes into the stream.
        groups: which directions are ablated together.
    """

    stream: str
    clean: Float[Tensor, "inputs ... d"]
    moves: Float[Tensor, "inputs ... directions"]
    rows: Float[Tensor, "directions d"]
    groups: Int[Tensor, "groups size"]


def prepare_ablation(
    evaluation: Evaluation, components: Components, value: Value, held: Sequence[Intervention] = ()
) -> Prepared:
    """Capture a site for all inputs and prepare its directions.

    Args:
        evaluation: network and inputs.
        components: which directions of the site.
        value: what replaces each of them.
        held: interventions that are in place meanwhile.

    Returns:
        the directions, ready to be ablated.

    Raises:
        InterpError: the site's activation, or the value, does not fit.
    """
    reader, site = evaluation.model, components.site
    arrival = evaluation.arrival(site.name)
    assert arrival is not None  # the caller has asked
    stream, matrix = arrival
    features = Features(reader.axes_of(site.name))
    check_value(value)
    with applied(reader, held, strict=False, measured=False):
        acts = capture(reader, evaluation.inputs, {site.name, stream}, batch_size=BATCH)
    by_token = token_rows(evaluation, components, acts[site.name].shape[-1])
    if by_token is not None:
        return _prepared_by_token(evaluation, components, value, stream, acts[stream], by_token)
    value = settle(evaluation, value, site, components.basis)
    coordinates = coordinates_of(features.last(acts[site.name]), components.basis)
    if value.needs_all_positions and reader is not evaluation.whole:
        with applied(evaluation.whole, held, strict=False, measured=False):
            everywhere = capture(evaluation.whole, evaluation.inputs, site.name, batch_size=BATCH)[site.name]
        replacement = _replacement(everywhere, features, components, value)
        if "pos" in features.axes and replacement.shape[1] != coordinates.shape[1]:
            assert evaluation.task is not None
            assert evaluation.task.readout is not None
            replacement = replacement[:, [evaluation.task.readout]]
    else:
        replacement = _replacement(acts[site.name], features, components, value)
    rows = matrix if matrix is not None else torch.eye(acts[stream].shape[-1], dtype=acts[stream].dtype)
    rows = rows.detach().to(acts[stream])
    if components.basis is not None:
        rows = components.basis.directions.to(rows) @ rows
    moves = replacement - coordinates
    mask = located(evaluation, site).mask(moves.shape, features.flat_axes, moves.device)
    moves = moves if mask is None else moves * mask
    return Prepared(stream, acts[stream], moves, rows, torch.as_tensor(components.groups, device=rows.device))


def _prepared_by_token(
    evaluation: Evaluation, components: Components, value: Value, stream: str, clean: Tensor, rows: Tensor
) -> Prepared:
    """The same for directions that are functions of the token: their coordinates follow from the inputs."""
    axes = (*evaluation.model.axes_of(components.site.name)[:-1], "unit")
    coordinates = token_coordinates(evaluation.inputs, components, clean)
    value = value.bound(evaluation.task)
    if value.inputs is not None:
        assert isinstance(value.inputs, Tensor)  # functions of tokens are a transformer's
        reference = token_coordinates(value.inputs, components, clean)
        value = value.settled(reference, axes, averaged(value, components.site, reference, axes))
    mask = components.site.mask(coordinates.shape, axes, coordinates.device)
    moves = value.of(coordinates, axes, mask).expand_as(coordinates) - coordinates
    moves = moves if mask is None else moves * mask
    return Prepared(stream, clean, moves, rows.to(clean), torch.as_tensor(components.groups, device=rows.device))


def check_value(value: Value) -> None:
    """Refuse a value that averages over the axes that distinguish components.

    Args:
        value: what replaces a component.

    Raises:
        InterpError: a mean over units or heads.
    """
    averaged = {"unit", "head"} & set(getattr(value, "over", ()))
    if averaged:
        raise InterpError(
            f"{value} averages over {' and '.join(sorted(averaged))}, so it would be the same for every component"
        )


def averaged(value: Value, site: Site, activation: Tensor, axes: Sequence[str]) -> Tensor | None:
    """Which entries a value is made of: those that the site selects, where it is made of several positions."""
    return site.mask(activation.shape, axes, activation.device) if value.needs_all_positions else None


def settle(evaluation: Evaluation, value: Value, site: Site, basis: Basis | None) -> Value:
    """A value made of a reference set as a constant; other values as they are."""
    value = value.bound(evaluation.task)
    if value.inputs is None:
        return value
    if isinstance(value, Counterfactual):
        paired(value, evaluation.inputs)  # refuses corrupted inputs that are not one for each input
    # unless all positions are computed, a reference of another length is read at its own last one, and would seem to fit
    alike = form_of(value.inputs) == form_of(evaluation.inputs)
    model = evaluation.model if alike and not value.needs_all_positions else evaluation.whole
    with fitting(model, value.inputs, "the reference set"):
        reference = capture(model, value.inputs, site.name, batch_size=BATCH)[site.name]
    axes = model.axes_of(site.name)
    if basis is None:
        return value.settled(reference, axes, averaged(value, site, reference, axes))
    features = Features(axes)
    coordinates = basis.coordinates(features.last(reference))
    return value.settled(coordinates, features.flat_axes, averaged(value, site, coordinates, features.flat_axes))


def coordinates_of(features: Tensor, basis: Basis | None) -> Tensor:
    """Coordinates of features along the directions of a basis.

    Args:
        features: ``[..., feature]``.
        basis: of the feature space; None: the features themselves.

    Returns:
        ``[..., direction]``.

    Raises:
        InterpError: a basis of another dimension.
    """
    if basis is None:
        return features
    if basis.dim != features.shape[-1]:
        raise InterpError(f"{basis} has {basis.dim} dimensions, the site's features are {features.shape[-1]}")
    return basis.coordinates(features)


def _replacement(activation: Tensor, features: Features, components: Components, value: Value) -> Tensor:
    if components.basis is None:
        mask = averaged(value, components.site, activation, features.axes)
        return features.last(value.of(activation, features.axes, mask).expand_as(activation))
    coordinates = coordinates_of(features.last(activation), components.basis)
    mask = averaged(value, components.site, coordinates, features.flat_axes)
    return value.of(coordinates, features.flat_axes, mask).expand_as(coordinates)
