"""`wrap`: hook points for any module."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from interp.errors import InterpError, UnknownSite
from interp.hooked.base import HookedModel
from interp.hooked.foreign.axes import Learned, first_tensor, learn_points
from interp.hooked.foreign.bridge import WrappedBridge, is_bridge
from interp.hooked.foreign.guest import Guest, in_this_thread
from interp.hooked.foreign.measuring import Mode, RunSettings, measured, require_mode
from interp.hooked.foreign.several import Inputs, as_inputs
from interp.hooked.foreign.structures import chosen_output, mapped, tensors
from interp.sites import resolve_sites


def wrap(
    module: nn.Module,
    example: Tensor | Inputs | Sequence[Any] | Mapping[str, Any] | None = None,
    *,
    axes: Mapping[str, Sequence[str]] | None = None,
    name: str | None = None,
    kwargs: Mapping[str, Any] | None = None,
    output: str | int | None = None,
    mode: Mode = "eval",
) -> HookedModel:
    """Give any module hook points; its weights and mode stay its own.

    The hooked model runs it in evaluation mode and puts the mode of every submodule back, so that dropout and batch
    statistics do not enter what is measured. Buffers, such as running statistics, and torch's random state stay as they are.

    Each submodule that runs has ``<its name>.hook_in``, its first input tensor, and ``<its name>.hook_out``; the module
    itself has ``hook_in`` and ``hook_out``. If a submodule returns several tensors, each has its own hook point, named by
    index, key or field: ``lstm.hook_out.0``, ``lstm.hook_out.1.0``, ``hook_out.logits``. Integer tensors have none. A
    submodule that is called twice fires twice.

    Args:
        module: any module. Compiled modules and those in DataParallel are unwrapped, with a warning. A hooked model (or
            a Subject's) is returned as it is. TransformerLens's bridges need no example (`WrappedBridge`).
        example: at least two inputs ``[batch, ...]``, run once all together and once without the last, in evaluation
            mode, to find the hook points and which of their axes is the batch. A module that takes several tensors gets a
            tuple of them (positional), a dict (by keyword), or `interp.Inputs` (both); experiments then take the same.
        axes: axis names by hook point (or glob), if the names found are not right. Found names are
            ``batch, unit, row, column`` for images, ``batch, unit`` for vectors and ``batch, pos, unit`` for sequences;
            axes that cannot be recognised are ``axis1``, ... and a hook point that does not depend on the inputs has no
            ``batch``.
        name: what to call it; the class by default.
        kwargs: more keyword arguments. Tensors with as many rows as the example are inputs like it; everything else, such as
            flags, is passed in every call and need not be given again.
        output: which of several returned tensors counts, by index, key or field (``"last_hidden_state"``, ``"0.1"``); by
            default ``logits``, or else the first.
        mode: ``"eval"``, or ``"as_is"`` to measure the module in the mode that each submodule is in, training mode included.

    Returns:
        a hooked model around the module.

    Raises:
        InterpError: not a module, no example, an example on which the module cannot run, axis names that do not fit a
            hook point, or a module that hooks cannot reach (TorchScript, or compiled parts).
        UnknownName: no such mode.
        UnknownSite: a glob of ``axes`` that matches no hook point.

    >>> import torch
    >>> from interp import capture
    >>> net = nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 5))
    >>> model = wrap(net, torch.ones(2, 1, 3, 3))
    >>> model.axes_of("1.hook_out"), model.axes_of("hook_out")
    (('batch', 'unit', 'row', 'column'), ('batch', 'unit'))
    >>> capture(model, torch.ones(4, 1, 3, 3), "1.hook_out")["1.hook_out"].shape
    torch.Size([4, 3, 2, 2])

    A module that takes two tensors:

    >>> pairs = torch.ones(4, 3), torch.ones(4, 5)
    >>> model = wrap(nn.Bilinear(3, 5, 2), pairs)
    >>> capture(model, pairs, "hook_out")["hook_out"].shape
    torch.Size([4, 2])
    """
    require_mode(mode)
    if isinstance(held := getattr(module, "model", None), HookedModel):
        return held
    if not isinstance(module, nn.Module):
        raise InterpError(_not_a_module(module))
    module, notes = _unwrapped(module)
    if isinstance(module, HookedModel):
        return module
    if is_bridge(module):
        if axes is not None or kwargs or output is not None:
            raise InterpError("a bridge's axes, arguments and output are known; leave axes, kwargs and output out")
        return WrappedBridge.around(module, name, notes, mode)
    _refuse_unreachable(module)
    if example is None:
        raise InterpError(
            f"wrap needs example inputs for a {type(module).__name__}: wrap(module, example), with a tensor [batch, ...] of "
            "two inputs or more, to find its hook points and which axis is the batch"
        )
    given, settings = _arguments(example, kwargs, None if output is None else str(output), mode)
    learned = learn_points(module, _placed(given, module), settings)
    notes = (*notes, *_notes(given, learned))
    model = Wrapped(module, learned.points, learned.output_axes, name=name, notes=notes, settings=learned.settings)
    return model.renamed(axes) if axes else model


def _arguments(
    example: Any, kwargs: Mapping[str, Any] | None, output: str | None, mode: Mode
) -> tuple[Tensor | Inputs, RunSettings]:
    """The example as a batch, and how the module is called besides."""
    given = as_inputs(example)
    if not isinstance(given, Tensor | Inputs):
        raise InterpError(
            f"the example must be a tensor [batch, ...] of at least two inputs, got {type(example).__name__}; several tensors go "
            "into a tuple or a dict"
        )
    if given.ndim == 0:
        raise InterpError("the example must be a tensor [batch, ...] of at least two inputs, got a single number")
    if kwargs is not None and not (isinstance(kwargs, Mapping) and all(isinstance(k, str) for k in kwargs)):
        raise InterpError(f"kwargs must be a dict of keyword arguments by name, got {type(kwargs).__name__}")
    rows = {k: v for k, v in (kwargs or {}).items() if _per_example(v, len(given))}
    if rows:
        own = given if isinstance(given, Inputs) else Inputs(given)
        given = Inputs(*own.args, **own.kwargs, **rows)
    constants = {k: v for k, v in (kwargs or {}).items() if k not in rows}
    return given, RunSettings(mode, output, constants, isinstance(given, Inputs))


def _per_example(value: Any, n: int) -> bool:
    found = [t for t in tensors(value).values() if t.ndim]
    return bool(found) and all(len(t) == n for t in found)


def _notes(given: Tensor | Inputs, learned: Learned) -> list[str]:
    """What was learned from the example and could be otherwise."""
    notes = []
    if isinstance(given, Inputs):
        notes.append(
            f"takes several inputs, {', '.join(p.lstrip('.') for p in given.tensors())}, one row per example each"
        )
    if learned.settings.constants:
        notes.append(f"called with {', '.join(learned.settings.constants)} every time, the same for all examples")
    if len(learned.outputs) > 1:
        rest = ", ".join(p.lstrip(".") for p in learned.outputs if p != learned.output)
        how = "as asked" if learned.settings.output else "wrap(..., output=...) chooses another"
        notes.append(f"its output is {learned.output.lstrip('.')}, of several ({how}); the others: {rest}")
    return notes


def _not_a_module(given: Any) -> str:
    if isinstance(given, type):
        return f"wrap takes an nn.Module, got the class {given.__name__}; make an instance of it"
    return f"wrap takes an nn.Module, got {type(given).__name__}; interp.load(path) reads a model from a checkpoint"


def _placed(example: Tensor | Inputs, module: nn.Module) -> Tensor | Inputs:
    model = Wrapped(module, {}, ())
    if isinstance(example, Inputs):
        return example.to(model.device, model.dtype)
    return example.to(model.device, model.dtype if example.is_floating_point() else example.dtype)


def _unwrapped(module: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    while (inner := _inside(module)) is not None:
        notes = (
            *notes,
            f"unwrapped from {type(module).__name__}: the {type(inner).__name__} inside is measured",
        )
        module = inner
    for note in notes:
        warnings.warn(note, UserWarning, stacklevel=3)
    return module, notes


def _inside(module: nn.Module) -> nn.Module | None:
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return module.module
    if isinstance(module, torch.jit.ScriptModule):
        return None  # its modules are not in a dict
    return module._modules.get("_orig_mod")  # torch.compile's


def _refuse_unreachable(module: nn.Module) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        raise InterpError(
            f"{type(module).__name__} is TorchScript, which hooks do not reach; wrap the module that it was made from"
        )
    compiled = [name for name, m in module.named_modules() if "_orig_mod" in m._modules]
    if compiled:
        raise InterpError(
            f"{', '.join(compiled)} is compiled, and hooks do not reach inside; wrap the module before compiling it"
        )


class Wrapped(Guest):
    """Any module, with hook points at the input and output of each submodule. Made by `wrap`."""

    def renamed(self, axes: Mapping[str, Sequence[str]]) -> Wrapped:
        """The same model with other axis names.

        Args:
            axes: axis names by hook point or glob; if several match, the last one counts.

        Returns:
            a new model around the same module.

        Raises:
            InterpError: a number of names that does not fit a hook point.
        """
        points = {name: self.axes_of(name) for name in self.hook_dict}
        for pattern, names in axes.items():
            for site in resolve_sites(self, pattern):
                if len(names) != len(points[site.name]):
                    given, has = ", ".join(names), len(points[site.name])
                    raise InterpError(f"axes[{pattern!r}] names {len(names)} axes ({given}); {site.name} has {has}")
                points[site.name] = tuple(names)
        path = (self.settings.output or "logits").lstrip(".")
        out = [points[n] for n in ("hook_out", f"hook_out.{path}") if n in points]
        return self._around(self.module, points, (out or [self.output_axes])[0])

    @override
    def _installers(self, watched: set[str]) -> Iterator[Callable[[], Any]]:
        if not watched:
            return
        # the name of a hook point's submodule ends before the last hook_in or hook_out
        entered = {n.rpartition("hook_in")[0] for n in watched if n.endswith("hook_in")}
        left = {n.rpartition("hook_out")[0] for n in watched if "hook_out" in n}
        for name, module in self.module.named_modules():
            prefix = f"{name}." if name else ""
            if prefix in entered:
                enter = in_this_thread(partial(self._enter, prefix))
                yield partial(module.register_forward_pre_hook, enter, with_kwargs=True)
            if prefix in left:
                yield partial(module.register_forward_hook, in_this_thread(partial(self._leave, prefix)))

    def _enter(self, prefix: str, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        given = first_tensor(args, kwargs)
        if given is None or not given.is_floating_point():
            return None
        new = self._fire(f"{prefix}hook_in", given)
        position = next((i for i, a in enumerate(args) if a is given), None)
        if position is not None:
            return (*args[:position], new, *args[position + 1 :]), kwargs
        key = next(k for k, a in kwargs.items() if a is given)
        return args, {**kwargs, key: new}

    def _leave(self, prefix: str, _module: nn.Module, _args: Any, output: Any) -> Any:
        return mapped(output, lambda path, tensor: self._fire(f"{prefix}hook_out{path}", tensor))

    @override
    def resume(self, site: str, activation: Tensor) -> Tensor:
        """Run on from ``<child>.hook_out``, in a Sequential and in Sequentials inside it."""
        steps = list(_steps(self.module, "")) if _sequential(self.module) else []
        names = {f"{prefix}hook_out" for prefix, _, kind in steps if kind != "start"} & set(self.hook_dict)
        uses = [module for prefix, module, kind in steps if kind != "start" and f"{prefix}hook_out" == site]
        if site not in names or sum(m is uses[0] for _, m, kind in steps if kind != "start") > 1:
            if not steps:
                return super().resume(site, activation)
            raise UnknownSite(
                f"cannot resume at {site!r}; {self.config.module} is a Sequential and resumes after every child that runs "
                f"once and returns a tensor: {', '.join(sorted(names))}"
            )
        begin = next(i for i, (p, _, kind) in enumerate(steps) if kind != "start" and f"{p}hook_out" == site)
        x: Any = activation
        with measured(self.module, self.settings), self._watching():
            for prefix, module, kind in steps[begin + 1 :]:
                if kind == "run":
                    x = module(x)
                elif kind == "start":
                    x = self._fire(f"{prefix}hook_in", x)
                else:
                    x = self._leave(prefix, module, None, x)
        return chosen_output(x, self.settings.output)[1]


def _sequential(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _steps(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module, str]]:
    """The children of a Sequential and of Sequentials inside it, in the order in which they run, with start and end marks."""
    for name, child in module._modules.items():
        assert child is not None
        within = f"{prefix}{name}."
        if _sequential(child):
            yield within, child, "start"
            yield from _steps(child, within)
        else:
            yield within, child, "run"
    yield prefix, module, "end"
