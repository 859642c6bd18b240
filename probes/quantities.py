"""Quantities for ``interp verify`` that need this package: units of an image network that are active or distinct."""

from __future__ import annotations

from interp.errors import require_range
from interp.verification.material import Material
from interp.verification.quantity import quantity
from probes.feature_maps import ACTIVE, DISTINCT, FeatureMaps, distinct, of


def _maps(material: Material, size: int, every: int, tolerance: float) -> FeatureMaps:
    require_range("every", every, 1, size)

    def make() -> FeatureMaps:
        whole = of(material.subject, size, tolerance)
        maps = whole.maps[..., ::every, ::every].contiguous()
        return FeatureMaps(maps, whole.kinds, whole.copies, tolerance)

    return material.share(("feature maps", size, every, tolerance), make)


@quantity("units.active", summary="units of an image network that vary over the picture", order=82)
def active(material: Material, *, size: int = 256, every: int = 4, above: float = ACTIVE) -> int:
    """Slots of all layers whose standard deviation over the picture exceeds a number, copies included.

    Args:
        material: an image network.
        size: pixels along each edge.
        every: only every n-th pixel counts, in both directions.
        above: the standard deviation.

    Returns:
        how many.
    """
    return int(_maps(material, size, every, above).active.sum())


@quantity("units.distinct", summary="active units of an image network, no two of them alike", order=83)
def distinct_units(
    material: Material, *, size: int = 256, every: int = 4, above: float = ACTIVE, correlation: float = DISTINCT
) -> int:
    """Active units chosen greedily in layer order, none with |correlation| of ``correlation`` or more with one before.

    Args:
        material: an image network.
        size: pixels along each edge.
        every: only every n-th pixel counts, in both directions.
        above: standard deviation from which a unit is active.
        correlation: from which two units are alike.

    Returns:
        how many.
    """
    require_range("correlation", correlation, 0, 1)
    found = _maps(material, size, every, above)
    return int(distinct(found.maps[found.active].flatten(1), correlation).sum())
