"""Components of a network: what an experiment ablates or keeps, by kind or by direction, and random ones for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import index
from typing import Literal, get_args

import torch
from jaxtyping import Int
from torch import Tensor

from circuits.engine.evaluation import Evaluation
from circuits.interventions.layout import Features
from interp.activations.capture import capture
from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.base import COMPONENTS, HookedModel
from interp.sites import Site, find_axis, resolve_sites
from probes.basis import Basis

Kind = Literal["neurons", "heads", "attention", "mlp"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LETTERS = {"neurons": "N", "heads": "H"}


@dataclass(frozen=True)
class Components:
    """What is ablated: groups of directions of one site, one group at a time.

    Attributes:
        site: a hook point, and the positions where it is ablated, counted in the whole network.
        basis: of the site's features (heads and units flattened); None means its single features.
        groups: which directions are ablated together.
        labels: a name for every group.
    """

    site: Site
    basis: Basis | None
    groups: Int[Tensor, "groups size"] | Sequence[Sequence[int]]
    labels: Sequence[str]


def find_components(
    evaluation: Evaluation,
    kind: Kind | None = None,
    *,
    basis: Basis | None = None,
    site: str | Site | None = None,
    groups: Sequence[Sequence[int]] | None = None,
) -> list[Components]:
    """Everything that is to be ablated: of a kind, of a site, or of a basis.

    Args:
        evaluation: the network.
        kind: of component; neurons by default.
        basis: directions instead of a kind.
        site: where the basis lies, whose features are ablated, or which hook points of the kind.
        groups: indices that are ablated together; one by one by default.

    Returns:
        the components of each hook point, in the model's order.

    Raises:
        UnknownName: no such kind; the nearest are named.
        UnknownSite: a site that the model does not have.
        InterpError: the network has no component of that kind, groups do not fit, or a kind is given with a basis.
    """
    model = evaluation.model
    if basis is not None:
        if kind is not None or site is None:
            raise InterpError("give either a kind, or a basis and the site where its directions lie (site=...)")
        together = _groups(groups, len(basis), "directions")
        labels = [" + ".join(basis.names[i] for i in g) for g in together]
        return [Components(s, basis, together, labels) for s in resolve_sites(model, site)]
    if kind is not None and kind not in KINDS:
        hint = (
            f"; it is a hook point: pass it as site={kind!r}"
            if isinstance(kind, str) and kind in model.hook_dict
            else ""
        )
        raise UnknownName(unknown("kind of component", kind, KINDS) + hint)
    names = model.component_sites(kind or "neurons")
    if not names and (site is None or kind is not None):
        points = ", ".join(list(model.hook_dict)[:3])
        raise InterpError(
            f"a {type(model).__name__} of this config has no {kind or 'neurons'} to ablate; leave out the kind and name hook "
            f"points with site=..., whose units are ablated one by one ({points}, ...)"
        )
    wanted = [Site(n) for n in names] if site is None else resolve_sites(model, site)
    if kind is not None:
        wanted = [s for s in wanted if s.name in names]
        if not wanted:
            raise InterpError(f"there are no {kind} at {site!r}; they are at {', '.join(names)}")
    return [_of_site(evaluation, s, kind or "neurons", names, groups) for s in wanted]


def _of_site(
    evaluation: Evaluation, site: Site, kind: Kind, names: Sequence[str], groups: Sequence[Sequence[int]] | None
) -> Components:
    if site.unit is not None or site.head is not None or site.basis is not None:
        raise InterpError(
            f"{site}: every component of the site is ablated in turn; select only positions, or give groups"
        )
    width, size = widths(evaluation, site.name, kind)
    whole = [list(range(i, i + size)) for i in range(0, width, size)]
    together = whole if groups is None else _groups(groups, width, "features")
    own = site.name in names and site.name.endswith(COMPONENTS[kind])
    layer = names.index(site.name) if own else 0
    if not own:
        base = site.name.removesuffix(".hook_out")
        labels = [f"{base}[{' '.join(map(str, g))}]" for g in together]
    elif kind in LETTERS:
        letter = LETTERS[kind]
        labels = [f"L{layer}{letter}" + "+".join(map(str, g if groups else [i])) for i, g in enumerate(together)]
    else:
        labels = [f"L{layer} {kind}"]
    return Components(site, None, together, labels)


def by_position(
    evaluation: Evaluation, every: Sequence[Components], within: str | Site | None
) -> list[tuple[Components, int]]:
    """Components at one position at a time.

    Args:
        evaluation: the network.
        every: components over whole sites.
        within: a site whose ``pos`` says which positions; all otherwise.

    Returns:
        each with its position, position by position.

    Raises:
        InterpError: a site without positions, or a position outside it.
    """
    asked = within.pos if isinstance(within, Site) else None
    return [
        (replace(c, site=Site(c.site.name, pos=p)), p)
        for c in every
        for p in Site(c.site.name, pos=asked).chosen("pos", _n_positions(evaluation, evaluation.whole, c.site.name))
    ]


def located(evaluation: Evaluation, site: Site) -> Site:
    """A site's positions in the model that runs, which may compute the site only where the task reads the outputs.

    Args:
        evaluation: the network.
        site: positions are counted in the whole network.

    Returns:
        the same site; where only the readout is computed, all of it, or no position if the readout is not chosen: nothing
        else at the site reaches what is judged.

    Raises:
        InterpError: a position outside the site.
    """
    task = evaluation.task
    if site.pos is None or evaluation.model is evaluation.whole or task is None or task.readout is None:
        return site
    length = _n_positions(evaluation, evaluation.whole, site.name)
    if _n_positions(evaluation, evaluation.model, site.name) == length:
        return site
    return replace(site, pos=None if task.readout % length in site.chosen("pos", length) else [])


def _n_positions(evaluation: Evaluation, model: HookedModel, name: str) -> int:
    axis = find_axis("pos", model.axes_of(name), name)
    one = capture(model, evaluation.inputs[:1], name)[name]
    if one.ndim > len(model.axes_of(name)):
        raise InterpError(f"{name} fires several times in a forward pass, so it has no positions of its own")
    return one.shape[axis]


def _groups(given: Sequence[Sequence[int]] | None, n: int, what: str) -> list[list[int]]:
    if given is None:
        return [[i] for i in range(n)]
    try:
        groups = [[index(i) for i in g] for g in given]
    except TypeError:
        raise InterpError(f"groups must be lists of indices, such as [[0, 1], [2, 3]], got {given!r}") from None
    if not groups or len({len(g) for g in groups}) > 1 or not groups[0]:
        raise InterpError("groups must be lists of indices, all of the same length and not empty")
    outside = [i for g in groups for i in g if not 0 <= i < n]
    if outside:
        raise InterpError(f"groups contain the index {outside[0]}, but there are {n} {what}")
    if twice := next((g for g in groups if len(set(g)) < len(g)), None):
        raise InterpError(f"the group {twice} holds an index twice, and nothing can be ablated twice")
    return groups


def widths(evaluation: Evaluation, site: str, kind: str) -> tuple[int, int]:
    """The number of a site's features, and of those of one component of a kind."""
    width = _known_width(evaluation, site)
    n_heads = getattr(evaluation.model.config, "n_heads", None)
    if width is None or (kind == "heads" and n_heads is None):
        return _measured_widths(evaluation, site, kind)
    size = width // int(n_heads or 1) if kind == "heads" else width
    return width, 1 if kind == "neurons" else size


