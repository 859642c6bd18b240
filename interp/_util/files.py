"""Files: written so that a reader never sees half of one, and opened so that no link leads out of a folder."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from interp.errors import InterpError, UnreadableFile


@contextmanager
def atomic(path: Path, durable: bool = False) -> Iterator[Path]:
    """Write a file as a whole or not at all.

    Args:
        path: the file; its folder is created if needed.
        durable: flush the bytes to the disk first, so that even a power cut leaves the old file or the new one.

    Yields:
        A temporary path beside ``path``. It replaces ``path`` when the block ends, and is deleted if the block raises.

    Raises:
        InterpError: the folder cannot be created or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    except OSError as error:
        raise InterpError(f"cannot write {path}: {error.strerror or error}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        if durable:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise InterpError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def is_file(path: Path) -> bool:
    """Whether there is a file at a path that somebody typed; a name that is too long for one is none.

    Args:
        path: any text as a path.

    Returns:
        False where the system refuses to look, too.
    """
    return _seen(path.is_file)


def is_folder(path: Path) -> bool:
    """Whether there is a folder at a path that somebody typed; as `is_file`.

    Args:
        path: any text as a path.

    Returns:
        False where the system refuses to look, too.
    """
    return _seen(path.is_dir)


def _seen(look: Callable[[], bool]) -> bool:
    try:
        return look()
    except (OSError, ValueError):
        return False


def is_writable_folder(path: Path) -> bool:
    """Whether files can be made in a folder.

    Args:
        path: of the folder.

    Returns:
        False of anything but a folder, too.
    """
    return path.is_dir() and os.access(path, os.W_OK | os.X_OK)


SPECIAL = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def refuse_link(path: Path) -> None:
    """Refuse what is neither a file nor a folder: a folder from somebody else may hold links to files of the user's own.

    Args:
        path: of what came with a folder; it need not exist. A path that the user typed may well be a link.

    Raises:
        UnreadableFile: a symbolic link, a pipe, a socket or a device.
    """
    try:
        mode = path.lstat().st_mode
    except OSError:  # not there, or not to be seen: whoever opens it says so
        return
    if stat.S_ISLNK(mode):
        raise UnreadableFile(
            f"{path} is a symbolic link, and links inside a folder are not followed, since they may lead to files of "
            "somebody else: put the file itself there, or remove the link"
        )
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UnreadableFile(f"{path} is {SPECIAL.get(stat.S_IFMT(mode), 'no file')}, not a file; remove it")


def leads_out(path: Path) -> bool:
    """Whether a file that came with a folder is a link to a place outside that folder.

    Args:
        path: of the file; one that a user typed may lead anywhere.

    Returns:
        False inside the cache of Hugging Face, too, whose ``snapshots`` are links into the ``blobs`` beside them.
    """
    if not path.is_symlink():
        return False
    home, target = path.parent.resolve(), path.resolve()
    cached = any(p.name == "snapshots" and target.parent == p.parent / "blobs" for p in home.parents)
    return not cached and not target.is_relative_to(home)


def not_followed(links: Sequence[Path]) -> str:
    """Why files that lead out of their folder are not read, and what to do; `leads_out` tells them.

    Args:
        links: at least one.

    Returns:
        A sentence without its full stop.
    """
    named = ", ".join(f.name for f in links[:4]) + (", ..." if len(links) > 4 else "")
    return (
        f"{named} {'leads' if len(links) == 1 else 'lead'} out of the folder, and such links are not followed, since a folder "
        "from somebody else may hold links to your own files; name the file itself, or copy it there"
    )


def refuse_links(folder: Path, names: Iterable[str]) -> None:
    """`refuse_link` for some files and folders inside a folder, and for everything in those folders.

    Args:
        folder: may itself be a link.
        names: of what is read or written there; they need not exist.

    Raises:
        UnreadableFile: one of them is a symbolic link, a pipe, a socket or a device.
    """
    waiting = [folder / name for name in names]
    while waiting:
        path = waiting.pop()
        refuse_link(path)
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif not entry.is_file(follow_symlinks=False):
                    refuse_link(Path(entry.path))


def no_follow(path: str, flags: int) -> int:
    """The ``opener`` of `open` for a file inside a folder: opens files only, and nothing through a link.

    Args:
        path: of the file.
        flags: of `os.open`.

    Returns:
        a file descriptor.

    Raises:
        UnreadableFile: a symbolic link, a pipe, a socket or a device.
    """
    refuse_link(Path(path))
    # Windows has neither flag; a pipe that took the file's place meanwhile would block without O_NONBLOCK
    handle = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o644)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UnreadableFile(f"{path} is not a file")
    return handle
