"""Every experiment's result follows one protocol: the same tidy columns, one figure, files of three kinds, safe in a notebook."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch

from circuits import Scale, ablate, attribute, discover, intervene, patch, path_patch
from circuits.findings import COLUMNS, EffectTable, Findings
from interp import InterpError, Site
from tests.models import subject

ONE = subject("two layers")
INPUTS = ONE.require_task().inputs
RUNS = INPUTS[:5], INPUTS[9:14]
Z = "blocks.0.attn.hook_z"
EVIL = "</script><script>alert(1)</script><b>&"

# the experiment, and which run its changes are measured from
EXPERIMENTS: dict[str, tuple[Callable[[], Any], str]] = {
    "ablate": (lambda: ablate(ONE, "heads", metric="logit_diff", n_random=3), "clean"),
    "intervene": (lambda: intervene(ONE, Scale(Z, 0.5), metric=["loss", "accuracy", "kl"]), "clean"),
    "patch": (lambda: patch(ONE, *RUNS, [Z, "blocks.1.hook_resid_pre"]), "corrupted"),
    "attribute": (lambda: attribute(ONE, *RUNS, [Z, "blocks.1.hook_resid_pre"], verify=True), "corrupted"),
    "path_patch": (
        lambda: path_patch(ONE, *RUNS, sender=Site(Z, head=1), receivers=["blocks.1.attn.hook_q", "hook_logits"]), "corrupted",
    ),
    "discover": (lambda: discover(ONE, metric="loss", faithfulness=0.8, n_random=2), "score"),
}  # fmt: skip


@pytest.fixture(scope="module", params=EXPERIMENTS)
def experiment(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def found(experiment: str) -> Any:
    return EXPERIMENTS[experiment][0]()


def test_the_tidy_table_has_the_same_columns_first(found: Findings) -> None:
    """No column is missing, none is double, and every row names what it is about."""
    table = found.table
    assert type(table) is pd.DataFrame
    assert tuple(table.columns[: len(COLUMNS)]) == COLUMNS
    assert table.columns.is_unique
    assert len(table) > 0
    assert table["component"].astype(str).str.len().min() > 0
    # an element outside a circuit has no score of its own
    known = table["kept"] if "kept" in table else pd.Series(True, index=table.index)
    assert table["metric"].notna().all()
    assert table["changed"].notna().equals(known.astype(bool).rename("changed"))
    assert table["change"].notna().equals(known.astype(bool).rename("change"))
    assert not table.duplicated(["component", "site", "index", "metric"]).any()


def test_change_is_changed_minus_the_reference(experiment: str, found: Any) -> None:
    """The clean run, the corrupted run that is patched, or the circuit whose element is taken out."""
    table, reference = found.table, EXPERIMENTS[experiment][1]
    start = table["clean"] if reference == "clean" else found.summary[reference]
    np.testing.assert_allclose(table["changed"] - start, table["change"], rtol=1e-12, atol=1e-12)


def test_ablate_and_intervene_keep_their_own_tables() -> None:
    """The same numbers, in wide form; one row a metric of the wide table's rows."""
    wide = ablate(ONE, "heads", metric="logit_diff", n_random=3)
    tidy = wide.table
    assert len(tidy) == len(wide) * tidy["metric"].nunique()
    for metric, own in tidy.groupby("metric"):
        np.testing.assert_array_equal(own["changed"], wide[metric])
        np.testing.assert_allclose(own["change"], wide[f"{metric}_change"], atol=1e-12)
        assert set(own["clean"]) == {wide.attrs["clean"][metric]}


def test_the_figure_is_plotlys(found: Findings) -> None:
    figure = found.figure()
    assert isinstance(figure, go.Figure)
    assert len(figure.data) > 0  # pyright: ignore[reportArgumentType]


def test_files(found: Findings, tmp_path: Path) -> None:
    """The table comes back from csv and json with its numbers; the page needs no network."""
    table = found.table
    back = pd.read_csv(found.save(tmp_path / "found.csv"))
    assert list(back.columns) == list(table.columns)
    np.testing.assert_allclose(back["changed"], table["changed"], rtol=1e-14)
    held = json.loads(found.save(str(tmp_path / "found.json")).read_text(encoding="utf8"))
    assert [row["component"] for row in held["table"]] == table["component"].tolist()
    changed = np.array([row["changed"] for row in held["table"]], dtype=float)  # None for NaN, which JSON lacks
    np.testing.assert_allclose(changed, table["changed"], rtol=1e-14)
    assert set(held["summary"]) == set(found.summary)
    page = found.save(tmp_path / "found.html").read_text(encoding="utf8")
    assert page.startswith("<!doctype html>")
    assert "Plotly.newPlot" in page
    assert len(page) > 1 << 20  # plotly itself is in it
    assert "<script src=" not in page
    assert f">{table['component'].iloc[0]}<".replace(" > ", " &gt; ") in page


def test_another_ending_or_place_is_refused(found: Findings, tmp_path: Path) -> None:
    for name in ("found.txt", "found", "found.CSV.gz"):
        with pytest.raises(InterpError, match=r"must end in \.csv .*\.json .*\.html"):
            found.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InterpError, match="cannot be written"):
        found.save(tmp_path / "no" / "such" / "folder.csv")


def test_a_query_of_an_effect_table_keeps_the_protocol() -> None:
    """So do a sorted one, a copy, and the rows that are random."""
    wide = ablate(ONE, "heads", n_random=3)
    for part in (wide.query("baseline"), wide[~wide["baseline"]], wide.sort_values("loss_change").head(2), wide.copy()):
        assert isinstance(part, EffectTable)
        assert isinstance(part.figure(), go.Figure)
        losses = part.table.query("metric == 'loss'")
        assert losses[["component", "site"]].to_numpy().tolist() == part[["component", "site"]].to_numpy().tolist()
        assert part.summary == wide.summary
    assert type(wide.rows) is pd.DataFrame
    nothing = wide.query("loss_change > 1e9")
    assert tuple(nothing.table.columns[: len(COLUMNS)]) == COLUMNS
    assert len(nothing.table) == 0


def test_notebooks_and_pages_show_names_as_text(tmp_path: Path) -> None:
    """A component that is called like a script runs nowhere: neither in the table, the summary nor the figure."""
    frame = pd.DataFrame({"component": [EVIL], "site": [EVIL], "index": [0], "loss": [1.0]})
    table = EffectTable.of(frame, clean={"loss": 0.5}, sign=EVIL)
    page = table.save(tmp_path / "evil.html").read_text(encoding="utf8")
    for text in (table._repr_html_(), page):
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text
        assert "<b>&" not in text


def test_a_long_table_shows_its_first_rows(found: Any) -> None:
    """In a notebook; a patching shows its heat map instead, where plotly may draw."""
    shown = found._repr_html_()
    assert shown.count("<tr") <= 14
    wide = EffectTable.of(pd.DataFrame({"component": range(1000), "loss": torch.ones(1000)}), clean={"loss": 0.5})
    assert wide._repr_html_().count("<tr") == 13
    assert "1,000 rows" in wide._repr_html_()
