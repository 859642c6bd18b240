"""Units of an image network that are in use: a curve against the threshold of what counts, by activation function."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from circuits.compression.image_curves import SIZE, unit_effects
from interp.errors import InterpError, require_positive
from interp.hooked import HookedCPPN
from interp.subject import Subject
from probes.feature_maps import require_cppn

THRESHOLDS = (1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)


def units_in_use(
    cppn: HookedCPPN | Subject, thresholds: Iterable[float] = THRESHOLDS, size: int = SIZE
) -> pd.DataFrame:
    """Units in use against the threshold: how many change the picture when each is held at its mean.

    A unit is in use where holding it alone at its mean over the picture changes the picture by a mean square of the threshold
    or more (`circuits.compression.image_curves.unit_effects`). One threshold is a choice: a comparison that depends on it is no
    finding. Misleads where two units can stand in for each other: neither counts, as holding one leaves the other.

    Args:
        cppn: an image network, or a Subject of one.
        thresholds: mean squared changes of the picture, each above 0.
        size: pixels along each edge.

    Returns:
        A row per threshold and activation function, ``all`` first: ``threshold``, ``activation``, ``used``, ``used_copies`` (of
        these the slots that only carry an earlier value, padding of the layered form) and ``total``.

    Raises:
        InterpError: another kind of network, a size that no picture can have, no threshold, or one that is not above 0.

    >>> import interp
    >>> found = units_in_use(interp.HookedCPPN(interp.CPPNConfig("1;gaussian:2,sin:1")).init_weights(seed=0), [1e-9, 1.0], 16)
    >>> found[["activation", "used", "total"]].to_dict("list")
    {'activation': ['all', 'gaussian', 'sin', 'all', 'gaussian', 'sin'], 'used': [3, 2, 1, 0, 0, 0], 'total': [3, 2, 1, 3, 2, 1]}
    """
    values = list(thresholds) if isinstance(thresholds, Iterable) and not isinstance(thresholds, str) else []
    if not values:
        raise InterpError(f"thresholds are numbers above 0, such as [1e-5, 1e-3], got {thresholds!r}")
    for threshold in values:
        require_positive("a threshold", threshold)
    model = require_cppn(cppn)
    effects, copies = unit_effects(model, size).cpu(), model.copies().cpu()
    kinds = model.config.kinds
    rows = []
    for threshold in values:
        for activation in ("all", *dict.fromkeys(kinds)):
            own = [activation in ("all", kind) for kind in kinds]
            used = effects[:, own] >= threshold
            rows.append(
                {"threshold": threshold, "activation": activation, "used": int(used.sum()),
                 "used_copies": int((used & copies[:, own]).sum()), "total": used.numel()}
            )  # fmt: skip
    return pd.DataFrame(rows)
