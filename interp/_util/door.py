"""The door of a package: its exports are imported on first use, and a type checker sees them as they are.

A package lists its exports once, in its ``__init__``: one line ``from module import name as name`` for each, under
``if TYPE_CHECKING:``. Type checkers and editors read these lines; `lazy_exports` reads the same lines at run time, so that
``import interp`` does not wait for torch.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, moved: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """A package's ``__getattr__``, ``__dir__`` and ``__all__``, from the imports under its ``if TYPE_CHECKING:``.

    Args:
        package: its name; called from its ``__init__``.
        moved: former sub-modules and where they are now; the former name still works, with a DeprecationWarning.

    Returns:
        ``__getattr__``, ``__dir__`` and ``__all__``.

    Raises:
        ImportError: the package has no source to read, or a line of another form.
    """
    exports, old = _listed(package), dict(moved or {})
    names = sorted(exports)

    def find(name: str) -> Any:
        if name in exports:
            found = _found(package, exports[name], name)
            setattr(sys.modules[package], name, found)  # from now on a plain attribute
            return found
        if name in old:
            warnings.warn(f"{package}.{name} has moved to {old[name]}", DeprecationWarning, stacklevel=2)
            return import_module(old[name])
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find, lambda: names, names


def _found(package: str, module: str, name: str) -> Any:
    if module == package:  # asking the package would ask here again
        return import_module(f"{package}.{name}")
    found = import_module(module)
    return getattr(found, name) if hasattr(found, name) else import_module(f"{module}.{name}")  # a sub-module


def _listed(package: str) -> dict[str, str]:
    """Which module each export comes from."""
    spec = sys.modules[package].__spec__
    source = getattr(spec.loader, "get_source", lambda _: None)(package) if spec is not None else None
    if source is None:
        raise ImportError(f"the source of {package}/__init__.py is needed to find what the package exports")
    _, _, block = source.partition("\nif TYPE_CHECKING:\n")
    exports: dict[str, str] = {}
    for line in block.split("\nelse:\n")[0].splitlines():
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) != 6 or words[0::2] != ["from", "import", "as"] or words[3] != words[5]:
            raise ImportError(f"{package}/__init__.py: cannot read the export {line.strip()!r}")
        exports[words[3]] = words[1]
    return exports


def lazy_modules(room: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """A room's ``__getattr__`` and ``__dir__``: its modules are imported when they are first asked for.

    Args:
        room: its name; called from its ``__init__``.

    Returns:
        ``__getattr__`` and ``__dir__``.
    """

    def names() -> list[str]:
        from pkgutil import iter_modules

        return sorted(module.name for module in iter_modules(sys.modules[room].__path__))

    def find(name: str) -> Any:
        if name.startswith("_") or name not in names():
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return import_module(f"{room}.{name}")

    return find, names
