"""The lead over networks: by hand, where nothing leads, and where a measure only tells the time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from interp import InterpError
from probes import changes_by_network, lead_over_seeds
from probes.change_points import Change
from probes.leads import order

STEPS = np.arange(0, 8000, 200)


def jump(at: float) -> np.ndarray:
    return (at < STEPS).astype(float)


def sigmoid(at: float, width: float, rng: np.random.Generator, noise: float = 0.03) -> np.ndarray:
    """Noise is correlated: 0.8 from one checkpoint to the next."""
    e = np.zeros(len(STEPS))
    for i in range(1, len(STEPS)):
        e[i] = 0.8 * e[i - 1] + 0.6 * noise * rng.normal()
    return 1 / (1 + np.exp(-(STEPS - at) / width)) + e


def framed(networks: list[Mapping[tuple[str, str], np.ndarray]]) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"step": STEPS, "member": i, "measure": m, "where": w, "value": values})
        for i, curves in enumerate(networks) for (m, w), values in curves.items()
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def network(test: float, **measures: float) -> dict[tuple[str, str], np.ndarray]:
    """Memorised at step 1,000, generalised at ``test``; every measure jumps once."""
    jumps = {(name, ""): jump(at) for name, at in measures.items()}
    return {("accuracy", "train"): jump(900), ("accuracy", "test"): jump(test), **jumps}


def test_the_rule() -> None:
    """Wholly before, wholly after, overlapping; intervals that touch are apart."""
    early, late = (Change(0, low, high, 0, 1, 1, log=False) for low, high in ((10, 20), (20, 30)))
    over = Change(0, 15, 25, 0, 1, 1, log=False)
    assert [order(early, late), order(late, early), order(early, over)] == ["leads", "follows", "undecided"]


def test_changes_of_two_networks_by_hand() -> None:
    """Steps of all events; what never generalises has no row, and what does not change in the window neither."""
    frame = framed([network(4100, m=2100, same=4100), network(5100, m=6100, same=5100), network(9000, m=3000)])
    found = changes_by_network(frame).set_index(["measure", "member"])
    assert set(found.index.get_level_values("member")) == {0, 1}
    columns = ["changes_at", "test_at", "memorised_at", "generalised_at", "order"]
    assert found.loc[("m", 0), columns].tolist() == [2100, 4100, 1000, 4200, "leads"]
    assert found.loc[("m", 1), columns].tolist() == [6100, 5100, 1000, 5200, "follows"]
    assert found.loc["same"]["order"].tolist() == ["undecided"] * 2
    assert ("accuracy", "train") not in set(zip(found.index.get_level_values(0), found["where"], strict=True))
    whole = changes_by_network(frame, window="whole run").set_index(["measure", "where", "member"])
    assert whole.loc[("accuracy", "train", 0), "order"] == "leads"


def test_leads_over_networks_by_hand() -> None:
    """Counts, median lead in steps and in delays, and verdicts over six networks."""
    at = [3100, 3500, 4100, 4500, 5100, 5500]
    table = lead_over_seeds(changes_by_network(framed([network(t, m=t - 1000, after=t + 1400) for t in at])))
    rows = table.set_index("measure").drop(index="control")
    first, after = rows.loc["m"], rows.loc["after"]
    assert first[["seeds", "leads", "undecided", "follows", "verdict"]].tolist() == [6, 6, 0, 0, "leads"]
    assert (first["lead"], first["lead_low"], first["lead_high"], first["share"]) == (1000, 1000, 1000, 1)
    assert first["delays"] == pytest.approx(np.median([1000 / (t + 100 - 1000) for t in at]))
    assert (first["tied"], after["verdict"]) == (pytest.approx(1), "follows")
    assert first["tied_p"] < 0.01
    few = lead_over_seeds(changes_by_network(framed([network(t, m=t - 1000) for t in at[:3]]))).set_index("measure")
    assert few.loc["m", "verdict"] == "undecided"  # three of three


def test_what_tells_the_time_leads_as_often_when_shuffled() -> None:
    """A jump at the same step in every network: not tied to anything. The clock is gradual, what trails never leads."""
    rows = lead_over_seeds(changes_by_network(framed([network(t, m=2100) for t in (4100, 4500, 5100, 5500, 6100)])))
    told = rows.set_index(["measure", "where"])
    assert told.loc[("m", ""), ["verdict", "shuffled"]].tolist() == ["leads", 1]
    assert np.isnan(told.loc[("m", ""), "tied"])
    assert told.loc[("control", "clock"), "verdict"] == "gradual"
    assert told.loc[("control", "trailing accuracy"), "leads"] == 0


@pytest.mark.parametrize(("early", "expected"), [(0, {"undecided"}), (1200, {"leads"})])
def test_sigmoids_that_change_together_do_not_lead(early: int, expected: set[str]) -> None:
    """Five widths, correlated noise, eight networks; a lead of six checkpoints is found."""
    rng = np.random.default_rng(0)
    networks = []
    for _ in range(8):
        at = rng.uniform(3000, 6000)
        widths = {(f"m{w}", ""): sigmoid(at - early, w, rng) for w in (50, 100, 200, 300)}
        networks.append({("accuracy", "train"): jump(-1), ("accuracy", "test"): sigmoid(at, 100, rng, 0.01), **widths})
    table = lead_over_seeds(changes_by_network(framed(networks), threshold=0.8, window="whole run"))
    assert set(table.loc[table["measure"].str.startswith("m"), "verdict"]) == expected


def test_refusals() -> None:
    """Another window, a table of something else, no test accuracy, nothing that generalised."""
    frame = framed([network(9000, m=3000)])
    for bad, words in (
        ({"window": "late"}, "after memorisation or whole run"),
        ({"threshold": 2.0}, "threshold"),
    ):
        with pytest.raises(InterpError, match=words):
            changes_by_network(frame, **bad)  # type: ignore[arg-type]
    for table in (pd.DataFrame({"a": [1]}), frame[frame["measure"] == "m"], [1.5]):
        with pytest.raises(InterpError, match="accuracy|columns"):
            changes_by_network(table)  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="no network generalised"):
        lead_over_seeds(changes_by_network(frame))
