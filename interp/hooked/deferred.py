"""Packages whose ``__init__`` waits until something of it is asked for.

TransformerLens's ``__init__`` imports transformers, datasets and more, which takes longer than torch does; of its modules
we need two small ones. `import_lightly` imports such modules while the ``__init__`` of each package above them waits. The
packages in `sys.modules` are the real ones: what asks them for anything else (``transformer_lens.ActivationCache``,
``from transformer_lens.model_bridge import ...``) runs their ``__init__`` first, on the same module objects, so that there
is one `HookPoint` whoever imports it and when.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock, get_ident
from types import ModuleType
from typing import Any

from typing_extensions import override

_LOCK = RLock()  # one __init__ runs at a time
_light: set[int] = set()  # the thread that imports lightly
_TELLING = ("__path__", "__all__", "__version__")  # of the names that Python's own tools ask every module for


def import_lightly(package: str, modules: Sequence[str]) -> bool:
    """Import modules of a package without running the ``__init__`` of the packages above them.

    Args:
        package: the top-level package.
        modules: full names of modules of it.

    Returns:
        whether that was done; otherwise nothing has changed, and a plain import does it: where the package is already
        imported, or where it does not let itself be imported in this way.
    """
    if _loaded(package):
        return False
    with _LOCK, _deferring(package):
        try:
            for name in modules:
                import_module(name)
        except Exception:  # another release, laid out differently: the plain import is right, only slower
            for name in _loaded(package):
                del sys.modules[name]
            return False
        for name in _loaded(package):
            _without_hidden_names(sys.modules[name])
    return True


def _loaded(package: str) -> list[str]:
    return [name for name in sys.modules if name == package or name.startswith(f"{package}.")]


def _without_hidden_names(module: ModuleType) -> None:
    """Where ``__init__`` gives a sub-module's name to something in it, let the name wait with the rest of ``__init__``."""
    if isinstance(module, _Deferred):
        for name in set(module.origins) & set(vars(module)):
            if isinstance(vars(module)[name], ModuleType):
                delattr(module, name)


@contextmanager
def _deferring(package: str) -> Iterator[None]:
    finder, thread = _Packages(package), get_ident()
    sys.meta_path.insert(0, finder)
    _light.add(thread)
    try:
        yield
    finally:
        _light.discard(thread)
        sys.meta_path.remove(finder)


class _Packages(MetaPathFinder):
    """Finds a package and those in it as Python does, and makes their ``__init__`` wait."""

    def __init__(self, package: str):
        self.package = package

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        ours = fullname == self.package or fullname.startswith(f"{self.package}.")
        if not ours or get_ident() not in _light:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.submodule_search_locations is not None and spec.loader is not None:
            spec.loader = _Waiting(spec.loader)
        return spec


class _Waiting(Loader):
    """Makes a package of which nothing has run."""

    def __init__(self, real: Loader):
        self.real = real

    @override
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Deferred(spec.name)

    @override
    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.real
        vars(module).pop(
            "__path__", None
        )  # who asks for it imports a further module: `_Deferred` decides what runs first


class _Deferred(ModuleType):
    """A package whose ``__init__`` has yet to run; afterwards a module like any other."""

    @cached_property
    def origins(self) -> dict[str, str]:
        """Which module each name comes from that ``__init__`` imports with a plain ``from module import name``."""
        assert self.__spec__ is not None
        source = getattr(self.__spec__.loader, "get_source")(self.__name__)  # noqa: B009  # a Loader need not have it
        found: dict[str, str] = {}
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.ImportFrom) and statement.module is not None and statement.level < 2:
                module = f"{self.__name__}.{statement.module}" if statement.level else statement.module
                found |= {alias.asname or alias.name: module for alias in statement.names if alias.name != "*"}
        return found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in _TELLING:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        light = get_ident() in _light
        if light and name == "__path__":
            assert self.__spec__ is not None
            return self.__spec__.submodule_search_locations
        if light and name in self.origins:
            return getattr(import_module(self.origins[name]), name)
        self._run()
        return getattr(self, name)

    @override
    def __dir__(self) -> list[str]:
        self._run()
        return dir(self)

    def _run(self) -> None:
        """Run ``__init__``, after those of the packages above, as a plain import does."""
        with _LOCK:
            above = sys.modules.get(self.__name__.rpartition(".")[0])
            if isinstance(above, _Deferred):
                above._run()
            if type(self) is not _Deferred:  # another thread was first, or the package above has asked for this one
                return
            spec = self.__spec__
            assert spec is not None
            assert spec.loader is not None
            vars(self).pop("origins", None)
            self.__path__ = spec.submodule_search_locations or []
            object.__setattr__(self, "__class__", ModuleType)  # from now on a module like any other
            try:
                spec.loader.exec_module(self)
            except BaseException:
                self.__class__ = _Deferred  # the next one to ask meets the same error
                del self.__path__
                raise
