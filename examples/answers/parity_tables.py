"""Tables of the runs on sparse parity, from measured/, and what to say of runs that are not there."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from answers.tables import MEASURED
from claims import Claims

HERE = Path(__file__).parents[1]
COMMAND = "python examples/long_runs/evidence.py parity_tables"


def table(name: str) -> pd.DataFrame:
    """A table of measured rows; empty where it was not made yet."""
    path = MEASURED / f"sparse_parity_{name}.csv"
    return pd.read_csv(path) if path.is_file() else pd.DataFrame({"run": []})


def cost(*names: str) -> str:
    """Why a row was not run: what the runs would take."""
    runs = tomllib.loads((HERE / "long_runs/evidence/sparse_parity.toml").read_text(encoding="utf8"))["runs"]
    return f"Not run yet: about {sum(runs[name]['minutes'] for name in names):g} minutes of a core"


def absent(claims: Claims, names: Sequence[str], *runs: str) -> None:
    """Answer that runs are not there yet."""
    for name in names:
        claims.answer(name, "", holds=None, note=cost(*runs), command=COMMAND)
