"""The similarity measures by name: what each computes, and what may be done to a representation without changing it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from interp.errors import UnknownName, unknown
from probes.similarity.cka import cka


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
    """

    name: str
    function: Callable[..., float]
    higher_is_more_alike: bool
    invariant_to: frozenset[str]
    from_products: bool
    unit: str
    summary: str
    paper: str


_ROTATION = frozenset({"permutation", "rotation", "scaling"})
_LISTED = (
    Measure(
        "cka", cka, True, _ROTATION, True, "1", "linear CKA, debiased", "https://arxiv.org/abs/1905.00414",
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

    >>> measure("cka").higher_is_more_alike
    True
    """
    if isinstance(name, Measure):
        return name
    if name not in MEASURES:
        raise UnknownName(unknown("similarity measure", str(name), MEASURES))
    return MEASURES[name]
