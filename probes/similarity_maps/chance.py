"""What similarity arises by chance, for every pair of a map: inputs permuted, random networks, random rotations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from interp._util.estimate import told
from interp.activations.capture import DEFAULT_BUDGET
from interp.errors import InterpError, MissingCapability, UnknownName, require_range, unknown
from interp.hooked.foreign.several import Inputs
from interp.sites import Site
from interp.subject import Subject
from probes.input_rows import input_rows
from probes.similarity import MEASURES, Excess, Measure, permuted, rotated
from probes.similarity_maps.all_pairs import all_pairs_cka
from probes.similarity_maps.features import Features
from probes.similarity_maps.layers import Layers, Place
from probes.similarity_maps.random_networks import Start, start_of

NULLS = ("auto", "inputs", "random", "rotation")
SAID = {
    "inputs": "{} permutations of the inputs",
    "random": "{} pairs of random networks of the architecture",
    "rotation": "{} random rotations of the features",
}
Pair = tuple[int, int]  # of features
Progress = Callable[[int, int], None]


def chosen_null(null: str | None, measure: Measure, subjects: Sequence[Subject], notes: list[str]) -> str | None:
    """The null that is meant.

    Args:
        null: one of `NULLS`, or None for none.
        measure: whose null it is.
        subjects: the networks.
        notes: gets a sentence where something else stands in for what was to be expected.

    Returns:
        ``inputs``, ``random``, ``rotation`` or None.

    Raises:
        UnknownName: another name.
        MissingCapability: random networks of a kind that cannot be drawn.
        InterpError: rotations for a measure that no rotation changes.
    """
    if null is None:
        return None
    if null not in NULLS:
        raise UnknownName(unknown("null", str(null), NULLS))
    if null == "rotation" and "rotation" in measure.invariant_to:
        raise InterpError(
            f"{measure.name} is the same after any rotation of the features, so rotations are not a null for it: take "
            "'random' or 'inputs'"
        )
    if null in ("inputs", "rotation"):
        return null
    fixed = [one.name for one in subjects if start_of(one) is None]
    if fixed and null == "random":
        raise MissingCapability(
            f"{fixed[0]}: how its weights are drawn before training is not known, so no random network like it can be drawn; "
            "take null='inputs'"
        )
    if fixed:
        notes.append(f"The null permutes inputs: how {fixed[0]} is drawn before training is not known.")
        return "inputs"
    return "random"


def similarities(
    measure: Measure, features: Features, pairs: Sequence[Pair], max_bytes: int, progress: Progress | None = None
) -> list[float]:
    """A measure of many pairs: debiased CKA of all at once, others one by one.

    Args:
        measure: of similarity.
        features: the representations.
        pairs: which are compared.
        max_bytes: of working memory.
        progress: called with (done, in all).

    Returns:
        The values, in the order of the pairs.
    """
    if measure is MEASURES["cka"]:
        index = sorted({i for pair in pairs for i in pair})
        place = {i: row for row, i in enumerate(index)}
        table = all_pairs_cka(features, index, max_bytes=max_bytes, progress=progress)[0]
        return table[[place[a] for a, _ in pairs], [place[b] for _, b in pairs]].tolist()
    found = []
    for done, (a, b) in enumerate(pairs, 1):
        found.append(measure.function(features.rows(a), features.rows(b)))
        if progress is not None:
            progress(done, len(pairs))
    return found


def excesses(
    kind: str, measure: Measure, features: Features, pairs: Sequence[Pair], values: Sequence[float], draws: int, seed: int,
    max_bytes: int,
) -> list[Excess]:  # fmt: skip
    """Every value beside the same measure with inputs permuted, or features rotated.

    Args:
        kind: ``inputs`` or ``rotation``.
        measure: of similarity.
        features: the representations.
        pairs: which are compared.
        values: of the measure.
        draws: of the null, for every pair.
        seed: of the draws.
        max_bytes: of working memory.

    Returns:
        An excess per pair.
    """
    if kind == "inputs" and measure is MEASURES["cka"]:
        index = sorted({i for pair in pairs for i in pair})
        place = {i: row for row, i in enumerate(index)}
        generator = torch.Generator().manual_seed(seed)
        orders = [torch.randperm(features.n, generator=generator) for _ in range(draws)]
        drawn = all_pairs_cka(features, index, orders, max_bytes=max_bytes, progress=told("tiles of the null"))
        return [Excess.of(v, drawn[:, place[a], place[b]]) for v, (a, b) in zip(values, pairs, strict=True)]
    of, tell, found = (permuted if kind == "inputs" else rotated), told("pairs of the null"), []
    for done, (a, b) in enumerate(pairs, 1):
        found.append(of(measure, features.rows(a), features.rows(b), draws=draws, seed=seed))
        tell(done, len(pairs))
    return found


class RandomDraws:
    """Similarity between random networks, for every two architectures, starts and sites of a map.

    Args:
        subjects: the networks.
        inputs: of each.
        layers: the maps.
    """

    def __init__(self, subjects: Sequence[Subject], inputs: Sequence[Tensor | Inputs], layers: Layers):
        self._layers = layers
        starts = [start_of(one) or Start() for one in subjects]
        keys = [start.key(one) for start, one in zip(starts, subjects, strict=True)]
        self._kind = [keys.index(key) for key in keys]  # the first network that is drawn as this one
        self._first = {i: (subjects[i], starts[i], inputs[i]) for i in dict.fromkeys(self._kind)}
        self.known = all(start.known for start in starts)

    def ends(self, a: Place, b: Place) -> tuple[tuple[int, int, str], tuple[int, int, str]]:
        """Which random networks stand for a pair; two layers of one network are compared with two of one random network.

        Args:
            a: a place of a map.
            b: another.

        Returns:
            For each the kind of network, the first or second of a draw, and the site.
        """
        half = 0 if a.network == b.network else 1
        return (self._kind[a.network], 0, str(a.site)), (self._kind[b.network], half, str(b.site))

    def draw(self, measure: Measure, draws: int, seed: int, max_bytes: int) -> Mapping[tuple, list[float]]:
        """Draw pairs of random networks and compare them.

        Args:
            measure: of similarity.
            draws: pairs of networks.
            seed: of their weights.
            max_bytes: of working memory, and of the activations held in memory.

        Returns:
            Values by `ends`.
        """
        require_range("draws", draws, 1)
        sites: dict[int, dict[str, Site]] = {}
        wanted: dict[str, dict[tuple, None]] = {}
        for label, places in self._layers.items():
            for place in places:
                sites.setdefault(self._kind[place.network], {})[str(place.site)] = place.site
            wanted[label] = dict.fromkeys(self.ends(a, b) for i, a in enumerate(places) for b in places[i + 1 :])
        found: dict[tuple, list[float]] = {ends: [] for label in wanted for ends in wanted[label]}
        seeds = torch.randint(
            2**62, (draws, len(self._first), 2), generator=torch.Generator().manual_seed(seed)
        ).tolist()
        made = {}
        for kind, (subject, start, inputs) in self._first.items():
            whole = any(site.pos is not None for site in sites[kind].values())
            made[kind] = start.template(subject, whole), start, inputs
        tell = told("draws of random networks")
        for done, row in enumerate(seeds, 1):
            with Features(max_bytes) as features:
                index = {}
                for own, (kind, (template, start, inputs)) in zip(row, made.items(), strict=True):
                    for half, one in enumerate(own):
                        drawn = start.redraw(template, one)
                        rows = input_rows(drawn, inputs, list(sites[kind].values()), dtype=torch.float32,
                                          max_bytes=max(max_bytes, DEFAULT_BUDGET))  # type: ignore[arg-type]  # fmt: skip
                        index |= {(kind, half, site): features.add(values) for site, values in rows.items()}
                for ends in wanted.values():
                    pairs = [(index[a], index[b]) for a, b in ends]
                    for key, value in zip(ends, similarities(measure, features, pairs, max_bytes), strict=True):
                        found[key].append(value)
            tell(done, draws)
        return found
