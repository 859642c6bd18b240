"""The joint analysis ``shared_features``: what the first network shares with each other, what only one has, and its worth."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from circuits.two_networks.feature_lists import Kind
from circuits.two_networks.shared import features_of
from circuits.two_networks.sides import MOST, Side, last_site, sides
from interp.errors import require_range
from interp.plugins.joint import joint_analysis
from interp.plugins.result import Result
from interp.subject import Subject


@joint_analysis(
    "shared_features",
    needs=("outputs",),
    summary="Which features both have, which only one, and what they are worth",
    order=61,
    most=4,
)
def shared_features(
    subjects: Mapping[str, Subject], *, site: str | None = None, threshold: float = 0.5, draws: int = 39, n_random: int = 5,
    ridge: float = 0.0, n_inputs: int = MOST, seed: int = 0,
) -> Result:  # fmt: skip
    """Match units, principal components and frequencies of the first network with each other's; see `circuits.shared_features`.

    Args:
        subjects: networks whose inputs agree.
        site: a hook point that all have; each network's last hidden layer by default.
        threshold: share of a feature's variance that its match must explain.
        draws: permutations and random directions, for the nulls.
        n_random: random sets beside what is ablated.
        ridge: of the maps that explain components.
        n_inputs: at most so many of the inputs that all have.
        seed: of the draws.

    Returns:
        counts and ablations by pair and kind, and every feature with its status and worth.
    """
    require_range("threshold", threshold, 0, 1)
    require_range("draws", draws, 1, 10_000)
    require_range("n_random", n_random, 0, 1000)
    found, note = sides(subjects, None, n_inputs, seed)
    first, *others = found.values()
    result = Result(notes=[note])
    counts, ablations, features, said = [], [], [], []
    for other in others:
        pair, sites = (first, other), (last_site(first, site), last_site(other, site))
        for kind in kinds(pair):
            made = features_of(
                pair, sites, kind=kind, threshold=threshold, draws=draws, n_random=n_random, ridge=ridge, seed=seed
            )
            ids = {"pair": f"{first.name} and {other.name}", "kind": kind}
            counts.append(made.counts.assign(**ids))
            ablations.append(made.ablations.assign(**ids))
            features.append(made.features.assign(**ids))
            said += [made.headline] if other is others[0] else []
            result.figures[f"{kind}: {ids['pair']}"] = made.figure()
            result.notes += [n for n in made.notes if n not in result.notes]
    every = {"counts": counts, "ablations": ablations, "features": features}
    result.tables = {name: pd.concat(frames, ignore_index=True) for name, frames in every.items()}
    result.lead = next(iter(result.figures))
    for kind, own in result.tables["counts"].groupby("kind", sort=False):
        result.metrics |= {
            f"{kind}_{s}": int(own[s].to_numpy().sum()) for s in ("both", "duplicated", "alone", "spurious")
        }
    rest = f"; {len(others) - 1} more pairs in the tables" if len(others) > 1 else ""
    result.headline = "; ".join(said) + rest
    result.notes.append(
        "both: the match in the other network explains at least the threshold of its variance, and more than with permuted "
        "inputs. duplicated: found in both, carried by more here. spurious: in one alone, and worth less than every random "
        "direction. worth: share of the output's variance lost where it is mean-ablated."
    )
    return result


def kinds(pair: tuple[Side, Side]) -> list[Kind]:
    """The kinds of features that both networks have: units and components, and factors of their task where it has any."""
    found: list[Kind] = ["units", "components"]
    whole = all(
        s.subject.task is not None
        and s.examples is not None
        and len(s.examples) == len(s.subject.task.inputs)
        and not isinstance(s.subject.task.factors(), str)
        for s in pair
    )
    if whole:
        cyclic = not any(s.subject.lacks(["cyclic"]) for s in pair)
        found.append("frequencies" if cyclic else "factors")
    return found
