"""Features of two networks: found in both, in one alone, carried by more units in one, or in one alone and idle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch

from circuits.engine.arguments import require_whole
from circuits.two_networks.feature_lists import FeatureList, Kind, feature_list
from circuits.two_networks.feature_matches import Matches, explained_by_layer, matched
from circuits.two_networks.receiver import Receiver
from circuits.two_networks.shared_result import SharedFeatures
from circuits.two_networks.sides import MOST, Side, sides, two_names
from circuits.two_networks.stitching import site_pairs
from circuits.two_networks.worth import random_worths, worths
from interp.errors import InterpError, require_range
from interp.hooked.base import HookedModel
from interp.hooked.foreign.several import InputsLike
from interp.subject import Subject

ALIKE = 0.5  # share of a feature's variance that its match must explain


def shared_features(
    a: Subject | HookedModel,
    b: Subject | HookedModel,
    site: str | None = None,
    site_b: str | None = None,
    *,
    kind: Kind = "units",
    threshold: float = ALIKE,
    inputs: InputsLike | None = None,
    draws: int = 39,
    n_random: int = 5,
    ridge: float = 0.0,
    seed: int = 0,
    n_inputs: int | None = MOST,
) -> SharedFeatures:
    """List the features of two networks: in both, in one alone, duplicated, spurious; and what each is worth.

    A feature of one network is *found in both* if its match in the other explains at least ``threshold`` of its variance over
    the inputs, and more than with permuted inputs: a unit by its most correlated unit, a principal component by the other's
    whole layer, linearly, on inputs that the map was not fitted to. Frequencies and other factors are matched by name; a
    network has those that its logits are made of (`probes.key_factors`). *Duplicated*: found in both, and carried by more units
    here than there. *Spurious*: in one alone, and its mean-ablation changes the outputs by less than that of each of ``draws``
    random directions (for factors: of random functions of the inputs). Then what only one network has is mean-ablated together,
    beside what is shared and random sets of as many features and of as much of the activation's variance (of units and
    components drawn from all, of factors from the others).

    Misleads where a network has the other's features in another basis: units do not match then, components do.

    Args:
        a: a network, with its task if it has one.
        b: another whose inputs agree.
        site: of ``a``; the last hidden layer by default.
        site_b: of ``b``; as in `stitch`.
        kind: ``units``, ``components`` (those with 99% of the variance), ``frequencies`` or ``factors``.
        threshold: share of a feature's variance, from 0 to 1.
        inputs: as in `stitch`.
        draws: permutations and random directions, for the nulls.
        n_random: random sets beside the sets that are ablated.
        ridge: of the maps that explain components.
        seed: of the draws.
        n_inputs: as in `stitch`.

    Returns:
        `SharedFeatures`.

    Raises:
        UnknownName: no such kind.
        MissingCapability: factors of a task that has none.
        InterpError: inputs that do not agree, several sites, or arguments of the wrong kind.

    Li et al. 2016, Convergent learning: do different neural networks learn the same representations?,
    https://arxiv.org/abs/1511.07543, for matched units.
    """
    require_range("threshold", threshold, 0, 1)
    require_range("ridge", ridge, 0)
    require_whole("draws", draws, 1, 10_000)
    require_whole("n_random", n_random, 0, 1000)
    if site == "all":
        raise InterpError(
            "shared_features compares one pair of sites: name one, or leave it out for the last hidden layers"
        )
    found, note = sides(two_names(a, b), inputs, n_inputs, seed)
    first, second = found.values()
    names = site_pairs(first, second, site, site_b)[0]
    return features_of(
        (first, second), names, kind=kind, threshold=threshold, draws=draws, n_random=n_random, ridge=ridge, seed=seed,
        notes=(note,),
    )  # fmt: skip


def features_of(
    two: tuple[Side, Side], names: tuple[str, str], *, kind: Kind, threshold: float = ALIKE, draws: int = 39,
    n_random: int = 5, ridge: float = 0.0, seed: int = 0, notes: tuple[str, ...] = (),
) -> SharedFeatures:  # fmt: skip
    """`shared_features` of two sides at two sites."""
    into = [Receiver.of(side, name) for side, name in zip(two, names, strict=True)]
    lists = [feature_list(one, kind) for one in into]
    tables = []
    for i in range(2):
        own, other = lists[i], lists[1 - i]
        worth = worths(into[i], own)
        random = random_worths(into[i], own, draws, seed)
        if own.directions is None:
            matches, matched_names = None, [other.names[k] for k in other.listed]
            both = [own.names[k] in matched_names for k in own.listed]
        else:
            matches = _matches(own, other, two[i], kind, threshold, draws, seed, ridge)
            both = matches.found(threshold).tolist()
        tables.append(_table(two[i].name, own, other, worth, random, both, matches))
    frame = pd.concat(tables, ignore_index=True)
    ablated = [row for i in range(2) for row in _ablated(into[i], lists[i], tables[i], n_random, seed)]
    places = dict(zip((s.name for s in two), names, strict=True))
    answers = two[0].answers and two[1].answers
    return SharedFeatures(frame, pd.DataFrame(ablated), kind, places, answers, (*notes, *_idle(two, lists)))


def _matches(
    own: FeatureList, other: FeatureList, side: Side, kind: Kind, threshold: float, draws: int, seed: int, ridge: float
) -> Matches:
    """Matches of the listed features of one network; of components, explained by the other's whole layer."""
    values, theirs = own.coordinates[:, list(own.listed)], other.coordinates[:, list(other.listed)].to(own.rows)
    if not values.shape[1] or not theirs.shape[1]:
        k, nothing = values.shape[1], torch.zeros(values.shape[1], dtype=torch.float64)
        empty = torch.zeros(k, dtype=torch.long)
        return Matches(empty - 1, nothing, nothing, nothing, empty, empty)
    found = matched(values, theirs, threshold, draws, seed)
    if kind == "units":
        return found
    fit, judged = side.fit.to(values.device), side.judged.to(values.device)
    explained, null = explained_by_layer(values, other.rows.to(own.rows), fit, judged, draws, seed, ridge)
    return Matches(found.best, found.correlation, explained, null, found.here, found.there)


