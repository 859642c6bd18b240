"""The facts that ship: one file a collection of published data, and the one of the demo."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path

from interp.errors import InterpError
from interp.verification.facts import Collection, Fact, read_facts
from interp.verification.folder import matching

HERE = Path(__file__).parent / "published"
DEMO = HERE / "demo.toml"
DEMO_FILES = Path(__file__).parents[1] / "demo"
CLAIMS = "claims.toml"
DEEP, MOST_FOLDERS = 4, 2_000  # how far below a folder the files of a collection are looked for


@cache
def shipped() -> tuple[Collection, ...]:
    """All collections that ship, but the demo's, in the order of their files."""
    return tuple(read_facts(path) for path in sorted(HERE.glob("*.toml")) if path != DEMO)


def present(fact: Fact, root: Path) -> bool:
    """Whether the files of a fact are in a folder (links count: they are refused when they are opened)."""
    try:
        if fact.is_glob and not matching(root, fact.file):
            return False
        return all(os.path.lexists(root / file) for file in fact.files)
    except InterpError:
        return False


def find_root(collection: Collection, folder: Path) -> Path | None:
    """The folder that holds a collection's files: of that name in a folder or below it, or the folder itself.

    Args:
        collection: that ships.
        folder: to look in.

    Returns:
        the first that holds any of the files; None where none does.
    """
    named = chain([folder / collection.folder, folder], _below(folder))
    return next((root for root in named if any(present(fact, root) for fact in collection.facts)), None)


def _below(folder: Path) -> Iterator[Path]:
    """Folders of a folder, the nearest first, within limits and through no link."""
    level, seen = [folder], 0
    for _ in range(DEEP):
        deeper = []
        for one in level:
            try:
                inner = sorted(entry.path for entry in os.scandir(one) if entry.is_dir(follow_symlinks=False))
            except OSError:
                continue
            for path in inner:
                seen += 1
                if seen > MOST_FOLDERS:
                    return
                deeper.append(Path(path))
                yield Path(path)
        level = deeper
