"""Entry points: how the host finds analyses and layouts, its own and a stranger's alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any


@dataclass(frozen=True)
class Plugin:
    """One entry point: its value, or the error that kept it from loading.

    Attributes:
        distribution: name of the package that brings it.
    """

    name: str
    distribution: str
    value: Any = None
    error: str | None = None


@lru_cache
def load_group(group: str) -> dict[str, Plugin]:
    """All plugins of a group, sorted by name.

    A plugin that fails to import carries its error. A name that two packages register is refused for both, because
    which of them would run is an accident of the installation.
    """
    found = sorted(entry_points(group=group), key=lambda e: e.name)
    counts = Counter(e.name for e in found)
    plugins: dict[str, Plugin] = {}
    for entry in found:
        distribution = entry.dist.name if entry.dist else "?"
        if counts[entry.name] > 1:
            owners = sorted({e.dist.name if e.dist else "?" for e in found if e.name == entry.name})
            error = f"the name {entry.name!r} is registered {counts[entry.name]} times (by {', '.join(owners)})"
            plugins[entry.name] = Plugin(entry.name, distribution, error=f"{error}; uninstall or rename one")
            continue
        try:
            plugins[entry.name] = Plugin(entry.name, distribution, value=entry.load())
        except (
            Exception,
            SystemExit,
        ) as error:  # a stranger's module may raise anything; it is reported, the others run
            plugins[entry.name] = Plugin(
                entry.name,
                distribution,
                error=f"{entry.value} failed to import: {type(error).__name__}: {error}",
            )
    return plugins
