"""The circuit of each factor over training: which heads and neurons serve which frequency or representation, since when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from circuits.discovery.checkpoints import at, checkpoints, positions_of
from circuits.discovery.discover import known_kinds
from circuits.discovery.nodes import NodeGraph, graph_of
from circuits.engine.budget import DEFAULT_BYTES, slices
from circuits.engine.components import Components, Kind, find_components
from circuits.engine.evaluation import Evaluation, make_evaluation, outputs_of
from circuits.factor_units.circuits_result import FactorCircuits
from circuits.factor_units.contributions import Contributions
from circuits.factor_units.coordinates import Coordinates
from circuits.factor_units.effects import UnitEffects, ablation_effects, linear_effects
from circuits.factor_units.fracture import centred
from circuits.interventions.values import DEFAULT
from circuits.weight_sweeps.factor_measures import Meter
from circuits.weight_sweeps.network_sweep import MAX_EXAMPLES, examples_of
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp.errors import InterpError, MissingCapability, UnknownName, unknown
from interp.hooked.base import HookedModel
from interp.sites import hidden_sites
from interp.subject import Subject, as_subject


@with_bar
@torch.no_grad()
def factor_circuits(
    subject: Subject | HookedModel,
    *,
    factors: Sequence[str | int] | str | int | None = None,
    kinds: Kind | Sequence[Kind] = ("heads", "neurons"),
    every: int = 1,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
    progress: Callable[[int, int], None] | bool | None = None,
) -> FactorCircuits:
    """Which heads and neurons serve which frequency, representation or other factor of a task, and since which step.

    At every checkpoint each component is mean-ablated, one at a time, and the power of the outputs in each factor measured:
    of the part that has the factor in every argument, as `fracture` defines it. A component's *worth* to a factor is the share
    of the variance of the outputs that is lost with it; it is in use from where it is worth at least half of what it is worth
    at the end. The worth, not the drop, decides since when: where a factor has next to no power yet, shares of it are noise.

    Neurons of a last hidden layer with nothing but a matrix behind it need no runs; elsewhere the network runs once per
    component, many at once. Misleads where components back each other up: each is ablated by itself. And a logit scale that
    still grows is divided out, since all powers are shares of the outputs' variance.

    Args:
        subject: with a task; a series of checkpoints, or a single network.
        factors: by name (frequencies are numbers); by default those that the last checkpoint works with.
        kinds: of components.
        every: only every n-th checkpoint, counting from the first, and the last.
        dtype: the models run in this, the subject's precision (float64) by default.
        max_bytes: working memory in addition to the captured activations.
        progress: called with (checkpoints done, checkpoints in all).

    Returns:
        `FactorCircuits`: ``.effects`` at every checkpoint, ``.since`` by factor and component, ``.matrix()`` at the end. One
        checkpoint is open at a time.

    Raises:
        MissingCapability: no task, or no factor stands out in the last checkpoint and none is named.
        UnknownName: a factor or a kind that does not exist; the nearest are named.
        InterpError: a network without such components.

    >>> import interp
    >>> model = interp.HookedMLP(interp.MLPConfig((6,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    >>> found = factor_circuits(interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model)), factors=[1, 2])
    >>> found.matrix().shape
    (6, 2)
    """
    subject = as_subject(subject)
    task, kinds = subject.require_task(), known_kinds(kinds)
    inputs, notes = examples_of(task, MAX_EXAMPLES)
    alone = subject.series is None or len(subject.series) < 2
    total = 1 if alone else len(positions_of(subject, every))
    last = at(subject, -1)
    clean = _clean(_evaluation(last, inputs, dtype))
    meter = Meter.of(last.cast(dtype), clean)
    coordinates = Coordinates.of(meter.factors, *clean.shape)
    chosen = _chosen(meter, factors)
    frames, seen = [], told("checkpoints", progress)
    for one in [last] if alone else checkpoints(subject, every):
        evaluation = _evaluation(one, inputs, dtype)
        outputs = centred(_clean(evaluation), meter)
        variance = float((outputs - outputs.mean(0)).square().sum())
        for components in _components(evaluation, kinds):
            effects = _effects(one.cast(dtype), evaluation, components, outputs, coordinates, meter, max_bytes)
            frames += [_frame(one, components, effects, meter, k, variance) for k in chosen]
        seen(len({f["step"].iloc[0] for f in frames}), total)
    return FactorCircuits(pd.concat(frames, ignore_index=True), meter.factors.kind, notes)


def _evaluation(one: Subject, inputs: Any, dtype: torch.dtype | None) -> Evaluation:
    return make_evaluation(one, "loss", inputs, dtype=dtype)


def _clean(evaluation: Evaluation) -> Float[Tensor, "n width"]:
    return evaluation.answers.read(outputs_of(evaluation.model, evaluation.inputs).unsqueeze(0))[0].detach()


def _chosen(meter: Meter, given: Sequence[str | int] | str | int | None) -> list[int]:
    """Indices of the factors that are followed."""
    names = list(meter.factors.names)
    if given is None:
        if not meter.keys:
            raise MissingCapability(
                f"no {meter.factors.kind} stands out in the last checkpoint's outputs; name those to follow, "
                f"factors={[*meter.factors.counted_names][:2]}"
            )
        return list(meter.keys)
    asked = [str(g) for g in ([given] if isinstance(given, str | int) else given)]
    for name in asked:
        if name not in names:
            raise UnknownName(unknown(meter.factors.kind, name, names))
    if not asked:
        raise InterpError(f"factors is empty: name at least one {meter.factors.kind}")
    return [names.index(name) for name in asked]


def _components(evaluation: Evaluation, kinds: Sequence[Kind]) -> list[Components]:
    present: list[Kind] = [kind for kind in kinds if evaluation.model.component_sites(kind)]
    if not present:
        raise InterpError(f"a {type(evaluation.model).__name__} of this config has no {' or '.join(kinds)}")
    return [c for kind in present for c in find_components(evaluation, kind)]


def _effects(
    one: Subject, evaluation: Evaluation, components: Components, outputs: Tensor, coordinates: Coordinates, meter: Meter,
    max_bytes: int,
) -> UnitEffects:  # fmt: skip
    """The effects of all components of a site: by algebra where the outputs are linear in single units."""
    site, single = components.site.name, len(components.groups[0]) == 1
    if single and site in hidden_sites(evaluation.model)[-1:]:
        units = Contributions.of(one, evaluation.inputs, site)
        if units.writes is not None and not units.notes and len(units.names) == len(components.labels):
            writes = centred(units.writes, meter)
            return linear_effects(coordinates, outputs, units.moves, writes, coordinates.of_examples(units.moves))
    graph = graph_of(evaluation, [components], DEFAULT, max_bytes)
    return ablation_effects(coordinates, outputs, (centred(y, meter) for y in _ablated(graph)))


def _ablated(graph: NodeGraph) -> Iterator[Float[Tensor, "n width"]]:
    """The outputs without each element in turn, several at once."""
    evaluation, n, dtype = graph.evaluation, len(graph.evaluation.inputs), graph.evaluation.model.dtype
    size = min(n, graph.at_once)
    for part in slices(len(graph), max(1, min(graph.at_once // size, graph.max_bytes // (32 * len(graph))))):
        kept = torch.ones(part.stop - part.start, len(graph), dtype=dtype, device=evaluation.inputs.device)
        kept[torch.arange(len(kept)), torch.arange(part.start, part.stop)] = 0
        yield from torch.cat([evaluation.answers.read(graph.outputs(kept, rows)) for rows in slices(n, size)], 1)


def _frame(
    one: Subject, components: Components, effects: UnitEffects, meter: Meter, factor: int, variance: float
) -> pd.DataFrame:
    share = float(effects.power[factor]) / variance if variance else 0.0
    drop = torch.nan_to_num(effects.drop[:, factor]).cpu().numpy()
    return pd.DataFrame({
        "step": one.step, "factor": meter.factors.names[factor], "component": list(components.labels),
        "site": components.site.name, "power_share": share, "drop": drop, "worth": share * drop,
    })  # fmt: skip
