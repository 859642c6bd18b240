"""A module of the user's own class, with the weights of a file, wrapped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.find import ANYWHERE, Found, find
from interp.checkpoints.formats.reading import read
from interp.errors import InterpError, UnreadableFile, kind_of, unknown
from interp.hooked import HookedModel, wrap

COUNTERS = "num_batches_tracked"  # of batch norms; no number of the evaluation depends on them


def wrap_file(
    path: str | Path,
    build: str | Callable[..., nn.Module],
    example: Any,
    *,
    kwargs: Mapping[str, Any] | None = None,
    key: str | None = None,
    **options: Any,
) -> HookedModel:
    """Build a module by its class, load a file's weights into it, and `wrap` it in evaluation mode.

    The class comes from Python, never from the file, and nothing in the file is run.

    Args:
        path: of any file of weights that `interp.load` reads, whatever its layout.
        build: the class, or a function that makes the module, or where to import it from (``"mypackage.nets:Net"``).
        example: as in `wrap`.
        kwargs: what ``build`` is called with.
        key: where in the file the weights are, if there are several.
        options: of `wrap`, such as ``axes`` and ``output``.

    Returns:
        the wrapped module. Prefixes of wrappers (``module.``, ``_orig_mod.``) are stripped from the names, unless the
        module has them itself.

    Raises:
        InterpError: nothing can be imported or built, or the weights are not exactly the module's.
        UnreadableFile: the file cannot be read, or holds the weights of several steps.
    """
    return wrap(rebuild(path, build, kwargs=kwargs, key=key).module, example, **options)


@dataclass(frozen=True)
class Rebuilt:
    """A module with a file's weights, in evaluation mode.

    Attributes:
        module: built by the user's class.
        contents: of the file.
        found: the weights in it.
    """

    module: nn.Module
    contents: Contents
    found: Found


def rebuild(
    path: str | Path,
    build: str | Callable[..., nn.Module],
    *,
    kwargs: Mapping[str, Any] | None = None,
    key: str | None = None,
) -> Rebuilt:
    """Build a module by its class and load a file's weights into it.

    Args:
        path: as in `wrap_file`.
        build: as in `wrap_file`.
        kwargs: as in `wrap_file`.
        key: as in `wrap_file`.

    Returns:
        the module, and what the file holds.

    Raises:
        InterpError: as `wrap_file`.
        UnreadableFile: as `wrap_file`.
    """
    if not isinstance(path, str | Path):
        raise InterpError(f"wrap_file reads a file of weights: give its path, got {kind_of(path)}")
    path = Path(path).expanduser()
    contents = read(path)
    steps = find(contents, key).steps
    if len(steps) != 1:
        raise UnreadableFile(f"{path}: holds weights of {len(steps)} steps; choose one of them with key=")
    module = _built(build, kwargs or {})
    _fill(module, {name: ref.load() for name, ref in steps[0].weights.items()}, steps[0].stripped, str(path))
    return Rebuilt(module.eval(), contents, steps[0])


def _built(build: Any, kwargs: Mapping[str, Any]) -> nn.Module:
    made = _imported(build) if isinstance(build, str) else build
    if not callable(made) or isinstance(made, nn.Module):
        raise InterpError(f"build must be a class, a function or 'package.module:Class', got {kind_of(made)}")
    called = getattr(made, "__name__", made)
    try:
        module = made(**kwargs)
    except Exception as error:  # the user's own code, which may raise anything
        raise InterpError(f"{called} cannot be built with {dict(kwargs)}: {_said(error)}") from error
    if not isinstance(module, nn.Module):
        raise InterpError(f"{called} makes {kind_of(module)}, not an nn.Module")
    return module


def _imported(text: str) -> Any:
    place, _, name = text.partition(":")
    if not place or not name:
        raise InterpError(f"write where the class is imported from as 'package.module:Class', got {text!r}")
    if place.endswith(".py") or "/" in place:
        dotted = ".".join(Path(place).with_suffix("").parts)
        raise InterpError(f"{text}: write the module as it is imported, not its file, such as '{dotted}:{name}'")
    try:
        found: Any = import_module(place)
    except ImportError as error:
        raise InterpError(f"{text}: cannot be imported ({error})") from error
    except (Exception, SystemExit) as error:  # the user's own code, which may raise anything
        raise InterpError(f"{text}: {place} fails while it is imported ({_said(error)})") from error
    for part in name.split("."):
        if not hasattr(found, part):
            classes = [n for n, v in vars(found).items() if isinstance(v, type) and issubclass(v, nn.Module)]
            raise InterpError(f"{text}: cannot be imported; {unknown(f'name in {place}', part, classes)}")
        found = getattr(found, part)
    return found


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _fill(module: nn.Module, weights: dict[str, Tensor], stripped: Sequence[str], path: str) -> None:
    """Load the weights strictly, in float64 where the file has it; all that does not fit is in one message."""
    own = module.state_dict()
    weights = _as_named_in(own, weights, stripped)
    problems = [f"missing {n} {list(t.shape)}" for n, t in own.items() if n not in weights and not n.endswith(COUNTERS)]
    problems += [f"left over {n} {list(t.shape)}" for n, t in weights.items() if n not in own]
    problems += [
        f"{n} is {list(t.shape)}, the module's is {list(own[n].shape)}"
        for n, t in weights.items()
        if n in own and own[n].shape != t.shape
    ]
    if problems:
        raise InterpError(f"{path}: the weights are not those of this {type(module).__name__}: {'; '.join(problems)}")
    if any(t.dtype == torch.float64 for t in weights.values()):
        module.double()
    module.load_state_dict(weights, strict=False)


def _as_named_in(own: Mapping[str, Tensor], weights: dict[str, Tensor], stripped: Sequence[str]) -> dict[str, Tensor]:
    """The weights with as many of the stripped prefixes as the module's own names have (``self.net = ...``)."""
    wrappers = [p for p in stripped if p not in ANYWHERE]
    for n in range(len(wrappers) + 1):
        prefix = "".join(wrappers[len(wrappers) - n :])
        if all(prefix + name in own for name in weights):
            return {prefix + name: t for name, t in weights.items()}
    return weights
