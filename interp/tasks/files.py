"""Files behind tasks: found once, refused clearly, and read once for all tasks that share them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from interp.errors import UnreadableFile


class FileKey(NamedTuple):
    """One state of one file; what is read from it may be cached under this."""

    path: str
    changed: int
    size: int


def file_key(path: str | Path) -> FileKey:
    """The key of an existing file; ``~`` is the user's home.

    Raises:
        UnreadableFile: there is no such file, or it is a folder.
    """
    try:
        file = Path(path).expanduser().resolve()
        state = file.stat()
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableFile(f"{path}: cannot be read ({reason}); check the path") from None
    if not file.is_file():
        raise UnreadableFile(f"{path}: is no file")
    return FileKey(str(file), state.st_mtime_ns, state.st_size)
