"""Results: how numbers read, and what a report could not show."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

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


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"metrics": {"loss": torch.tensor(3.0)}},
            r"metrics\['loss'\] must be .* got Tensor; .tolist\(\) makes it plain",
        ),
        ({"metrics": {"per head": [1, len]}}, r"metrics\['per head'\] must be a plain number"),
        ({"headline": None}, "the headline must be a text, got NoneType"),
        ({"notes": "one note"}, "notes must be a list of texts, got 'one note'"),
    ],
)
def test_what_a_reader_cannot_have_is_refused(given: dict[str, Any], message: str) -> None:
    """A tensor would stand in result.json as the text "tensor(3.)", and a note as a line per letter."""
    with pytest.raises(TypeError, match=message):
        check_result(Result(**given))
    check_result(
        Result({"loss": np.float32(3), "n": np.int64(2), "none": None, "by head": {"a": [1, "b"]}}, notes=["one"])
    )
