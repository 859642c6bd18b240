"""The folder of a report: built in a temporary folder, moved into place when it is complete."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from interp.errors import InterpError, OutputExists
from interp.hooked import HookedModel
from interp.plugins.outcome import Outcomes
from interp.report import compare_page
from interp.report.comparison import Comparison
from interp.report.data import result_data, write_files
from interp.report.page import render
from interp.subject import Subject, as_subject

FILES, FOLDERS = ("index.html", "result.json"), ("tables", "pictures")


def check_output(out: str | Path, *, force: bool = False) -> None:
    """Check, before any work is done, that a report can be written to a folder.

    Args:
        out: the folder; it may be new, empty, or hold an earlier report.
        force: accept a folder that holds other things; they are left alone.

    Raises:
        OutputExists: the folder holds something else and ``force`` is not set; or, whatever ``force`` says, a file or
            folder is in the way of the report's own.
        InterpError: the folder cannot be created or written.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise OutputExists(f"{out} is not a folder; name one for the report with --out")
    place = next(p for p in (out, *out.absolute().parents) if p.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise InterpError(f"cannot write a report to {out}: {place} is not a writable folder; choose another --out")
    if not out.exists():
        return
    wrong = [name for name in FILES if (out / name).exists() and not (out / name).is_file()]
    wrong += [name for name in FOLDERS if (out / name).exists() and not (out / name).is_dir()]
    if wrong:
        raise OutputExists(
            f"{out / wrong[0]} is in the way of the report's own; move it, or choose another folder with --out"
        )
    if not force and _earlier(out) is None and any(out.iterdir()):
        held = ", ".join(sorted(p.name for p in out.iterdir())[:6])
        raise OutputExists(
            f"{out} holds something other than a report ({held}); choose another folder with --out, or add the report to it "
            "with --force"
        )


def _earlier(folder: Path) -> dict[str, Any] | None:
    """The ``result.json`` of an earlier report in the folder; None without one."""
    try:
        data = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    ours = isinstance(data, dict) and any(isinstance(data.get(k), int) for k in ("interp_report", "interp_comparison"))
    return data if ours else None


def write_comparison(comparison: Comparison, out: str | Path, *, force: bool = False) -> Path:
    """`write` for a comparison; file names of a subject's tables and pictures begin with its place in the comparison.

    Args:
        comparison: from `interp.compare`.
        out: as in `write`.
        force: as in `write`.

    Returns:
        The path of ``index.html``.

    Raises:
        OutputExists: see `check_output`; nothing is half-written.
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
        OutputExists: see `check_output`; nothing is half-written.
        InterpError: the folder cannot be written, or ``outcomes`` is something else.
    """
    subject = as_subject(subject)
    if not isinstance(outcomes, Outcomes):
        raise InterpError(f"Outcomes are needed, as interp.analyze returns them, got a {type(outcomes).__name__}")
    return _write(lambda folder: _fill(folder, subject, outcomes), Path(out), force)


def _write(fill: Callable[[Path], None], out: Path, force: bool) -> Path:
    check_output(out, force=force)
    try:
        with _building_site(out) as building:
            for name in FOLDERS:
                (building / name).mkdir()
            fill(building)
            _put_in_place(building, out)
    except OSError as error:
        raise InterpError(f"cannot write a report to {out}: {error.strerror or error}") from error
    return out / "index.html"


@contextmanager
def _building_site(out: Path) -> Iterator[Path]:
    """A temporary folder inside ``out``, so that moving files never crosses file systems; a failure leaves no trace."""
    made = [p for p in (out, *out.absolute().parents) if not p.exists()]
    out.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".partial-", dir=out))
    try:
        yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)
        for folder in made:
            if not any(folder.iterdir()):
                folder.rmdir()


def _fill(folder: Path, subject: Subject, outcomes: Outcomes) -> None:
    data = result_data(subject, outcomes)
    for name, outcome in outcomes.items():
        write_files(folder, name, outcome.result)
    (folder / "result.json").write_text(json.dumps(data, indent=2, allow_nan=False), encoding="utf-8")
    (folder / "index.html").write_text(render(subject, outcomes), encoding="utf-8")


def _put_in_place(building: Path, out: Path) -> None:
    outdated = _named_files(_earlier(out) or {})
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
