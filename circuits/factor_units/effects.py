"""What the mean ablation of each unit does to each factor of the outputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.factor_units.coordinates import NONE, Coordinates


@dataclass(frozen=True, eq=False)
class UnitEffects:
    """Effects of the units on the factors of the outputs.

    Attributes:
        power: of the clean outputs by factor: of the part that has this factor in every argument.
        drop: what the ablation of each unit takes of a factor's power, as a share of it.
        amplitude: share of a factor that a unit writes, with its sign; over all units and whatever else reaches the outputs
            it sums to 1 where what follows is linear.
        size: root mean square of what each ablation changes in the outputs.
    """

    power: Float[Tensor, "factor"]
    drop: Float[Tensor, "units factor"]
    amplitude: Float[Tensor, "units factor"]
    size: Float[Tensor, "units"]

    def cpu(self) -> UnitEffects:
        """The same on the CPU."""
        return UnitEffects(self.power.cpu(), self.drop.cpu(), self.amplitude.cpu(), self.size.cpu())


def linear_effects(
    coordinates: Coordinates, outputs: Float[Tensor, "n width"], moves: Float[Tensor, "n units"],
    writes: Float[Tensor, "units width"], added: Float[Tensor, "n units"],
) -> UnitEffects:  # fmt: skip
    """The effects where what follows the units is linear: unit i adds ``moves[:, i]`` times ``writes[i]``.

    Args:
        coordinates: of the factors.
        outputs: clean, centred where the loss does not see the mean.
        moves: activations less their means.
        writes: centred like the outputs.
        added: coordinates of the moves.

    Returns:
        exact effects of all units, without running anything again.
    """
    whole = coordinates.of_outputs(coordinates.of_examples(outputs))
    reached = coordinates.of_outputs(writes)
    n_factors = len(coordinates.factors.names)
    power, (own, inner) = whole.new_zeros(n_factors), whole.new_zeros(2, len(writes), n_factors)
    for k in _present(coordinates):
        rows, columns = coordinates.entries(k)
        part, u, w = whole[rows][:, columns], added[rows], reached[:, columns]
        power[k] = part.square().sum()
        inner[:, k] = ((u.T @ part) * w).sum(1)
        own[:, k] = u.square().sum(0) * w.square().sum(1)
    size = (moves.square().mean(0) * writes.square().mean(1)).sqrt()
    return _effects(power, inner, own, size)


def ablation_effects(
    coordinates: Coordinates, outputs: Float[Tensor, "n width"], ablated: Iterable[Float[Tensor, "n width"]]
) -> UnitEffects:
    """The effects from the outputs after each ablation.

    Args:
        coordinates: of the factors.
        outputs: clean, centred where the loss does not see the mean.
        ablated: outputs with each unit ablated, centred alike.

    Returns:
        the effects of all units.
    """
    whole = coordinates.of_outputs(coordinates.of_examples(outputs))
    n_factors = len(coordinates.factors.names)
    power, inner, own, size = whole.new_zeros(n_factors), [], [], []
    for changed in ablated:
        taken = outputs - changed
        size.append(taken.square().mean().sqrt())
        moved = coordinates.of_outputs(coordinates.of_examples(taken))
        inner.append(whole.new_zeros(n_factors))
        own.append(whole.new_zeros(n_factors))
        for k in _present(coordinates):
            rows, columns = coordinates.entries(k)
            part, gone = whole[rows][:, columns], moved[rows][:, columns]
            power[k] = part.square().sum()
            inner[-1][k], own[-1][k] = (part * gone).sum(), gone.square().sum()
    return _effects(power, torch.stack(inner), torch.stack(own), torch.stack(size))


def _effects(power: Tensor, inner: Tensor, own: Tensor, size: Tensor) -> UnitEffects:
    """From inner products of what a unit adds with a factor of the outputs, and the power of what it adds to it."""
    whole = power.double().where(power > 0, torch.nan)
    amplitude = inner.double() / whole
    return UnitEffects(power.double(), 2 * amplitude - own.double() / whole, amplitude, size.double())


def _present(coordinates: Coordinates) -> list[int]:
    return sorted(set(coordinates.examples.tolist()) - {NONE})
