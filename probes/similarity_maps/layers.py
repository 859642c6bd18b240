"""Which layers of several networks are compared with each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from interp.errors import InterpError, MissingCapability
from interp.hooked import HookedModel
from interp.sites import Site, SitePattern, hidden_sites, resolve_sites

LAST = "last hidden layer"
ALL = "all layers"
Sites = SitePattern | Mapping[str, SitePattern]


@dataclass(frozen=True)
class Place:
    """One representation of a map.

    Attributes:
        network: its number.
        site: where in it, with its part if it has one.
    """

    network: int
    site: Site

    @property
    def key(self) -> tuple[int, str]:
        """By which its activations are found."""
        return self.network, str(self.site)


Layers = dict[str, list[Place]]  # a map's rows, by the name of the map


def layers_of(models: Mapping[str, HookedModel], sites: Sites | None, across: bool = False) -> Layers:
    """The maps to make, each with the representations that it compares.

    Args:
        models: the networks, by name.
        sites: names, globs or `Site`s, the same for all; or for each network by its name. By default the hidden layers that all
            have under the same names; without any, the last hidden layer of each.
        across: one map of all layers of all networks instead of one map a layer.

    Returns:
        Places by the name of the map.

    Raises:
        UnknownSite: a site that a network does not have.
        InterpError: networks with different numbers of sites, or a name in ``sites`` that no network has.
        MissingCapability: a network without hidden layers, and no sites.
    """
    if isinstance(sites, Mapping):
        if set(sites) != set(models):
            odd = ", ".join(sorted(map(str, set(sites) ^ set(models))))
            raise InterpError(f"sites by network needs one entry for each; not in both: {odd}")
        own = [resolve_sites(model, sites[name]) for name, model in models.items()]
    elif sites is not None:
        own = [resolve_sites(model, sites) for model in models.values()]
    else:
        own = [_hidden(name, model) for name, model in models.items()]
        shared = [site for site in own[0] if all(site in others for others in own[1:])]
        if not across:
            own = [shared or [mine[-1]] for mine in own]
    if across:
        return {ALL: [Place(i, site) for i, mine in enumerate(own) for site in mine]}
    if len({len(mine) for mine in own}) > 1:
        counts = "; ".join(f"{name}: {', '.join(map(str, mine))}" for name, mine in zip(models, own, strict=True))
        raise InterpError(
            f"the networks have different numbers of these sites ({counts}); give sites by network's name"
        )
    maps: Layers = {}
    for rank, together in enumerate(zip(*own, strict=True)):
        names = list(dict.fromkeys(map(str, together)))
        label = names[0] if len(names) == 1 else LAST if sites is None else f"layer {rank + 1}"
        maps[label] = [Place(i, site) for i, site in enumerate(together)]
    return maps


def _hidden(name: str, model: HookedModel) -> list[Site]:
    if not (found := hidden_sites(model)):
        raise MissingCapability(f"{name}: a {type(model).__name__} has no hidden layers; name sites")
    return [Site(one) for one in found]
