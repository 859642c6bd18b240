"""Finished runs, and tables of what was measured on them: rows of runs that are not here stay as they are."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

import interp


def finished(runs: Path, names: Iterable[str]) -> dict[str, interp.Run]:
    """The finished runs of a folder by name.

    Args:
        runs: the folder.
        names: of runs, in the order of the result; ``*`` stands for anything.
    """
    found = {}
    for name in names:
        for path in sorted(runs.glob(f"{name}/run.json")):
            run = interp.Run(path.parent)
            if run.finished:
                found[path.parent.name] = run
            else:
                print(f"{path.parent.name} is not finished: left out", flush=True)
    return found


def only(runs: Path, name: str) -> interp.Run:
    """One run.

    Raises:
        SystemExit: it is not there or not finished.
    """
    found = finished(runs, [name])
    if not found:
        raise SystemExit(f"{runs / name} is not there or not finished: python examples/long_runs/evidence.py --list")
    return found[name]


def store(table: pd.DataFrame, path: Path, by: str | list[str] = "run", digits: int = 5) -> None:
    """Write a table, its rows in place of those of the same runs; the others stay, and runs keep their order.

    Args:
        table: nothing is written if it is empty.
        path: CSV.
        by: what a run is known by.
        digits: significant ones of numbers that are not whole.
    """
    if table.empty:
        return
    by = [by] if isinstance(by, str) else by
    new = _as_text(StringIO(table.to_csv(index=False, float_format=f"%.{digits}g")))
    old = _as_text(path) if path.is_file() else new.iloc[:0]
    before, measured = _keys(old, by), _keys(new, by)
    place = {key: i for i, key in enumerate(dict.fromkeys([*before, *measured]))}
    gone = set(measured)
    kept = old[[key not in gone for key in before]]
    rows = pd.concat([kept, new])
    rows.iloc[np.argsort([place[key] for key in _keys(rows, by)], kind="stable")].to_csv(path, index=False)


def _as_text(csv: Path | StringIO) -> pd.DataFrame:
    """A table whose cells stay what is written, so that rows that are kept do not change by a digit."""
    return pd.read_csv(csv, dtype=str, keep_default_na=False)


def _keys(table: pd.DataFrame, by: list[str]) -> list[tuple[str, ...]]:
    return list(table[by].itertuples(index=False, name=None))
