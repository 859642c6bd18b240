"""Finished runs, and tables of what was measured on them: rows of runs that are not here stay as they are."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Callable, Collection, Iterable
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

import interp
from interp._util.files import atomic
from interp.errors import InterpError

from long_runs.steps import steps

_written: list[Path] = []


def start(
    main: Callable[..., None],
    doc: str | None,
    *,
    kinds: Collection[str] = (),
    cases: Collection[str] = (),
    data: bool = False,
) -> None:
    """Run a script that measures: read its words, say in a line what is wrong with them, or that there was nothing to measure.

    Args:
        main: takes the kind, where there are several, the folder of runs, that of the tables, and what else there is.
        doc: of the script.
        kinds: of tables, of which one is named first.
        cases: further names, none or some of these.
        data: whether a third folder, of files of others, is named.

    Raises:
        SystemExit: wrong words, a run that cannot be read, or nothing to measure.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if kinds:
        parser.add_argument("kind", choices=kinds)
    parser.add_argument("runs", metavar="RUNS", type=_folder, help="folder of the runs")
    parser.add_argument("out", metavar="OUT", type=_folder, help="folder of the tables")
    if data:
        parser.add_argument("data", metavar="DATA", type=_folder, help="folder of files of others")
    if cases:
        parser.add_argument("cases", metavar="CASE", nargs="*", help=f"of {', '.join(cases)}; all by default")
    given = parser.parse_args()
    if wrong := [name for name in getattr(given, "cases", ()) if name not in cases]:
        parser.error(f"there is no case {wrong[0]!r}; there are {', '.join(cases)}")
    places = [given.runs, given.out, *([given.data] if data else [])]
    try:
        main(*([given.kind] if kinds else []), *places, *getattr(given, "cases", ()))
    except (InterpError, OSError) as error:
        sys.exit(f"error: {error}")
    if not _written:
        sys.exit(f"nothing was measured: {given.runs} holds no finished run that this measures; no table was changed")


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return Path(text)


def finished(runs: Path, names: Iterable[str]) -> dict[str, interp.Run]:
    """The finished runs of a folder by name.

    Args:
        runs: the folder.
        names: of runs, in the order of the result; ``*`` stands for anything, in names that are those of steps.
    """
    found = {}
    for pattern in names:
        for name in _runs(pattern) if "*" in pattern else [pattern]:
            if not (runs / name / "run.json").is_file():
                continue
            try:
                run = interp.Run(runs / name)
                whole = run.finished
            except InterpError as error:
                print(f"{error}: left out", flush=True)
                continue
            if whole:
                found[name] = run
            else:
                print(f"{name} is not finished: left out", flush=True)
    return found


def _runs(pattern: str) -> list[str]:
    """The names of steps that a pattern stands for, of those that are runs."""
    return sorted(fnmatch.filter((step.name for step in steps().values() if step.kind == "runs"), pattern))


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
    rows = rows.iloc[np.argsort([place[key] for key in _keys(rows, by)], kind="stable")]
    replace(path, rows.to_csv(index=False))


def replace(path: Path, text: str) -> None:
    """Write a table as a whole or not at all."""
    with atomic(path) as partial:
        partial.write_text(text, encoding="utf8")
    _written.append(path)


def _as_text(csv: Path | StringIO) -> pd.DataFrame:
    """A table whose cells stay what is written, so that rows that are kept do not change by a digit."""
    return pd.read_csv(csv, dtype=str, keep_default_na=False)


def _keys(table: pd.DataFrame, by: list[str]) -> list[tuple[str, ...]]:
    return list(table[by].itertuples(index=False, name=None))
