"""What the cache holds, which is a file that other programs may have changed: only what can be a result is taken for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interp._util.schema import fits
from interp.plugins.measure import Measure

FORM = {"values": dict[str, Any], "skipped": str, "nonfinite": bool}
NOT_FINITE = ("nan", "inf", "-inf")  # as `interp.plugins.measure.plain` writes them


def is_measured(value: Any) -> bool:
    """Whether a stored value has the form of a measure's result.

    Args:
        value: plain JSON.

    Returns:
        whether it has numbers by place, or the reason why the measure was skipped, or stands for weights that are not finite.

    >>> is_measured({"values": {"": 0.5, "a": "nan"}}), is_measured({"values": {"": "half"}}), is_measured([1])
    (True, False, False)
    """
    if not _is_result(value) or not (value.keys() & {"values", "skipped"} or value.get("nonfinite")):
        return False
    return all(fits(v, float) or (isinstance(v, str) and v in NOT_FINITE) for v in value.get("values", {}).values())


def is_settled(value: Any, measure: Measure, given: Mapping[str, Any]) -> bool:
    """Whether a stored value can be what the last checkpoint settled for a measure.

    Args:
        value: plain JSON.
        measure: whose options were open.
        given: its options; None where they are open.

    Returns:
        whether it has a value of the right kind for every option, those given among them, or the reason why there is none.
    """
    if not _is_result(value) or "values" not in value:
        return _is_result(value) and "skipped" in value
    values = value["values"]
    return set(values) == set(given) and all(
        values[one.name] is not None
        and fits(values[one.name], one.type)
        and given[one.name] in (None, values[one.name])
        for one in measure.options
    )


def _is_result(value: Any) -> bool:
    return fits(value, dict[str, Any]) and all(n in FORM and fits(v, FORM[n]) for n, v in value.items())
