"""Write a report folder: built aside, put in place when it is whole."""

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
from interp.plugins.analysis import Outcomes
from interp.report import compare_page
from interp.report.comparison import Comparison
from interp.report.data import result_data, write_files
from interp.report.page import render
from interp.subject import Subject

FILES, FOLDERS = ("index.html", "result.json"), ("tables", "pictures")


def check_output(out: Path, *, force: bool = False) -> None:
    """Refuse a folder that holds anything but an earlier report, or that cannot be written, before any work is done.

    Raises:
        OutputExists: the folder (or a file of that name) is something else, and ``force`` is not set; or what a report's
            files would replace is no file (``tables``, ``pictures``: no folder), whatever ``force`` says.
        InterpError: the folder cannot be made or written.
    """
    if out.exists() and not out.is_dir():
        raise OutputExists(f"{out} is not a folder; name one for the report with --out")
    place = next(p for p in (out, *out.absolute().parents) if p.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        raise InterpError(
            f"cannot write a report to {out}: {place} is no folder that can be written; choose another --out"
        )
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
            f"{out} holds something that is no report ({held}); choose another folder with --out, or add the report to it "
            "with --force"
        )


def _earlier(folder: Path) -> dict[str, Any] | None:
    """The ``result.json`` of a report in the folder; None where there is none of ours."""
    try:
        data = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    ours = isinstance(data, dict) and any(isinstance(data.get(k), int) for k in ("interp_report", "interp_comparison"))
    return data if ours else None


def write_comparison(found: Comparison, out: Path, *, force: bool = False) -> Path:
    """The same of a comparison; a subject's tables and pictures carry its place in the comparison."""
    return _write(lambda folder: compare_page.fill(folder, found), out, force)


def write(subject: Subject, outcomes: Outcomes, out: Path, *, force: bool = False) -> Path:
    """Write ``index.html``, ``result.json``, ``tables/*.csv`` and ``pictures/*.png``; returns the page's path.

    An earlier report in the folder is replaced, its tables and pictures too; other files are left alone.

    Raises:
        OutputExists, InterpError: see `check_output`; nothing is half-written then.
    """
    return _write(lambda folder: _fill(folder, subject, outcomes), out, force)


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
    """A folder inside ``out``, so that moving things into place never crosses file systems; no trace is left of a failure."""
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
    (folder / "index.html").write_text(render(subject, outcomes, data), encoding="utf-8")


def _put_in_place(building: Path, out: Path) -> None:
    outdated = _named_files(_earlier(out) or {}) - _named_files(_earlier(building) or {})
    for folder in FOLDERS:
        made = list((building / folder).iterdir())
        if made or folder == FOLDERS[0]:
            (out / folder).mkdir(exist_ok=True)
        for file in made:
            os.replace(file, out / folder / file.name)
    for name in FILES:
        os.replace(building / name, out / name)
    for name in outdated:
        (out / name).unlink(missing_ok=True)


def _named_files(data: dict[str, Any]) -> set[str]:
    """The tables and pictures that a ``result.json`` names, as far as they lie where a report puts them."""
    groups = [data.get("analyses"), data.get("comparisons")]
    subjects = data.get("subjects")
    groups += [
        s.get("analyses") for s in (subjects.values() if isinstance(subjects, dict) else ()) if isinstance(s, dict)
    ]
    parts = [part for group in groups if isinstance(group, dict) for part in group.values() if isinstance(part, dict)]
    names = [n for part in parts for kind in FOLDERS for n in part.get(kind, [])]
    return {n for n in names if isinstance(n, str) and any(n == f"{folder}/{Path(n).name}" for folder in FOLDERS)}
