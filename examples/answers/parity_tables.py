"""Tables of the runs on sparse parity, from measured/, and what to say of runs that are not there."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from answers.tables import MEASURED
from answers.waiting import waits
from claims import Claims

COMMAND = "python examples/long_runs/evidence.py parity_tables"


def table(name: str) -> pd.DataFrame:
    """A table of measured rows; empty where it was not made yet."""
    path = MEASURED / f"sparse_parity_{name}.csv"
    return pd.read_csv(path) if path.is_file() else pd.DataFrame({"run": []})


def absent(claims: Claims, names: Sequence[str], *runs: str) -> None:
    """Answer that runs are not there yet."""
    for name in names:
        claims.answer(name, "", holds=None, note=waits(*runs), command=COMMAND)
