"""The similarity measures by name: what each computes, and what may be done to a representation without changing it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from interp.errors import InterpError, UnknownName, unknown
from probes.similarity.cca import mean_cca
from probes.similarity.cka import cka
from probes.similarity.mutual_knn import knn_under_permutation, mutual_knn
from probes.similarity.procrustes import procrustes_angle
from probes.similarity.pwcca import pwcca
from probes.similarity.rsa import rsa, rsa_under_permutation
from probes.similarity.soft_matching import soft_matching
from probes.similarity.subspace_angles import subspace_overlap
from probes.similarity.svcca import svcca
from probes.similarity.unit_matching import matched_correlation


@dataclass(frozen=True)
class Measure:
    """A similarity of two representations.

    Attributes:
        name: by which it is asked for.
        function: of ``(x, y)``, rows being inputs; of ``(products)`` too where `from_products`. Returns a float.
        higher_is_more_alike: True for a similarity, False for a distance.
        invariant_to: what may be done to the features of y without a change of the value, of ``permutation``, ``rotation``,
            ``scaling`` (one factor for all) and ``invertible`` (any invertible linear map).
        from_products: whether `Products` suffice, so that inputs can be streamed.
        unit: of the value.
        summary: what it computes, in a line.
        paper: link to its source.
        under_permutation: of ``(x, y)``, gives the value as a function of a permutation of the inputs of y, where that is
            cheaper than the measure itself; for measures that need the rows.
    """

    name: str
    function: Callable[..., float]
    higher_is_more_alike: bool
    invariant_to: frozenset[str]
    from_products: bool
    unit: str
    summary: str
    paper: str
    under_permutation: Callable[[Tensor, Tensor], Callable[[Tensor], float]] | None = None


_ROTATION = frozenset({"permutation", "rotation", "scaling"})
_INVERTIBLE = _ROTATION | {"invertible"}
_UNITS = frozenset({"permutation", "scaling"})
_ARXIV = "https://arxiv.org/abs/"
_LISTED = (
    Measure("cka", cka, True, _ROTATION, True, "1", "linear CKA, debiased", f"{_ARXIV}1905.00414"),
    Measure("cca", mean_cca, True, _INVERTIBLE, True, "1", "mean canonical correlation", f"{_ARXIV}1706.05806"),
    Measure(
        "svcca", svcca, True, _ROTATION, True, "1", "mean canonical correlation of the components with 99% of the variance",
        f"{_ARXIV}1706.05806",
    ),
    Measure(
        "pwcca", pwcca, True, _INVERTIBLE, True, "1", "mean canonical correlation weighted by the projections of X",
        f"{_ARXIV}1806.05759",
    ),
    Measure(
        "procrustes", procrustes_angle, False, _ROTATION, True, "radians", "angle left after the best rotation",
        f"{_ARXIV}2110.14739",
    ),
    Measure(
        "subspace_overlap", subspace_overlap, True, _ROTATION, True, "1",
        "mean squared cosine of the angles between principal subspaces", "https://doi.org/10.2307/2005662",
    ),
    Measure(
        "unit_matching", matched_correlation, True, _UNITS, True, "1", "mean correlation of units matched one to one",
        f"{_ARXIV}1511.07543",
    ),
    Measure(
        "soft_matching", soft_matching, True, _UNITS, True, "1", "mean correlation of units matched softly",
        f"{_ARXIV}2311.09466",
    ),
    Measure(
        "rsa", rsa, True, _ROTATION, False, "1", "Spearman's correlation of Euclidean distances between inputs",
        "https://doi.org/10.3389/neuro.06.004.2008", rsa_under_permutation,
    ),
    Measure(
        "mutual_knn", mutual_knn, True, _ROTATION, False, "1", "share of the 10 nearest neighbours that agree",
        f"{_ARXIV}2405.07987", knn_under_permutation,
    ),
)  # fmt: skip
MEASURES: dict[str, Measure] = {one.name: one for one in _LISTED}


def measure(name: str | Measure) -> Measure:
    """A measure by its name.

    Args:
        name: one of `MEASURES`, or a measure, which is returned as it is.

    Returns:
        The measure.

    Raises:
        UnknownName: no measure has that name; the nearest are named.
        InterpError: a function.

    >>> measure("cka").higher_is_more_alike
    True
    """
    if isinstance(name, Measure):
        return name
    if callable(name):
        raise InterpError(f"a measure is given by its name ({', '.join(MEASURES)}) or as a Measure, got a function")
    if not isinstance(name, str) or name not in MEASURES:
        raise UnknownName(unknown("similarity measure", str(name), MEASURES))
    return MEASURES[name]
