"""What an interrupted report leaves for the next: a file per finished result, by the digest of what it depends on."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from interp._util.files import no_follow, refuse_link
from interp.errors import InterpError, UnreadableFile
from interp.plugins.result import Result
from interp.report.output import KEPT, PARTIAL
from interp.report.stored import Unstorable, from_json, to_json

BYTES = 256 << 20  # of a stored result
log = logging.getLogger("interp")


def stored(out: Path, key: str) -> Result | None:
    """A result that an interrupted report has left in its folder.

    Args:
        out: the report's folder.
        key: the digest of what the result depends on.

    Returns:
        None without such a result, or where the file cannot be read; the log says why.
    """
    path = out / KEPT / f"{key}.json"
    try:
        refuse_link(path.parent)
        return from_json(_text(path)) if path.exists() else None
    except (InterpError, OSError, UnicodeDecodeError) as error:
        log.warning("%s is not used: %s", path, error)
        return None


def _text(path: Path) -> str:
    with open(path, "rb", opener=no_follow) as file:
        content = file.read(BYTES + 1)
    if len(content) > BYTES:
        raise UnreadableFile(f"more than {BYTES >> 20} MiB")
    return content.decode("utf-8")


def keep(out: Path, finished: Mapping[str, Result]) -> None:
    """Leave finished results for the next report in this folder, in place of those of an earlier one.

    Args:
        out: the report's folder.
        finished: by key.
    """
    building = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=out))
    for key, result in finished.items():
        try:
            text = to_json(result)
        except Unstorable as reason:
            log.warning("a result with %s is not kept: it will be computed again", reason)
            continue
        (building / f"{key}.json").write_text(text, encoding="utf-8")
    forget(out)
    os.replace(building, out / KEPT)


def forget(out: Path) -> None:
    """Remove what an interrupted report has left."""
    left = out / KEPT
    if left.is_symlink():
        left.unlink()
    elif left.is_dir():
        shutil.rmtree(left)
