"""Verdicts on the twins of the skull: from tables made by hand, as long, as many and as unanimous as the claims ask."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import pandas as pd
import pytest

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "examples"))
sys.path.insert(0, str(ROOT / "docs" / "evidence"))

import unified

from answers import picbreeder_vs_sgd, twin_rows
from claims import Claims

PAGE = ROOT / "docs" / "evidence" / "regularisation_and_width.md"
Change = Callable[[pd.DataFrame], object]


def verdict(monkeypatch: pytest.MonkeyPatch, name: str, change: Change = lambda table: None) -> tuple[str, str]:
    """Verdict and note, with six twins of 100,000 steps in the table of which those with decay use a fifth less."""
    found = twin_rows.tables()
    evolved = found["twins"][found["twins"]["variant"].isin(["evolved", "published SGD"])]
    rows = [
        {"run": "skull_64", "picture": "skull", "variant": "plain", "width": 1.0, "weight_decay": decay, "seed": float(seed),
         "steps": 100_000.0, "size": 64.0, "lr": 3e-3, "total": 264, "mse": 4e-4, "mse_256": 5e-3,
         "drop_factor": 1.2, "drop_p_value": 0.5, "drop_low": 60_000, "drop_high": 61_000,
         **{f"used_{x:g}": round(n * (0.8 if decay else 1)) for x, n in (
             (1e-5, 260), (1e-4, 250), (1e-3, 200))},
         **{f"random{kind}_antisymmetric_share{end}": 0.4 + shift for kind in ("", "_matched") for end, shift in (
             ("", 0), ("_low", -0.01), ("_high", 0.01))}}
        for decay in (0.0, 1e-3) for seed in range(3)
    ]  # fmt: skip
    twins = pd.DataFrame(rows)
    change(twins)
    monkeypatch.setattr(picbreeder_vs_sgd, "tables", lambda: found | {"twins": pd.concat([evolved, twins])})
    claims = Claims("picbreeder_vs_sgd")
    picbreeder_vs_sgd.answer(claims)
    return claims.answers[name].verdict, claims.answers[name].note


def set_to(column: str | list[str], value: object, rows: object = slice(None)) -> Change:
    """Some twins have other numbers."""
    return lambda table: table.loc.__setitem__((rows, column), value)


def test_fewer_in_every_seed_at_each_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict(monkeypatch, "units_decay")[0] == "holds"
    one_seed = set_to(["used_1e-05", "used_0.0001", "used_0.001"], [250, 240, 190], rows=4)
    assert verdict(monkeypatch, "units_decay", one_seed)[0] == "does not hold"


def test_another_learning_rate_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "learning rate" not in verdict(monkeypatch, "units_decay")[1]
    note = verdict(monkeypatch, "units_decay", set_to("lr", 1e-3, rows=slice(3, 5)))[1]
    assert note.endswith("learning rate 0.001 in place of 0.003 for plain networks of width 1")


def test_thresholds_that_disagree_decide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found, note = verdict(monkeypatch, "units_decay", set_to("used_1e-05", 259, rows=slice(3, 5)))
    assert found == "undecided"
    assert "By threshold 1e-05: does not hold; by threshold 0.0001: holds" in note


def test_short_runs_and_few_seeds_decide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdict(monkeypatch, "units_decay", set_to("steps", 20_000.0))[0] == "undecided"
    found, note = verdict(monkeypatch, "units_decay", set_to("weight_decay", 0.5, rows=5))
    assert found == "undecided"
    assert "2 of 3 seeds" in note


def test_a_twin_that_never_drew_the_picture_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead network has no unit in use: fewer than any other."""
    used = [f"used_{threshold:g}" for threshold in twin_rows.THRESHOLDS]
    dead = set_to(["mse", *used], [0.33, 0, 0, 0], rows=4)
    found, note = verdict(monkeypatch, "units_decay", dead)
    assert found == "undecided"
    assert "2 of 3 seeds" in note
    assert "1 network that did not draw the picture in the end left out" in note


def test_tables_of_layers_have_no_dead_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    real, read = pd.read_csv, twin_rows.tables()

    def one_dead(path: object, *args: object) -> pd.DataFrame:
        table = real(path)
        if str(path).endswith("skull_twins.csv"):
            table.loc[(table["run"] == "skull_64") & (table["seed"] == 1), "mse"] = 0.33
        return table

    monkeypatch.setattr(twin_rows.pd, "read_csv", one_dead)
    for name, table in twin_rows.tables().items():
        dead = (table["run"] == "skull_64") & (table["seed"] == 1)
        assert dead.any() == (name == "twins")
        assert len(table) == len(read[name]) - (
            0 if name == "twins" else ((read[name]["run"] == "skull_64") & (read[name]["seed"] == 1)).sum()
        )


def test_what_has_no_run_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("units_wider", "late_drop", "dead_sweeps", "skull_features"):
        found, note = verdict(monkeypatch, name)
        assert (found, "skull_64" in note) == ("not run", True)


