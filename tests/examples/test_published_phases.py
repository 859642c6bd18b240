"""The published diagram of toy addition: counts by side, cells shared with the authors, and what the docs say of them."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pandas as pd
import pytest

import interp
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "examples"))

from long_runs import effective_theory_phases as published


def test_the_authors_own_phases_agree_with_themselves() -> None:
    """And a network that is off in one cell counts one less."""
    cells = [(lr, k, published.LETTERS[c]) for lr, row in published.SHARED.items() for k, c in enumerate(row)]
    table = pd.DataFrame(cells, columns=[*published.CELL, "above"]).assign(seed=1)
    table["at_least"] = table["above"].where(table.index > 0, "grokking")
    assert published.agreement(table).loc[1].tolist() == [33, 32, 33]
    assert published.counts(table).loc["> 0.9, all"].tolist() == [4, 6, 11, 12, 33]


def test_a_run_that_is_stopped_is_refused(tmp_path: Path) -> None:
    """What it has not reached yet would count as never reached; resumed, it has a row per network."""
    members = [{"decoder_lr": 1e-3, "decoder_weight_decay": decay, "seed": 1} for decay in (0.0, 1.0)]

    def stop(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interp.train("addition:p=5", "mlp:hidden=4", members=members, steps=20, out=tmp_path / "run", progress=stop)
    with pytest.raises(SystemExit, match="is not finished; go on with interp train --resume"):
        published.networks(interp.Run(tmp_path / "run"))
    found = published.networks(interp.resume(tmp_path / "run"))
    assert found[[*published.CELL, "seed"]].to_dict("records") == members


def test_the_guide_has_the_counts_of_the_table() -> None:
    table = pd.read_csv(ROOT / "examples" / "measured" / "effective_theory_toy_published.csv")
    guide = (ROOT / "docs" / "how_to" / "grids.md").read_text(encoding="utf8")
    found = published.counts(table)
    for words, row in (("here, above 0.9", "> 0.9, all"), ("here, at least 0.9", ">= 0.9, all")):
        assert f"| {words} | {' | '.join(map(str, found.loc[row].tolist()))} |" in guide
    assert f"phases are equal in {published.agreement(table)['>= 0.9'].sum()} by at least 0.9" in guide
