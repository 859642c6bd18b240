"""The folder of a report: built in a temporary folder, moved into place when it is complete."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interp.errors import InterpError
from interp.hooked import HookedModel
from interp.plugins.outcome import Outcomes
from interp.report import compare_page
from interp.report.comparison import Comparison
from interp.report.data import result_data, write_files
from interp.report.output import FILES, FOLDERS, PARTIAL, earlier, reserved
from interp.report.page import render
from interp.report.resume import forget
from interp.subject import Subject, as_subject


def write_comparison(comparison: Comparison, out: str | Path, *, force: bool = False) -> Path:
    """`write` for a comparison; file names of a subject's tables and pictures begin with its place in the comparison.

    Args:
        comparison: from `interp.compare`.
        out: as in `write`.
        force: as in `write`.

    Returns:
        The path of ``index.html``.

    Raises:
        OutputExists: see `check_output` and `reserved`; nothing is half-written.
        InterpError: the folder cannot be written, or ``comparison`` is something else.
    """
    if not isinstance(comparison, Comparison):
        raise InterpError(f"a Comparison is needed, as interp.compare returns it, got a {type(comparison).__name__}")
    return _write(lambda folder: compare_page.fill(folder, comparison), Path(out), force)


def write(subject: Subject | HookedModel, outcomes: Outcomes, out: str | Path, *, force: bool = False) -> Path:
    """Write a report: ``index.html``, ``result.json``, ``tables/*.csv`` and ``pictures/*.png``.

    An earlier report in the folder is replaced, with its tables and pictures; other files are left alone.

    Args:
        subject: what was analysed.
        outcomes: from `interp.analyze`.
        out: the folder; created if needed.
        force: write into a folder that holds other things, too.

    Returns:
        The path of ``index.html``.

    Raises:
        OutputExists: see `check_output` and `reserved`; nothing is half-written.
        InterpError: the folder cannot be written, or ``outcomes`` is something else.
    """
    subject = as_subject(subject)
    if not isinstance(outcomes, Outcomes):
        raise InterpError(f"Outcomes are needed, as interp.analyze returns them, got a {type(outcomes).__name__}")
    return _write(lambda folder: _fill(folder, subject, outcomes), Path(out), force)


def _write(fill: Callable[[Path], None], out: Path, force: bool) -> Path:
    try:
        with reserved(out, force=force):
            # inside the folder, so that moving files never crosses file systems
            building = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=out))
            for name in FOLDERS:
                (building / name).mkdir()
            fill(building)
            _put_in_place(building, out)
            forget(out)
    except OSError as error:
        raise InterpError(f"cannot write a report to {out}: {error.strerror or error}") from error
    return out / "index.html"


def _fill(folder: Path, subject: Subject, outcomes: Outcomes) -> None:
    data = result_data(subject, outcomes)
    for name, outcome in outcomes.items():
        write_files(folder, name, outcome.result)
    (folder / "result.json").write_text(json.dumps(data, indent=2, allow_nan=False), encoding="utf-8")
    (folder / "index.html").write_text(render(subject, outcomes), encoding="utf-8")


def _put_in_place(building: Path, out: Path) -> None:
    outdated = _named_files(earlier(out) or {})
    for folder in FOLDERS:
        made = list((building / folder).iterdir())
        if made or folder == FOLDERS[0]:
            (out / folder).mkdir(exist_ok=True)
        for file in made:
            os.replace(file, out / folder / file.name)
            outdated.discard(f"{folder}/{file.name}")
    for name in FILES:
        os.replace(building / name, out / name)
    for name in outdated:
        (out / name).unlink(missing_ok=True)


def _named_files(data: dict[str, Any]) -> set[str]:
    """The tables and pictures that a ``result.json`` lists, except those outside the folders of a report."""
    groups = [data.get("analyses"), data.get("comparisons")]
    subjects = data.get("subjects")
    groups += [
        s.get("analyses") for s in (subjects.values() if isinstance(subjects, dict) else ()) if isinstance(s, dict)
    ]
    parts = [part for group in groups if isinstance(group, dict) for part in group.values() if isinstance(part, dict)]
    names = [n for part in parts for kind in FOLDERS for n in part.get(kind, [])]
    return {n for n in names if isinstance(n, str) and any(n == f"{folder}/{Path(n).name}" for folder in FOLDERS)}
