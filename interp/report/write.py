"""Write a report folder: built aside, put in place when it is whole."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

from interp.analysis import Outcomes
from interp.errors import InterpError, OutputExists
from interp.report.data import result_data, table_file
from interp.report.page import render
from interp.subject import Subject

PARTS = ("index.html", "result.json", "tables")


def check_output(out: Path, *, force: bool = False) -> None:
    """Refuse a folder that holds anything but an earlier report, before any work is done.

    Raises:
        OutputExists: the folder (or a file of that name) is something else, and ``force`` is not set.
    """
    if out.is_file():
        raise OutputExists(f"{out} is a file; name a folder for the report with --out")
    if force or not out.exists() or _is_report(out) or not any(out.iterdir()):
        return
    held = ", ".join(sorted(p.name for p in out.iterdir())[:6])
    raise OutputExists(
        f"{out} holds something that is no report ({held}); choose another folder with --out, or add the report to it "
        "with --force"
    )


def _is_report(folder: Path) -> bool:
    try:
        return "interp_report" in json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def write(subject: Subject, outcomes: Outcomes, out: Path, *, force: bool = False) -> Path:
    """Write ``index.html``, ``result.json`` and ``tables/*.csv``; returns the page's path.

    An earlier report in the folder is replaced; other files in it are left alone.

    Raises:
        OutputExists: see `check_output`.
        InterpError: the folder cannot be written; nothing is half-written then.
    """
    check_output(out, force=force)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    except OSError as error:
        raise InterpError(f"cannot write a report to {out}: {error.strerror or error}") from None
    try:
        _fill(building, subject, outcomes)
        building.chmod(0o755)
        if out.exists():
            for part in PARTS:
                _replace(building / part, out / part)
        else:
            os.rename(building, out)
    except OSError as error:
        raise InterpError(f"cannot write a report to {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return out / "index.html"


def _fill(folder: Path, subject: Subject, outcomes: Outcomes) -> None:
    data = result_data(subject, outcomes)
    (folder / "tables").mkdir()
    for name, outcome in outcomes.items():
        for label, table in (outcome.result.tables if outcome.result else {}).items():
            table.to_csv(folder / table_file(name, label), index=False)
    (folder / "result.json").write_text(json.dumps(data, indent=2, allow_nan=False), encoding="utf-8")
    (folder / "index.html").write_text(render(subject, outcomes, data), encoding="utf-8")


def _replace(new: Path, old: Path) -> None:
    if old.is_dir() and not old.is_symlink():
        shutil.rmtree(old)
    os.replace(new, old)
