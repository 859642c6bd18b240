"""The third route of `effects`: the network's own forward pass, on a batch tiled by components.

What a wrapped module had finished when the site fired is not computed again (`interp.hooked.foreign.replay`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from circuits.engine.algebra import averaged, check_value, coordinates_of, settle
from circuits.engine.components import Components, located
from circuits.engine.evaluation import Evaluation
from circuits.interventions.apply import applied
from circuits.interventions.kinds import Intervention
from circuits.interventions.layout import Features
from circuits.interventions.values import Value
from interp.activations.transform import transform_at
from interp.hooked.foreign.several import tiled_inputs
from interp.hooked.foreign.suffix import suffix_from

WORTH_IT = 4  # groups for which one more forward pass, up to the site, pays
Piece = tuple[slice, slice, Tensor]  # groups, inputs, values [groups, inputs, metrics]


def tiled(
    evaluation: Evaluation, components: Components, value: Value, held: Sequence[Intervention], n_groups: int
) -> Iterator[Piece]:
    """Ablate ``n_groups`` groups at a time, all inputs at once, with one hook that ablates in each tile its own group.

    A hook point that fires several times is ablated every time, after the earlier ablations. All inputs run in one batch,
    since a value may be made of the whole batch. What a wrapped module has finished before the site runs once, and where it
    does not treat examples one by one, one group runs at a time.

    Args:
        evaluation: network, inputs and metrics.
        components: of one site.
        value: what replaces each group.
        held: interventions that are in place meanwhile.
        n_groups: how many groups run at once.

    Yields:
        groups, inputs, and the metrics' values.
    """
    check_value(value)
    model, name = evaluation.model, components.site.name
    value = settle(evaluation, value, components.site, components.basis)
    features, basis = Features(model.axes_of(name)), components.basis
    groups = torch.as_tensor(components.groups, device=evaluation.inputs.device)
    n, where = len(evaluation.inputs), located(evaluation, components.site)

    def ablated(activation: Tensor, chosen: Tensor) -> Tensor:
        """One network's activation, its batch first ``[n, ...]``, with the chosen features or directions replaced."""
        activation = activation.movedim(0, batch)
        flat = features.last(activation)
        coordinates = coordinates_of(flat, basis)
        if basis is None:
            made_of = averaged(value, components.site, activation, features.axes)
            put = features.last(value.of(activation, features.axes, made_of).expand_as(activation))
        else:
            made_of = averaged(value, components.site, coordinates, features.flat_axes)
            put = value.of(coordinates, features.flat_axes, made_of).expand_as(coordinates)
        mask = where.mask(flat.shape, features.flat_axes, flat.device)
        chosen = chosen if mask is None else chosen & mask
        if basis is None:
            replaced = torch.where(chosen, put, flat)
        else:
            moved = torch.where(chosen, put - coordinates, torch.zeros_like(coordinates))
            replaced = flat + moved @ basis.directions.to(flat)
        return features.back(replaced, activation.shape).movedim(batch, 0)

    batch = features.axes.index("batch")
    if not evaluation.alone:
        n_groups = 1  # copies of the batch would change each other
    with applied(model, held, strict=False, measured=False):
        rest = suffix_from(model, name, evaluation.inputs) if len(groups) >= WORTH_IT and evaluation.alone else None
    for start in range(0, len(groups), n_groups):
        part = groups[start : start + n_groups]

        def change(output: Tensor, part: Tensor = part) -> Tensor:
            tiles = output.movedim(batch, 0).unflatten(0, (len(part), n))
            width = basis.directions.shape[0] if basis is not None else features.last(output[:1]).shape[-1]
            chosen = torch.zeros(len(part), width, dtype=torch.bool, device=output.device).scatter_(1, part, True)
            # vmap, since a value may be made of one network's whole batch; a permutation is the same for all
            after = torch.vmap(ablated, randomness="same")(tiles, chosen)
            return after.flatten(0, 1).movedim(0, batch)

        copies = tiled_inputs(evaluation.inputs, len(part))
        spared = nullcontext() if rest is None else rest.copies(len(part))
        with applied(model, held, strict=False, measured=False), transform_at(model, {name: change}), spared:
            outputs = model(copies)
        rows = slice(start, start + len(part))
        yield rows, slice(0, n), evaluation.judge(outputs.unflatten(0, (len(part), n)))
