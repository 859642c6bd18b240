"""Entry points: how the host finds analyses, measures, layouts, tasks and losses, its own and a stranger's alike."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from interp.errors import InterpError, UnknownName, unknown

T = TypeVar("T")
HOME = Path(__file__).parents[2]  # where the suite's packages are
OURS = "interp-suite"


@dataclass(frozen=True)
class Plugin:
    """One entry point: its value, or the error that kept it from loading.

    Attributes:
        name: of the entry point.
        distribution: name of the package that registers it.
        value: what the entry point names.
        error: why it could not be loaded; None if it was.
    """

    name: str
    distribution: str
    value: Any = None
    error: str | None = None


@lru_cache
def load_group(group: str) -> dict[str, Plugin]:
    """All plugins of a group, sorted by name.

    A plugin that fails to import carries its error. A name that two packages register is refused for both: which of them
    would be used is an accident of the installation.

    Args:
        group: of entry points, such as ``"interp.analyses"``.

    Returns:
        The plugins by name.

    Raises:
        InterpError: a folder or file of the user's hides one of the suite's packages.
    """
    found = sorted(entry_points(group=group), key=lambda e: e.name)
    counts = Counter(e.name for e in found)
    for package in sorted({e.module.partition(".")[0] for e in found if _distribution(e) == OURS}):
        if (place := _hidden_by(package)) is not None:
            raise InterpError(
                f"{place} hides the suite's package {package!r}, so its {group.rpartition('.')[2]} cannot be "
                "loaded: rename it, or start from another folder"
            )
    return {e.name: _load(e) if counts[e.name] == 1 else _twice(e.name, found) for e in found}


class Ordered(Protocol):
    """What has a name and a place among others of its kind."""

    @property
    def name(self) -> str:
        """As registered."""
        ...

    @property
    def order(self) -> int:
        """Its place."""
        ...


Placed = TypeVar("Placed", bound=Ordered)


def in_order(plugins: Mapping[str, Plugin], kind: type[Placed], noun: str) -> tuple[dict[str, Placed], dict[str, str]]:
    """The plugins of a group that are what the group holds, by place and name, and the errors of the others.

    Args:
        plugins: of the group, by name.
        kind: what each should be.
        noun: what one of them is called, with its article.

    Returns:
        Both, by name.
    """
    good, broken = {}, {}
    for name, plugin in plugins.items():
        if plugin.error is not None:
            broken[name] = plugin.error
        elif not isinstance(plugin.value, kind) or plugin.value.name != name:
            broken[name] = f"the entry point {name!r} of {plugin.distribution} is not {noun} of that name"
        else:
            good[name] = plugin.value
    return dict(sorted(good.items(), key=lambda item: (item[1].order, item[0]))), broken


def _load(entry: EntryPoint) -> Plugin:
    try:
        return Plugin(entry.name, _distribution(entry), value=entry.load())
    except (Exception, SystemExit) as error:  # a stranger's module may raise anything; it is reported, the others run
        reason = f"{entry.value} failed to import: {type(error).__name__}: {error}"
        return Plugin(entry.name, _distribution(entry), error=reason)


def _twice(name: str, found: list[EntryPoint]) -> Plugin:
    owners = sorted({_distribution(e) for e in found if e.name == name})
    times = sum(e.name == name for e in found)
    error = f"the name {name!r} is registered {times} times (by {', '.join(owners)}); uninstall or rename one"
    return Plugin(name, owners[-1], error=error)


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "?"


def _hidden_by(package: str) -> Path | None:
    """The folder or file that Python finds instead of a package of the suite; None if it finds ours."""
    module = sys.modules.get(package)
    spec = module.__spec__ if module is not None else find_spec(package)
    if spec is None:  # not installed at all: loading it says so
        return None
    inside = [Path(place) for place in spec.submodule_search_locations or ()]
    place = inside[0] if inside else Path(str(spec.origin))
    return None if place.resolve() == (HOME / package).resolve() else place


class Registered(Mapping[str, T], Generic[T]):
    """What is registered in a group of entry points, by name: a mapping that is read when it is first used.

    Plugins that do not load, or are not what the group holds, are left out of the mapping; `find` says why.

    Args:
        group: of the entry points.
        noun: what one of them is called in messages.
        fault: what is wrong with a value under a name; None if nothing is.
    """

    def __init__(self, group: str, noun: str, fault: Callable[[str, Any], str | None]):
        self.group, self.noun, self._fault = group, noun, fault
        self._added: dict[str, T] = {}

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name)

    def __getitem__(self, name: str) -> T:
        if name in self._added:
            return self._added[name]
        plugin = load_group(self.group)[name]
        if self._error(plugin) is not None:
            raise KeyError(name)
        return plugin.value

    def __iter__(self) -> Iterator[str]:
        names = [name for name, plugin in load_group(self.group).items() if self._error(plugin) is None]
        return iter([*names, *(name for name in self._added if name not in names)])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"{self.group}: {', '.join(self)}"

    def add(self, name: str, value: T) -> None:
        """Register a value for this process only, as in a notebook; a later one under the same name replaces it.

        Args:
            name: to find it by.
            value: what to register.

        Raises:
            InterpError: a value that the group cannot hold, or a name that an installed package has taken.
        """
        if (fault := self._fault(name, value)) is not None:
            raise InterpError(f"the {self.noun} {name!r} cannot be registered: {fault}")
        if name in load_group(self.group):
            owner = load_group(self.group)[name].distribution
            raise InterpError(f"the {self.noun} {name!r} is registered already, by {owner}: choose another name")
        self._added[name] = value

    def find(self, name: str, origin: str | None = None) -> T:
        """The value under a name.

        Args:
            name: as registered.
            origin: the package that it is known to come from, for the message.

        Returns:
            The value.

        Raises:
            UnknownName: no such name; the nearest are given.
            InterpError: it is registered, but cannot be loaded.
        """
        if name in self:
            return self[name]
        if isinstance(name, str) and (plugin := load_group(self.group).get(name)) is not None:
            raise InterpError(
                f"the {self.noun} {name!r} of {plugin.distribution} cannot be used: {self._error(plugin)}"
            )
        message = unknown(self.noun, name, self)
        if origin is not None:
            message += f"; it came from {origin}, which is not installed here: install it, or import the module"
        raise UnknownName(message)

    def owner(self, name: str) -> str | None:
        """The package that registers a name; None for what was registered in this process only, and for unknown names."""
        plugin = None if name in self._added else load_group(self.group).get(name)
        return None if plugin is None else plugin.distribution

    def broken(self) -> dict[str, str]:
        """Why the plugins that are left out could not be loaded, by name."""
        errors = ((name, self._error(plugin)) for name, plugin in load_group(self.group).items())
        return {name: error for name, error in errors if error is not None}

    def _error(self, plugin: Plugin) -> str | None:
        if plugin.error is not None:
            return plugin.error
        fault = self._fault(plugin.name, plugin.value)
        return None if fault is None else f"{plugin.distribution} registers it, but {fault}"
