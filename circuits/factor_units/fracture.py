"""Fracture: which units carry each factor of a task, in how many groups, and how many factors each unit carries."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.factor_units import effects
from circuits.factor_units.contributions import Contributions, ablated_outputs
from circuits.factor_units.coordinates import Coordinates
from circuits.factor_units.effects import UnitEffects
from circuits.factor_units.fracture_result import Fracture
from circuits.factor_units.groups import Writing, inner_products
from circuits.weight_sweeps.factor_measures import Meter
from circuits.weight_sweeps.network_sweep import MAX_EXAMPLES, examples_of
from circuits.weight_sweeps.output_change import OutputChange
from interp.errors import MissingCapability
from interp.hooked.base import HookedModel
from interp.sites import Site
from interp.subject import Subject, as_subject
from probes.neurons import active

CARRIED = 0.95  # share of a factor's drops that its carriers make together
MOVES = 0.01  # of the largest effect on the outputs: a unit whose effect is smaller carries nothing


@torch.no_grad()
def fracture(
    subject: Subject | HookedModel, site: str | Site | None = None, *, max_runs: int | None = None
) -> Fracture:
    """Which units carry each factor of a task, in how many groups, and how many factors each unit carries.

    In a unified factored representation (UFR) a unit carries one factor, and a factor is made once; in a fractured entangled
    one (FER) a unit carries a little of every factor, and disconnected groups of units make the same factor again (Kumar et
    al. 2025, Questioning Representational Optimism in Deep Learning, https://arxiv.org/abs/2505.11581).

    - **A unit's factors**: exp of the entropy of its activation's power over `Task.factors` (the mean over the arguments of
      the task, constants left out).
    - **A factor's units**: exp of the entropy of what the mean ablation of each unit takes of the factor's power in the
      outputs (of the part that has this factor in every argument). Its *carriers* are the fewest units that make up 95% of it.
    - **Groups**: disjoint sets of a factor's carriers that each still make the factor when all its other carriers are
      ablated: the factor's share of all that the group writes (its *purity*) is at most 0.05 below that of all
      carriers together. So units whose unwanted outputs cancel only together are in one group. Sets that compute the same at
      other phases are joined: they are one circuit, where copies of one, whose units write the same (cosine of at least
      0.995), are several groups. The factor is *entangled*, in 0 groups, where less than half of what its carriers write is
      this factor.

    Where everything behind the site is linear, all ablations follow from the activations and nothing runs again; elsewhere
    the network runs once per unit, and groups are not sought.

    The number of groups misleads in three ways. It is found greedily, so it is a lower bound. Where units are so many that
    their phases are nearly the same, one circuit counts as several copies, since behind a linear readout nothing tells the
    two apart; how many sets stand alone (``sets``) grows with the number of units in any case. And units that make a factor
    on one half of the inputs each are one group, since neither half makes the factor.
    A unit's factors mislead at a sharp nonlinearity: harmonics of a frequency count, though the outputs do not use them;
    `Fracture.units` has the key factors that each unit carries beside them.

    Args:
        subject: with a task.
        site: a hook point of units, measured at the readout; by default that of the last hidden layer.
        max_runs: refuse where more examples than this would be run, one pass over all for each unit; by default any number.

    Returns:
        tables of units, of key factors and of groups, and both matrices, unit by factor.

    Raises:
        MissingCapability: no task or no hidden layer is known, the site has no units, or more than ``max_runs``.
        InterpError: several sites, a part of a site, or hooks on the model.

    >>> import interp, circuits
    >>> model = interp.HookedMLP(interp.MLPConfig((8,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    >>> found = circuits.fracture(interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model)))
    >>> found.power.shape, found.effects.drop.shape  # units, and frequencies 0, 1 and 2
    (torch.Size([8, 3]), torch.Size([8, 3]))
    """
    subject = as_subject(subject).cast()
    task = subject.require_task()
    subject.refuse_hooks()
    inputs, notes = examples_of(task, MAX_EXAMPLES)
    units = Contributions.of(subject, inputs, site)
    if units.writes is None and max_runs is not None and (needed := len(inputs) * len(units.names)) > max_runs:
        raise MissingCapability(
            f"what follows {units.site} is not linear, so {needed:,} examples would be run: circuits.fracture(subject) does so"
        )
    meter = Meter.of(subject, units.outputs)
    outputs = centred(units.outputs, meter)
    coordinates = Coordinates.of(meter.factors, *outputs.shape)
    added = coordinates.of_examples(units.moves)
    power = coordinates.power(added) * active(units.activations).unsqueeze(1)
    found, writes = _effects(subject, inputs, units, outputs, coordinates, meter, added)
    carriers = {k: carriers_of(found.drop[:, k]) for k in meter.keys}
    writing = None if writes is None else {
        k: _writing(found, coordinates, units.moves, writes, added, k, list(own)) for k, own in carriers.items()
    }  # fmt: skip
    return Fracture(
        subject, units.site, units.names, meter.factors, meter.keys, power.cpu(), found,
        found.size > MOVES * found.size.amax(), carriers, writing, (*notes, *units.notes),
    )  # fmt: skip


def carriers_of(drop: Float[Tensor, "units"], share: float = CARRIED) -> tuple[int, ...]:
    """The fewest units that make up a share of a factor's drops.

    Args:
        drop: of the factor's power when each unit is ablated; what is negative counts as none.
        share: of the sum of all drops.

    Returns:
        units in ascending order.

    >>> carriers_of(torch.tensor([0.02, 0.5, -0.3, 0.48]))
    (1, 3)
    """
    positive = torch.nan_to_num(drop).clamp_min(0).double()
    order = positive.argsort(descending=True, stable=True)
    before = positive[order].cumsum(0) - positive[order]
    chosen = order[(before < share * positive.sum() * (1 - 1e-12)) & (positive[order] > 0)]
    return tuple(sorted(chosen.tolist()))


def centred(outputs: Tensor, meter: Meter) -> Tensor:
    """Outputs without their mean over the answers, where the loss does not see it."""
    return OutputChange(outputs).centred().left if meter.centre else outputs


def _effects(
    subject: Subject, inputs: Tensor, units: Contributions, outputs: Tensor, coordinates: Coordinates, meter: Meter,
    added: Tensor,
) -> tuple[UnitEffects, Tensor | None]:  # fmt: skip
    """The effects of all units, and what they write where that is linear."""
    if units.writes is None:
        ablated = (centred(y, meter) for y in ablated_outputs(subject, inputs, units))
        return effects.ablation_effects(coordinates, outputs, ablated).cpu(), None
    writes = centred(units.writes, meter)
    return effects.linear_effects(coordinates, outputs, units.moves, writes, added).cpu(), writes


def _writing(
    found: UnitEffects,
    coordinates: Coordinates,
    moves: Tensor,
    writes: Tensor,
    added: Tensor,
    factor: int,
    own: list[int],
) -> Writing:
    """What the carriers of one factor write."""
    inner = inner_products(moves[:, own], writes[own]).cpu() / found.power[factor]
    spectra = coordinates.power_by_block(added[:, own]) * writes[own].double().square().sum(1, keepdim=True)
    return Writing(found.amplitude[own, factor], inner, spectra.cpu())
