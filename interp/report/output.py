"""The folder that a report goes to: what may be in it already, and that only one report at a time is made for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from interp._util.files import is_writable_folder, no_follow
from interp._util.schema import parse_json
from interp.errors import InterpError, OutputExists

PARTIAL = ".partial-"  # begins the names of what is in the folder only while a report is made
LOCK = f"{PARTIAL}lock"
KEPT = ".interp-resume"  # holds the results of an interrupted report until it is finished
_RESERVED: ContextVar[frozenset[Path]] = ContextVar("reserved", default=frozenset())
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
    if not is_writable_folder(place):
        raise InterpError(f"cannot write a report to {out}: {place} is not a writable folder; choose another --out")
    if not out.exists():
        return
    linked = [name for name in FOLDERS if (out / name).is_symlink()]
    if linked:
        raise OutputExists(
            f"{out / linked[0]} is a symbolic link, which a report does not follow; remove it, or choose another folder with "
            "--out"
        )
    wrong = [name for name in FILES if (out / name).exists() and not (out / name).is_file()]
    wrong += [name for name in FOLDERS if (out / name).exists() and not (out / name).is_dir()]
    if wrong:
        raise OutputExists(
            f"{out / wrong[0]} is in the way of the report's own; move it, or choose another folder with --out"
        )
    others = sorted(p.name for p in out.iterdir() if p.name != KEPT and not p.name.startswith(PARTIAL))
    if not force and earlier(out) is None and others:
        held = ", ".join(others[:6])
        raise OutputExists(
            f"{out} holds something other than a report ({held}); choose another folder with --out, or add the report to it "
            "with --force"
        )


def earlier(folder: Path) -> dict[str, Any] | None:
    """The ``result.json`` of an earlier report in the folder; None without one, or where it is a link."""
    try:
        with open(folder / "result.json", encoding="utf-8", opener=no_follow) as file:
            data = parse_json(file.read())
    except (OSError, ValueError):
        return None
    ours = isinstance(data, dict) and any(isinstance(data.get(k), int) for k in ("interp_report", "interp_comparison"))
    return data if ours else None


@contextmanager
def reserved(out: str | Path, *, force: bool = False) -> Iterator[None]:
    """`check_output`, and keep the folder for the report of this process until the block ends.

    What a killed report has left there is removed. A folder that is made for the report and stays empty is removed, too.
    A block inside another one for the same folder does nothing of its own.

    Args:
        out: as in `check_output`.
        force: as in `check_output`.

    Yields:
        Nothing.

    Raises:
        OutputExists: as in `check_output`; or another process is making a report there.
        InterpError: the folder cannot be created or written.
    """
    out = Path(out)
    check_output(out, force=force)
    held, place = _RESERVED.get(), out.resolve()
    if place in held:
        yield
        return
    made = [p for p in (out, *out.absolute().parents) if not p.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = _locked(out)
    except OSError as error:
        raise InterpError(f"cannot write a report to {out}: {error.strerror or error}") from None
    token = _RESERVED.set(held | {place})
    try:
        _clear(out, but=LOCK)
        yield
    finally:
        _RESERVED.reset(token)
        _clear(out, but="")
        os.close(handle)
        with suppress(FileNotFoundError):
            for folder in made:
                if not any(folder.iterdir()):
                    folder.rmdir()


def _locked(out: Path) -> int:
    """The descriptor of the folder's lock file, which a kill releases."""
    path = out / LOCK
    while True:
        handle = no_follow(str(path), os.O_RDWR | os.O_CREAT)
        try:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # Windows: nothing keeps a second report out
            return handle
        except OSError:
            os.close(handle)
            raise OutputExists(
                f"{out}: another report is being made there; wait for it, or choose another folder with --out"
            ) from None
        if path.exists() and os.path.samestat(os.fstat(handle), path.lstat()):
            return handle
        os.close(handle)  # the report before has just removed it


def _clear(out: Path, but: str) -> None:
    """Remove what reports that were killed, or that have ended, keep in the folder while they are made."""
    for path in out.glob(f"{PARTIAL}*"):
        if path.name == but:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
