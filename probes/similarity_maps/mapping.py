"""The similarity map of several networks: all pairs, at one or several layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from interp._util.bar import with_bar
from interp._util.estimate import told
from interp.errors import InterpError, require_range
from interp.hooked.foreign.several import InputsLike
from probes.common_inputs import common_inputs
from probes.similarity import Measure
from probes.similarity import measure as measure_of
from probes.similarity_maps.chance import SAID, chosen_null
from probes.similarity_maps.comparison import beside_chance, compared
from probes.similarity_maps.features import DEFAULT_BYTES, Features
from probes.similarity_maps.layers import Sites, layers_of
from probes.similarity_maps.networks import Network, networks_of, read_network
from probes.similarity_maps.result import SimilarityMap

Progress = Callable[[int, int], None]


@with_bar
def similarity_map(
    networks: Network | Mapping[str, Network] | Iterable[Network],
    *,
    sites: Sites | None = None,
    measure: str | Measure = "cka",
    inputs: InputsLike | None = None,
    n_inputs: int | None = 2048,
    null: str | None = "auto",
    draws: int = 39,
    across_layers: bool = False,
    step: int | None = None,
    seed: int = 0,
    max_bytes: int = DEFAULT_BYTES,
    progress: Progress | bool | None = None,
) -> SimilarityMap:
    """How alike the insides of every two networks are, on the same inputs, beside what chance gives.

    Each network is run once, in float32; beyond ``max_bytes`` its activations go to a temporary file. Debiased linear CKA
    (Kornblith et al. 2019, https://arxiv.org/abs/1905.00414) is computed for all pairs at once, see `all_pairs_cka`; other
    measures pair by pair. Small networks look alike by chance, so every value stands beside a null: the same measure between
    random networks of the architecture, drawn as the training draws them where that is known (``"random"``); with the inputs of
    one network permuted (``"inputs"``); or with its features rotated (``"rotation"``, for measures of single units).

    Args:
        networks: Subjects, models or paths, by name or as a list; a run or its folder stands for all its members; at most 64.
        sites: hook points, the same for all networks, or by the name of each. By default the hidden layers that all have under
            the same names; without any, the last hidden layer of each.
        measure: a name in `probes.similarity.MEASURES`, or a `Measure`.
        inputs: ``[n, ...]``, for all networks; by default examples that all their tasks have, or pixels of the plane.
        n_inputs: at most so many of them, drawn at random. None: all.
        null: ``"random"``, ``"inputs"``, ``"rotation"`` or None; ``"auto"`` is random networks where they can be drawn, else
            permuted inputs.
        draws: of the null; the interval of 39 holds 95 of 100 values that arise by chance.
        across_layers: one map of all layers of all networks.
        step: of runs and series: the networks at this step; their last by default.
        seed: of the draws of inputs and nulls.
        max_bytes: of activations held in memory, and of working memory.
        progress: called with (tiles or pairs done, in all). By default a notebook shows a bar; False leaves it out.

    Returns:
        The map: values, table, embedding, figures.

    Raises:
        InterpError: fewer than two networks, inputs that do not agree, or an activation that is NaN.
        UnknownName: a measure or null that does not exist.
        UnknownSite: a site that a network does not have.
        MissingCapability: a network without hidden layers, or of which no random ones can be drawn.

    >>> import interp, torch
    >>> one, two = (interp.HookedMLP(interp.MLPConfig((16,), 3, d_in=4)).init_weights(seed=i) for i in (0, 1))
    >>> x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    >>> found = similarity_map({"one": one, "two": two}, inputs=x, seed=1)
    >>> found.sites, bool(found.table["beyond"][0])
    (['layers.0.hook_post'], False)
    """
    chosen = measure_of(measure)
    require_range("draws", draws, 1)
    subjects = networks_of(networks, step)
    if len(subjects) < 2:
        raise InterpError(
            f"a similarity map needs at least two networks, got {len(subjects)}; the folder of a run stands for all "
            "its members"
        )
    common = common_inputs(subjects, inputs, n_inputs=n_inputs, seed=seed)
    layers = layers_of({name: one.model for name, one in subjects.items()}, sites, across_layers)
    notes: list[str] = []
    kind = chosen_null(null, chosen, list(subjects.values()), notes)
    with Features(max_bytes) as features:
        index, tell = {}, told("networks")
        for number, (name, subject) in enumerate(subjects.items()):
            own = [place.site for places in layers.values() for place in places if place.network == number]
            read = read_network(features, subject, common.of[name], own, max_bytes)
            index |= {(number, site): place for site, place in read.items()}
            tell(number + 1, len(subjects))
        found = compared(chosen, features, index, layers, list(subjects), max_bytes, progress)
        chance = {} if kind is None else beside_chance(
            kind, chosen, features, index, layers, list(subjects.values()), [common.of[name] for name in subjects], found, draws,
            seed, max_bytes, notes,
        )  # fmt: skip
    said = SAID[kind].format(draws) if kind else ""
    return SimilarityMap(chosen, found, chance, said, common.note, notes=notes)
