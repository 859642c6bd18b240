"""A module of the user's own class, with the weights of a file, wrapped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from interp.checkpoints.formats.find import find
from interp.checkpoints.formats.reading import read
from interp.errors import InterpError, UnreadableFile, kind_of
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
        the wrapped module. Prefixes of wrappers (``module.``, ``_orig_mod.``) are stripped from the names, as `interp.load` does.

    Raises:
        InterpError: nothing can be imported or built, or the weights are not exactly the module's.
        UnreadableFile: the file cannot be read, or holds the weights of several steps.
    """
    if not isinstance(path, str | Path):
        raise InterpError(f"wrap_file reads a file of weights: give its path, got {kind_of(path)}")
    module = _built(build, kwargs or {})
    steps = find(read(Path(path).expanduser()), key).steps
    if len(steps) != 1:
        raise UnreadableFile(f"{path}: holds weights of {len(steps)} steps; choose one of them with key=")
    _fill(module, {name: ref.load() for name, ref in steps[0].weights.items()}, str(path))
    return wrap(module.eval(), example, **options)


def _built(build: Any, kwargs: Mapping[str, Any]) -> nn.Module:
    made = _imported(build) if isinstance(build, str) else build
    if not callable(made) or isinstance(made, nn.Module):
        raise InterpError(f"build must be a class, a function or 'package.module:Class', got {kind_of(made)}")
    try:
        module = made(**kwargs)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InterpError(f"{getattr(made, '__name__', made)} cannot be built with {dict(kwargs)}: {error}") from error
    if not isinstance(module, nn.Module):
        raise InterpError(f"{getattr(made, '__name__', made)} makes {kind_of(module)}, not an nn.Module")
    return module


def _imported(text: str) -> Any:
    place, _, name = text.partition(":")
    if not place or not name:
        raise InterpError(f"write where the class is imported from as 'package.module:Class', got {text!r}")
    try:
        found: Any = import_module(place)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InterpError(f"{text}: cannot be imported ({error})") from error
    return found


def _fill(module: nn.Module, weights: dict[str, Tensor], path: str) -> None:
    """Load the weights strictly; all that does not fit is in one message."""
    own = module.state_dict()
    problems = [f"missing {n} {list(t.shape)}" for n, t in own.items() if n not in weights and not n.endswith(COUNTERS)]
    problems += [f"left over {n} {list(t.shape)}" for n, t in weights.items() if n not in own]
    problems += [
        f"{n} is {list(t.shape)}, the module's is {list(own[n].shape)}"
        for n, t in weights.items()
        if n in own and own[n].shape != t.shape
    ]
    if problems:
        raise InterpError(f"{path}: the weights are not those of this {type(module).__name__}: {'; '.join(problems)}")
    module.load_state_dict(weights, strict=False)
