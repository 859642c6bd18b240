"""Verdicts of scores against null models, from tables made by hand."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from circuits.claims.unified import NETWORK, PICTURE, compared_claims, sweep_claims, unit_claims

FACTORS, EQUIVARIANT = NETWORK
RANK = PICTURE[1]
NAN = float("nan")


def row(null: str, name: str, value: float, spread: float = 0.0, changes: int = 30) -> dict[str, Any]:
    return {
        "null": null, "kind": "random", "at": "one step", "changes": changes, name: value, f"{name} low": value - spread,
        f"{name} high": value + spread,
    }  # fmt: skip


def table(own: float, spread: float, shuffled: float, untrained: float, name: str = FACTORS.name) -> pd.DataFrame:
    nulls = [row("shuffled 0", name, shuffled), row("random network 0", name, untrained)]
    return pd.DataFrame([row("", name, own, spread), *nulls])


@pytest.mark.parametrize(
    ("own", "spread", "shuffled", "untrained", "verdict"),
    [
        (10, 5, 40, 41, "supported"),
        (25, 5, 40, 41, "in part"),  # below all, and not by half
        (35, 1, 40, 41, "not supported"),  # below all, and hardly
        (10, 35, 40, 41, "not supported"),  # its interval reaches the shuffled ones
        (39, 5, 40, 41, "not supported"),
        (10, 5, 40, 9, "not tested"),  # untrained networks score as low
        (10, 5, 8, 9, "not supported"),
    ],
)
def test_lower_scores(own: float, spread: float, shuffled: float, untrained: float, verdict: str) -> None:
    (claim,) = sweep_claims(table(own, spread, shuffled, untrained), [FACTORS], [])
    assert claim.verdict == verdict
    assert f"{shuffled}" in claim.against
    assert claim.figure is None
    assert ("cannot tell" in claim.value) == (verdict == "not tested")


@pytest.mark.parametrize(("own", "verdict"), [(0.5, "supported"), (0.03, "in part"), (0.021, "not supported")])
def test_higher_scores(own: float, verdict: str) -> None:
    (claim,) = sweep_claims(table(own, 0.0, 0.02, 0.02, EQUIVARIANT.name), [EQUIVARIANT], [])
    assert claim.verdict == verdict


def test_null_models_that_change_nothing_are_named() -> None:
    """And do not count; without any other the claim is not tested."""
    frame = pd.DataFrame([
        row("", RANK.name, 0.1, 0.02), row("shuffled 0", RANK.name, NAN, changes=0), row("shuffled 1", RANK.name, 0.5, changes=2),
    ])  # fmt: skip
    (claim,) = sweep_claims(frame, PICTURE, [])
    assert claim.verdict == "not tested"
    assert "shuffled 0, shuffled 1" in claim.against
    assert "nan" not in claim.against
    more = pd.concat([frame, pd.DataFrame([row("random network 0", RANK.name, 0.6)])])
    (claim,) = sweep_claims(more, PICTURE, ["films"])
    assert (claim.verdict, claim.figure) == ("supported", "films")
    assert "0.6" in claim.against


def test_units() -> None:
    """The first row is the network, the others its null models; a network without carrying units makes no claim."""

    def rows(own: float) -> pd.DataFrame:
        values = {"this network": own, "shuffled 0": 18.0, "step 0 of the run": 17.0}
        name = "factors per unit"
        return pd.DataFrame([
            {"network": n, name: v, f"{name} low": v - 0.1, f"{name} high": v + 0.1} for n, v in values.items()
        ])  # fmt: skip

    (claim,) = unit_claims(rows(1.5), [])
    assert claim.verdict == "supported"
    assert "untrained networks 17" in claim.against
    assert unit_claims(rows(NAN), []) == []


def test_comparisons_are_as_clear_as_the_null_models_make_them() -> None:
    """The network with the better score is named; where its null models do as well, the score cannot tell."""
    name = FACTORS.name
    told = {
        "far": table(10, 1, 40, 41), "near": table(25, 1, 40, 41), "trivial": table(10, 1, 40, 9), "same": table(38, 3, 40, 41),
    }  # fmt: skip
    for first, verdict, answer in (
        ("far", "supported", "far is the unified one"), ("near", "in part", "near is the unified one"),
        ("trivial", "not tested", ""), ("same", "not supported", ""),
    ):  # fmt: skip
        (claim,) = compared_claims({first: told[first], "other": table(39, 1, 40, 41)}, [FACTORS], [name])
        assert (claim.verdict, claim.answer) == (verdict, answer)
        assert f"{first} is more unified than other" in claim.text
    (claim,) = compared_claims({"other": table(39, 1, 40, 41), "far": told["far"]}, [FACTORS], [])
    assert claim.answer == "far is the unified one"
