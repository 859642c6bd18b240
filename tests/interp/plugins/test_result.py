"""Results: how numbers read, and what a report could not show."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from interp.plugins.result import Result, check_result, format_metric, format_share


@pytest.mark.parametrize("value", [math.nan, np.float64("nan")])
def test_nan_in_the_verdict(value: float) -> None:
    """A number that is none is named in words, never shown as one; so is a share."""
    assert format_metric(value) == format_share(value) == "not a number"
    assert format_metric([1.0, value]) == "1, not a number"
    assert (format_metric(math.inf), format_share(-math.inf)) == ("infinite", "-infinite")
    assert (format_share(0.5), format_share(None), format_metric(0.25)) == ("50.0%", "n/a", "0.25")


def test_tables_of_like_names() -> None:
    """Two tables never share a file: a result that would have it so is refused."""
    table = pd.DataFrame({"x": [1]})
    check_result(Result(tables={"a b": table, "a-b": table}))
    with pytest.raises(ValueError, match="'a b' and 'a_b' would share one file"):
        check_result(Result(tables={"a b": table, "a_b": table}))


@pytest.mark.parametrize("line", ["loss", ("loss",), ("loss", 0.5), ("loss", "a", "b"), ("loss", None)])
def test_verdict_lines_are_pairs_of_texts(line: object) -> None:
    """Anything else is refused, and shown; a list of two texts will do."""
    with pytest.raises(TypeError, match="a verdict line is a pair of texts"):
        check_result(Result(verdict=[line]))  # type: ignore[list-item]
    check_result(Result(verdict=[["loss", "0.5"]]))  # type: ignore[list-item]
