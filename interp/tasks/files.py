"""Files of tasks: identified by path, time and size, so that tasks which share one read it once."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from interp._util import wrong_files
from interp.errors import UnreadableFile


class FileKey(NamedTuple):
    """One state of one file, under which its contents can be cached.

    Attributes:
        path: absolute.
        changed: time of the last change, in nanoseconds.
        size: in bytes.
    """

    path: str
    changed: int
    size: int


def file_key(path: str | Path) -> FileKey:
    """The key of an existing file.

    Args:
        path: of the file; ``~`` is the user's home.

    Returns:
        Its key.

    Raises:
        UnreadableFile: there is no such file, it is a folder, or a Git LFS pointer or a web page in place of the file.
    """
    try:
        file = Path(path).expanduser().resolve()
        state = file.stat()
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableFile(f"{path}: cannot be read ({reason}); check the path") from None
    if not file.is_file():
        raise UnreadableFile(f"{path}: is not a file")
    wrong_files.refuse(file)
    return FileKey(str(file), state.st_mtime_ns, state.st_size)