def test_sweeps_need_intervals_that_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a step of 1 and at matched effect."""
    ends = [f"random{kind}_antisymmetric_share_high" for kind in ("", "_matched")]
    assert verdict(monkeypatch, "sweeps_decay")[0] == "does not hold"
    assert verdict(monkeypatch, "sweeps_decay", set_to(ends, 0.3, rows=slice(3, 5)))[0] == "holds"
    assert verdict(monkeypatch, "sweeps_decay", set_to(ends[0], 0.3, rows=slice(3, 5)))[0] == "undecided"


def wider(weight_decay: list[float], factor: list[float]) -> Change:
    """Networks of twice the width with these decays, of three seeds each, that use so many of the units of single width."""

    def change(table: pd.DataFrame) -> None:
        used = [f"used_{threshold:g}" for threshold in twin_rows.THRESHOLDS]
        for at, share in zip(weight_decay, factor, strict=True):
            for width, scale in ((1.0, 1.0), (2.0, share)):
                own = table[table["weight_decay"] == 1e-3].assign(width=width, weight_decay=at)
                own[used] = (own[used] * scale).round()
                for _, row in own.iterrows():
                    table.loc[len(table)] = row

    return change


def test_a_decay_that_the_source_leaves_open_is_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [2e-3, 1e-4]  # rows of 1e-3 at width 1 are there already
    monkeypatch.setattr(picbreeder_vs_sgd, "DECAYS", {"decay 2e-3": 2e-3, "decay 1e-4": 1e-4})
    assert verdict(monkeypatch, "units_wider", wider(both, [0.5, 0.5]))[0] == "holds"
    found, note = verdict(monkeypatch, "units_wider", wider(both, [0.5, 1.0]))
    assert found == "undecided"
    assert "decay 2e-3, threshold 1e-05: holds" in note
    assert "decay 1e-4, threshold 1e-05: does not hold" in note


def test_a_measure_that_the_evolved_network_fails_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found = twin_rows.tables()
    claims = Claims("picbreeder_vs_sgd")
    picbreeder_vs_sgd.answer(claims)
    assert claims.answers["skull_features"].verdict == "undecided"
    layers = found["layers"].copy()
    shown = (layers["variant"] == "evolved") & (layers["picture"] == "skull") & (layers["basis"] == "units")
    layers.loc[shown & (layers["layer"] == 5), "largest"] = 0.95  # the sixth layer, counted from 1
    monkeypatch.setattr(picbreeder_vs_sgd, "tables", lambda: found | {"layers": layers})
    claims = Claims("picbreeder_vs_sgd")
    picbreeder_vs_sgd.answer(claims)
    assert claims.answers["skull_features_evolved"].verdict == "agrees"
    assert claims.answers["skull_features"].verdict == "does not hold"


def test_a_drop_is_looked_for_from_a_tenth_of_the_run_on() -> None:
    """A curve that falls to a tenth in its first half: no drop in the second half, one from a tenth of the run on."""
    steps = [400.0 * i for i in range(251)]
    noise = [1 + 0.01 * ((7 * i) % 5 - 2) for i in range(251)]
    key = {
        "run": "wide",
        "picture": "skull",
        "variant": "plain",
        "width": 2.0,
        "weight_decay": 1e-4,
        "steps": 1e5,
        "seed": 0.0,
    }
    losses = pd.DataFrame([
        key | {"step": step, "loss": (0.1 if step < 30_000 else 0.01) * wave}
        for step, wave in zip(steps, noise, strict=True)
    ])  # fmt: skip
    found = twin_rows.tables()
    rows = twin_rows.Rows(Claims("picbreeder_vs_sgd"), found | {"losses": losses})
    early = rows.drops_from(pd.DataFrame([key]), 0.1)
    assert early["drop_factor"].item() == pytest.approx(10, rel=0.05)
    assert early["drop_p_value"].item() <= 0.01
    assert rows.drops_from(pd.DataFrame([key]), 0.5)["drop_factor"].item() < 1.5


def test_a_late_drop_needs_a_factor_and_a_small_p_value(monkeypatch: pytest.MonkeyPatch) -> None:
    both = ["drop_factor", "drop_p_value"]
    found = [
        verdict(monkeypatch, "late_drop_twins", set_to(both, value))[0]
        for value in ([3, 0.001], [3, 0.2], [1.7, 0.001])
    ]
    assert found == ["holds", "does not hold", "undecided"]


def test_the_page_has_the_numbers_of_the_tables() -> None:
    """Its generated parts are as new as the tables, and its sentences quote intervals that stand in them."""
    page = PAGE.read_text(encoding="utf8")
    assert page == unified.filled(page)
    blocks = "\n".join(unified.blocks().values())
    prose = re.sub(r"<!-- \w+ -->.*?<!-- end -->", "", page, flags=re.DOTALL)
    quoted = re.findall(r"[+-]?[\d.]+ \[[^\]]+\](?!\()", prose)
    assert len(quoted) >= 6
    assert [words for words in quoted if words not in blocks] == []
    shares = [
        re.search(rf"\| skull, {kind} \| (\d+%) \| (\d+%) \| (\d+%) \|", blocks)
        for kind in ("published SGD", "evolved")
    ]
    sgd, evolved = (found.groups() for found in shares if found)
    words = " ".join(prose.split())
    assert (
        "{} of the variance among units, {} among principal components, {} among singular directions".format(*sgd)
        in words
    )
    assert "in the evolved skull {}, {}, {}.".format(*evolved) in words


def test_differences_of_means_by_scipy() -> None:
    """Welch's interval of seven against five numbers."""
    from scipy.stats import ttest_ind

    one, other = pd.Series([3.0, 4, 5, 6, 7, 8, 4]), pd.Series([1.0, 9, 2, 7, 3])
    value, low, high = unified.difference(one, other) or (0, 0, 0)
    expected = ttest_ind(one, other, equal_var=False).confidence_interval()
    assert (value, low, high) == pytest.approx((one.mean() - other.mean(), expected.low, expected.high))
    assert unified.difference(one[:2], other) is None