def _table(
    name: str, own: FeatureList, other: FeatureList, worth: Sequence[dict[str, float]], random: Sequence[float],
    both: Sequence[bool], matches: Matches | None,
) -> pd.DataFrame:  # fmt: skip
    variance = own.variance.tolist()
    least = min(random, default=float("nan"))
    rows: list[dict[str, Any]] = []
    for i, k in enumerate(own.listed):
        row: dict[str, Any] = {"network": name, "feature": own.names[k], "index": k, "status": "both"}
        here = there = 1
        if matches is None:
            row |= {"match": own.names[k] if both[i] else None, "correlation": float("nan"),
                    "explained": float("nan"), "null": float("nan")}  # fmt: skip
        else:
            best = int(matches.best[i])
            here, there = int(matches.here[i]), int(matches.there[i])
            row |= {"match": other.names[other.listed[best]] if best >= 0 else None,
                    "correlation": float(matches.correlation[i]), "explained": float(matches.explained[i]),
                    "null": float(matches.null[i])}  # fmt: skip
        lost = worth[i]["lost"]
        if both[i]:
            row["status"] = "duplicated" if here > there else "both"
        else:
            row["status"] = "spurious" if lost < least else "alone"
            here, there = (here or 1, 0) if matches is None else (here, 0)
        row |= {"here": here, "there": there, "variance": variance[k], "worth": lost, "random_worth": least}
        rows.append(row | {"loss": worth[i]["loss"], "accuracy": worth[i]["accuracy"]})
    return pd.DataFrame(rows, columns=pd.Index(COLUMNS))


COLUMNS = (
    "network", "feature", "index", "status", "match", "correlation", "explained", "null", "here", "there", "variance",
    "worth", "random_worth", "loss", "accuracy",
)  # fmt: skip


def _ablated(into: Receiver, own: FeatureList, table: pd.DataFrame, n_random: int, seed: int) -> list[dict[str, Any]]:
    """What only this network has, mean-ablated together; what both have; and random sets."""
    alone = table.loc[table["status"].isin(["alone", "spurious"]), "index"].tolist()
    shared = table.loc[~table["status"].isin(["alone", "spurious"]), "index"].tolist()
    pool = list(own.listed)
    if own.directions is None:  # of factors a network has few: the random ones are others
        pool = [i for i in range(len(own.names)) if i not in alone]
    generator = torch.Generator().manual_seed(seed)
    variance = own.variance.tolist()
    wanted = sum(variance[i] for i in alone)
    sets: list[tuple[str, list[int]]] = [("only here", alone), ("both", shared)]
    for _ in range(n_random if alone and len(alone) <= len(pool) and set(alone) != set(pool) else 0):
        order = [pool[i] for i in torch.randperm(len(pool), generator=generator).tolist()]
        sets.append(("as many at random", order[: len(alone)]))
        sets.append(("as much variance at random", _up_to(order, variance, wanted)))
    scores = into.side.scores(into.measured([own.without(chosen) for _, chosen in sets]))
    clean = into.side.judge(into.side.clean)
    rows = []
    for what in dict.fromkeys(name for name, _ in sets):
        own_sets = [(chosen, score) for (name, chosen), score in zip(sets, scores, strict=True) if name == what]
        row: dict[str, Any] = {"network": into.side.name, "ablated": what, "draws": len(own_sets)}
        row["features"] = sum(len(chosen) for chosen, _ in own_sets) / len(own_sets)
        row["variance"] = sum(sum(variance[i] for i in chosen) for chosen, _ in own_sets) / len(own_sets)
        for name in ("loss", "accuracy", "lost"):
            values = [score[name] for _, score in own_sets]
            row |= {name: sum(values) / len(values), f"{name}_low": min(values), f"{name}_high": max(values)}
        rows.append(row | {"clean_loss": clean["loss"], "clean_accuracy": clean["accuracy"]})
    return rows


def _up_to(order: Sequence[int], variance: Sequence[float], wanted: float) -> list[int]:
    """The first features of an order until they hold a share of the variance."""
    chosen, held = [], 0.0
    for i in order:
        if held >= wanted:
            break
        chosen.append(i)
        held += variance[i]
    return chosen


def _idle(two: Sequence[Side], lists: Sequence[FeatureList]) -> list[str]:
    """Notes on units that never vary, which no list holds."""
    return [
        f"{side.name}: {len(one.names) - len(one.listed)} units do not vary over the inputs and are left out"
        for side, one in zip(two, lists, strict=True)
        if one.kind == "units" and len(one.listed) < len(one.names)
    ]
