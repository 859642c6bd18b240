"""What features are worth: the share of the output's variance that is lost without each, beside random directions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from circuits.engine.components import Components
from circuits.engine.effects import measure
from circuits.interventions.values import DEFAULT
from circuits.two_networks.feature_lists import FeatureList
from circuits.two_networks.receiver import Receiver, Rows
from interp.sites import Site
from probes.basis import Basis


def worths(into: Receiver, features: FeatureList) -> list[dict[str, float]]:
    """Scores without each listed feature in turn, mean-ablated; all in one batched call.

    Args:
        into: the site.
        features: of it.

    Returns:
        ``loss, accuracy`` on judged inputs, and ``lost``: the share of the output's variance over all inputs that it costs.
    """
    if not features.listed:
        return []
    if features.directions is None:
        return into.side.scores(into.measured([features.without([i]) for i in features.listed]))
    basis = Basis(features.directions[list(features.listed)])
    return _ablated(into, basis)


def random_worths(into: Receiver, features: FeatureList, draws: int, seed: int) -> list[float]:
    """The shares of the output's variance that random directions cost, or random functions of the inputs.

    Args:
        into: the site.
        features: to compare with.
        draws: at most so many; orthogonal to each other, so that there are no more than the site has features.
        seed: of the draws.

    Returns:
        one share each.
    """
    n, d = features.rows.shape
    if features.directions is not None:
        return [s["lost"] for s in _ablated(into, Basis.random(min(draws, d), d, seed))]
    if not features.rank:
        return []
    generator, changes = torch.Generator().manual_seed(seed), []
    whole = features.rows + features.mean
    for _ in range(draws):
        noise = torch.randn(n, features.rank, generator=generator, dtype=torch.float64).to(features.rows)
        modes = torch.linalg.qr(noise - noise.mean(0)).Q
        changes.append(_difference(whole, modes @ (modes.T @ features.rows)))
    return [s["lost"] for s in into.side.scores(into.measured(changes))]


def _difference(whole: Tensor, lost: Tensor) -> Rows:
    return lambda part: whole[part] - lost[part]


def _ablated(into: Receiver, basis: Basis) -> list[dict[str, float]]:
    evaluation, task = into.side.evaluation, into.side.subject.task
    read = task.readout if task is not None and "pos" in evaluation.model.axes_of(into.site) else None
    groups: Sequence[Sequence[int]] = [[i] for i in range(len(basis))]
    components = Components(Site(into.site, pos=read), basis, groups, basis.names)
    return into.side.scores(measure(evaluation, components, DEFAULT))
