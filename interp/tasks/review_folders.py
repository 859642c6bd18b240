"""Reviews from a folder in the layout of IMDb's data set: a text file per review, its rating in the file's name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, overload

from typing_extensions import override

from interp.errors import UnreadableFile
from interp.tasks.files import FileKey
from interp.tasks.review_files import Rated

LAYOUT = "aclImdb has train/pos, train/neg, test/pos and test/neg, with files ID_RATING.txt"
PARTS = ("train", "test")
CLASSES = {"pos": range(7, 11), "neg": range(1, 5)}  # ratings of 5 and 6 are in neither
NAME = re.compile(r"(\d+)_(\d+)\.txt")
MOST_FILES = 200_000  # IMDb has 50,000
MOST_BYTES = 2**30  # of all files together; IMDb's have 65 million
MOST_FILE_BYTES = 2**20  # of one review; IMDb's longest has 14 thousand


class Text(NamedTuple):
    """One review of a folder: its file, whether it is positive (1), its size in bytes and its time of change."""

    path: str
    label: int
    size: int
    changed: int


def folder_key(path: str | Path) -> FileKey:
    """The key of a folder of reviews: it changes with the files that are read.

    Args:
        path: of the folder; ``~`` is the user's home.

    Returns:
        Its key: the latest change of any of the files and of their folders, and the bytes of all together.

    Raises:
        UnreadableFile: another layout, a name without a fitting rating, a link that leads out of the folder, or too much.
    """
    folder = Path(path).expanduser().resolve()
    texts = list_texts(folder)
    changed = max(max(text.changed for text in texts), *(f.stat().st_mtime_ns for f, _ in _class_folders(folder)))
    return FileKey(str(folder), changed, sum(text.size for text in texts))


class Texts(Sequence[str]):
    """The texts of files, each read when it is asked for: of IMDb's 50,000 files, a task takes 1,000."""

    def __init__(self, paths: Sequence[str]):
        self._paths = paths

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Texts: ...
    @override
    def __getitem__(self, index: int | slice) -> str | Texts:
        return Texts(self._paths[index]) if isinstance(index, slice) else _read(self._paths[index])

    @override
    def __len__(self) -> int:
        return len(self._paths)


def list_reviews(key: FileKey) -> Rated:
    """Every review of a folder: of its train part, then of its test part, sorted by name within positive and negative.

    Args:
        key: of the folder.

    Returns:
        Texts, which raise an `UnreadableFile` when one is asked for that is empty or no UTF-8, and labels.

    Raises:
        UnreadableFile: as for `folder_key`.
    """
    texts = list_texts(Path(key.path))
    return Rated(Texts([text.path for text in texts]), tuple(text.label for text in texts))


def list_texts(folder: Path) -> list[Text]:
    """The files of a folder of reviews, none of which is opened.

    Args:
        folder: an absolute path without links: aclImdb itself, or its ``train`` or ``test``.

    Returns:
        The files, those of the train part first.

    Raises:
        UnreadableFile: as for `folder_key`.
    """
    found, total = [], 0
    for place, label in _class_folders(folder):
        for entry in _entries(place, folder, MOST_FILES - len(found)):
            text = _text(entry, place.name, label)
            found.append(text)
            total += text.size
        if total > MOST_BYTES:
            raise UnreadableFile(f"{folder}: its reviews have more than {MOST_BYTES:,} bytes")
    if not found:
        raise UnreadableFile(f"{folder}: holds no reviews; {LAYOUT}")
    return found


def _class_folders(folder: Path) -> list[tuple[Path, int]]:
    """The folders of positive and negative reviews, with their labels."""
    parts = [part for name in PARTS if (part := folder / name).is_dir()] or [folder]
    places = [part / name for part in parts for name in CLASSES]
    for place in places:
        if not place.is_dir():
            raise UnreadableFile(f"{folder}: has no folder {place.relative_to(folder)}; {LAYOUT}")
        _inside(place, folder)
    return [(place, int(place.name == "pos")) for place in places]


def _entries(place: Path, folder: Path, most: int) -> Iterator[os.DirEntry[str]]:
    """The text files of a folder, sorted by name; files of other kinds are left out."""
    try:
        with os.scandir(place) as listed:
            entries = []
            for entry in listed:
                if entry.name.endswith(".txt") and not entry.name.startswith("."):
                    entries.append(entry)
                if len(entries) > most:
                    raise UnreadableFile(f"{folder}: has more than {MOST_FILES:,} reviews")
    except OSError as error:
        raise UnreadableFile(f"{place}: cannot be read ({error.strerror})") from None
    for entry in sorted(entries, key=lambda one: one.name):
        if entry.is_symlink():
            _inside(Path(entry.path), folder)
        yield entry


def _inside(path: Path, folder: Path) -> None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # a link to nowhere, or in a circle
        raise UnreadableFile(f"{path}: is a link to nothing that is there") from None
    if not target.is_relative_to(folder):
        raise UnreadableFile(f"{path}: is a link to {target}, outside {folder}; copy the reviews into the folder")


def _text(entry: os.DirEntry[str], name: str, label: int) -> Text:
    match = NAME.fullmatch(entry.name)
    if match is None:
        raise UnreadableFile(f"{entry.path}: a review's file is called ID_RATING.txt, such as 127_9.txt; {LAYOUT}")
    if int(match[2]) not in CLASSES[name]:
        ratings = CLASSES[name]
        raise UnreadableFile(
            f"{entry.path}: its name says rating {int(match[2])}, but reviews in {name} have {ratings[0]} to {ratings[-1]}"
        )
    state = entry.stat()
    if not entry.is_file():
        raise UnreadableFile(f"{entry.path}: is not a file")
    if state.st_size > MOST_FILE_BYTES:
        raise UnreadableFile(f"{entry.path}: has {state.st_size:,} bytes; a review has at most {MOST_FILE_BYTES:,}")
    return Text(entry.path, label, state.st_size, state.st_mtime_ns)


def _read(path: str) -> str:
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UnreadableFile(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UnreadableFile(f"{path}: is not UTF-8; convert the file to UTF-8 first") from None
    if not text.strip():
        raise UnreadableFile(f"{path}: is empty")
    return text