def _known_width(evaluation: Evaluation, site: str) -> int | None:
    """The number of features, if the weights that read the site tell it."""
    arrival = evaluation.arrival(site)
    return None if arrival is None or arrival[1] is None else len(arrival[1])


def _measured_widths(evaluation: Evaluation, site: str, kind: str) -> tuple[int, int]:
    one = capture(evaluation.model, evaluation.inputs[:2], site)[site]
    axes = evaluation.model.axes_of(site)
    if one.ndim > len(axes):
        one = one[0]  # of several calls
    width = Features(axes).last(one).shape[-1]
    size = one.shape[axes.index("unit")] if kind == "heads" else width
    return width, 1 if kind == "neurons" else size


def random_components(evaluation: Evaluation, like: Components, n: int, seed: int) -> Components | None:
    """Random subspaces of the same size in the same space, orthogonal to each other.

    Args:
        evaluation: the network.
        like: the components to compare with.
        n: how many at most; fewer if not so many fit.
        seed: of the draw.

    Returns:
        the subspaces as components; None where a component is the whole space, such as the only head of a layer.
    """
    size = torch.as_tensor(like.groups).shape[1]
    dim, _ = widths(evaluation, like.site.name, "neurons")
    if size >= dim:
        return None
    count = max(1, min(n, dim // size))
    together = [list(range(i * size, (i + 1) * size)) for i in range(count)]
    names = [f"random {i}" for i in range(count)]
    return replace(like, basis=Basis.random(count * size, dim, seed), groups=together, labels=names)
