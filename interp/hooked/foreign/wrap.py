"""`wrap`: hook points around any module."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from interp.errors import InterpError, UnknownSite
from interp.hooked.base import HookedModel
from interp.hooked.foreign.axes import first_tensor, learn_points
from interp.hooked.foreign.bridge import WrappedBridge, is_bridge
from interp.hooked.foreign.guest import Guest
from interp.hooked.foreign.structures import main_output, mapped
from interp.sites import resolve_sites


def wrap(
    module: nn.Module,
    example: Tensor | None = None,
    *,
    axes: Mapping[str, Sequence[str]] | None = None,
    name: str | None = None,
) -> HookedModel:
    """A hooked model around any module, whose weights and mode stay its own.

    Each submodule that runs has ``<its name>.hook_in``, the first tensor that it is given, and ``<its name>.hook_out``;
    the module itself has ``hook_in`` and ``hook_out``. Where a submodule returns several tensors each has a point of its
    own, named by index, key or field: ``lstm.hook_out.0``, ``lstm.hook_out.1.0``, ``hook_out.logits``. Whole numbers
    pass without a point. A submodule that is called twice fires twice.

    Args:
        module: compiled ones and those in DataParallel are unwrapped, with a warning. A hooked model comes back as it
            is. TransformerLens's bridges need no example (`WrappedBridge`).
        example: inputs ``[batch, ...]`` of at least two examples, run once with all and once without the last, in
            evaluation mode, to learn which points there are and which of their axes is the batch.
        axes: names of the axes at points, by name or glob, where those found are not what is meant. Images are
            ``batch, unit, row, column``, vectors ``batch, unit`` and sequences ``batch, pos, unit``; axes of which nothing
            is known are ``axis1``, ... and points that do not depend on the inputs have no ``batch``.
        name: what to call it; the class by default.

    Raises:
        InterpError: no example, an example on which the module cannot run, axis names that do not fit a point, or a
            module that hooks cannot reach (TorchScript, or compiled parts).
        UnknownSite: a glob of ``axes`` that matches no point.

    >>> import torch
    >>> from interp import capture
    >>> net = nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 5))
    >>> model = wrap(net, torch.ones(2, 1, 3, 3))
    >>> model.axes_of("1.hook_out"), model.axes_of("hook_out")
    (('batch', 'unit', 'row', 'column'), ('batch', 'unit'))
    >>> capture(model, torch.ones(4, 1, 3, 3), "1.hook_out")["1.hook_out"].shape
    torch.Size([4, 3, 2, 2])
    """
    module, notes = _unwrapped(module)
    if isinstance(module, HookedModel):
        return module
    if is_bridge(module):
        if axes is not None:
            raise InterpError("the axes of a bridge's hook points are known; leave axes out")
        return WrappedBridge.around(module, name, notes)
    _refuse_unreachable(module)
    if example is None:
        raise InterpError(
            f"wrap needs example inputs for a {type(module).__name__}: wrap(module, example), with a tensor [batch, ...] of "
            "two inputs or more, from which it learns what runs and which axis is the batch"
        )
    points, output_axes = learn_points(module, _placed(example, module))
    model = Wrapped(module, points, output_axes, name=name, notes=notes)
    return model.renamed(axes) if axes else model


def _placed(example: Tensor, module: nn.Module) -> Tensor:
    model = Wrapped(module, {}, ())
    return example.to(model.device, model.dtype if example.is_floating_point() else example.dtype)


def _unwrapped(module: nn.Module) -> tuple[nn.Module, tuple[str, ...]]:
    notes: tuple[str, ...] = ()
    while (inner := _inside(module)) is not None:
        notes = (
            *notes,
            f"{type(module).__name__} was taken off: what is measured is the {type(inner).__name__} within",
        )
        module = inner
    for note in notes:
        warnings.warn(note, UserWarning, stacklevel=3)
    return module, notes


def _inside(module: nn.Module) -> nn.Module | None:
    if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        return module.module
    if isinstance(module, torch.jit.ScriptModule):
        return None  # whose modules are no dict
    return module._modules.get("_orig_mod")  # torch.compile's


def _refuse_unreachable(module: nn.Module) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        raise InterpError(
            f"{type(module).__name__} is TorchScript: hooks do not reach inside; wrap the module from which it was made"
        )
    compiled = [name for name, m in module.named_modules() if "_orig_mod" in m._modules]
    if compiled:
        raise InterpError(
            f"{', '.join(compiled)} is compiled: hooks do not reach inside; wrap the module before compiling"
        )


class Wrapped(Guest):
    """Any module, with a hook point at what enters and what leaves each submodule. Made by `wrap`."""

    def renamed(self, axes: Mapping[str, Sequence[str]]) -> Wrapped:
        """The same with other axis names, by glob; where several globs match, the last counts."""
        points = {name: self.axes_of(name) for name in self.hook_dict}
        for pattern, names in axes.items():
            for site in resolve_sites(self, pattern):
                if len(names) != len(points[site.name]):
                    given, has = ", ".join(names), len(points[site.name])
                    raise InterpError(f"axes[{pattern!r}] names {len(names)} axes ({given}); {site.name} has {has}")
                points[site.name] = tuple(names)
        out = [points[n] for n in ("hook_out", "hook_out.logits") if n in points]
        return Wrapped(self.module, points, (out or [self.output_axes])[0], name=self.config.module, notes=self._notes)

    def _installers(self, watched: set[str]) -> Iterator[Callable[[], Any]]:
        if not watched:
            return
        # a point's module is its name up to the last hook_in or hook_out
        entered = {n.rpartition("hook_in")[0] for n in watched if n.endswith("hook_in")}
        left = {n.rpartition("hook_out")[0] for n in watched if "hook_out" in n}
        for name, module in self.module.named_modules():
            prefix = f"{name}." if name else ""
            if prefix in entered:
                yield partial(module.register_forward_pre_hook, partial(self._enter, prefix), with_kwargs=True)
            if prefix in left:
                yield partial(module.register_forward_hook, partial(self._leave, prefix))

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

    def resume(self, site: str, activation: Tensor) -> Tensor:
        """Run on from ``<child>.hook_out``, in a Sequential and in Sequentials within it."""
        steps = list(_steps(self.module, "")) if _sequential(self.module) else []
        names = {f"{prefix}hook_out" for prefix, _, kind in steps if kind != "start"} & set(self.hook_dict)
        uses = [module for prefix, module, kind in steps if kind != "start" and f"{prefix}hook_out" == site]
        if site not in names or sum(m is uses[0] for _, m, kind in steps if kind != "start") > 1:
            if not steps:
                return super().resume(site, activation)
            raise UnknownSite(
                f"cannot resume at {site!r}; of {self.config.module}, a Sequential, every child that runs once and returns a "
                f"tensor can be resumed: {', '.join(sorted(names))}"
            )
        begin = next(i for i, (p, _, kind) in enumerate(steps) if kind != "start" and f"{p}hook_out" == site)
        x: Any = activation
        with self._watching():
            for prefix, module, kind in steps[begin + 1 :]:
                if kind == "run":
                    x = module(x)
                elif kind == "start":
                    x = self._fire(f"{prefix}hook_in", x)
                else:
                    x = self._leave(prefix, module, None, x)
        return main_output(x)[1]


def _sequential(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward


def _steps(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module, str]]:
    """The children of a Sequential and of those within it, in the order in which they run; what starts and ends between."""
    for name, child in module._modules.items():
        assert child is not None
        within = f"{prefix}{name}."
        if _sequential(child):
            yield within, child, "start"
            yield from _steps(child, within)
        else:
            yield within, child, "run"
    yield prefix, module, "end"
