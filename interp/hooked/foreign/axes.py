"""The activations of a foreign module and their axis names, from one run with all examples and one without the last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from interp.errors import InterpError
from interp.hooked.foreign.measuring import RunSettings, Traces
from interp.hooked.foreign.several import Inputs, shown_inputs
from interp.hooked.foreign.structures import chosen_output, tensors

CHANNEL_FILES = {f"torch.nn.modules.{f}" for f in (
    "conv", "pooling", "batchnorm", "instancenorm", "upsampling", "padding", "pixelshuffle", "channelshuffle",
)}  # fmt: skip  # modules of torch whose inputs are [batch, channel, *space]
SPACE = {0: (), 1: ("pos",), 2: ("row", "column"), 3: ("depth", "row", "column")}
FEATURES_LAST = (nn.Linear, nn.LayerNorm, nn.Embedding, nn.RNNBase, nn.MultiheadAttention, nn.TransformerEncoderLayer)


@dataclass(frozen=True)
class Firing:
    """A tensor that entered or left a submodule.

    Attributes:
        point: name of the hook point.
        tensor: what passed.
        module: the submodule.
        path: where the tensor is in the submodule's output (`structures.mapped`).
        enters: whether it is the input.
    """

    point: str
    tensor: Tensor
    module: nn.Module
    path: str = ""
    enters: bool = False


@dataclass(frozen=True)
class Learned:
    """What a trial run showed of a module.

    Attributes:
        points: axis names of every hook point that fires, in order of firing.
        output_axes: axis names of the output.
        settings: as given, with what the module changes while it runs.
        outputs: paths of all tensors that it returns.
        output: path of the one that counts.
    """

    points: dict[str, tuple[str, ...]]
    output_axes: tuple[str, ...]
    settings: RunSettings
    outputs: tuple[str, ...]
    output: str


def learn_points(module: nn.Module, example: Tensor | Inputs, settings: RunSettings) -> Learned:
    """Find the hook points of a module and their axis names.

    The axis that becomes shorter without the last example is ``batch``. The module's mode, its buffers and torch's random
    state stay as they are.

    Args:
        module: any module.
        example: at least two inputs ``[batch, ...]``.
        settings: which of its outputs counts, and what it is called with besides.

    Returns:
        what was learned.

    Raises:
        InterpError: fewer than two examples, or a module that cannot run on them.
    """
    if example.ndim == 0 or len(example) < 2:
        raise InterpError(
            f"the example must be a tensor of at least 2 inputs [batch, ...], which show which axis is the batch; "
            f"got {shown_inputs(example)}"
        )
    traces = Traces(module)
    firings, output = _run(module, example, settings.constants, traces)
    settings = replace(settings, random=traces.random, buffers=traces.buffers)
    fewer, smaller = _run(module, example[:-1], settings.constants, traces)
    shorter = {f.point: f.tensor.shape for f in reversed(fewer)}  # the first call's
    batches = [_batch_axis(f.tensor.shape, shorter.get(f.point)) for f in firings]
    names = _Names(firings, batches)
    points: dict[str, tuple[str, ...]] = {}
    for firing, batch in zip(firings, batches, strict=True):
        points.setdefault(firing.point, names.of(firing, batch))
    path, tensor = chosen_output(output, settings.output)
    last = Firing("", tensor, module, path)
    axes = names.of(last, _batch_axis(tensor.shape, chosen_output(smaller, settings.output)[1].shape))
    return Learned(points, axes, settings, tuple(tensors(output)), path)


def _batch_axis(shape: torch.Size, smaller: torch.Size | None) -> int | None:
    if smaller is None or len(smaller) != len(shape):
        return None
    return next((axis for axis, (a, b) in enumerate(zip(shape, smaller, strict=True)) if a != b), None)


class _Names:
    """Axis names, known from the kind of module or taken over from its input."""

    def __init__(self, firings: list[Firing], batches: list[int | None]):
        found = {id(f.tensor): _channels_first(f, batch) for f, batch in zip(firings, batches, strict=True)}
        self._by_tensor = {key: axes for key, axes in found.items() if axes is not None}
        self._by_shape: dict[torch.Size, tuple[str, ...]] = {}

    def of(self, firing: Firing, batch: int | None) -> tuple[str, ...]:
        shape, key = firing.tensor.shape, id(firing.tensor)
        axes = _channels_first(firing, batch) or self._by_tensor.get(key)
        if axes is None and not isinstance(firing.module, FEATURES_LAST):
            axes = self._by_shape.get(shape)  # the latest of this shape, such as before a skip connection was added
        axes = axes or _features_last(firing, batch)
        self._by_tensor[key] = self._by_shape[shape] = axes
        return axes


def _channels_first(firing: Firing, batch: int | None) -> tuple[str, ...] | None:
    module, n_space = firing.module, firing.tensor.ndim - 2
    knows = any(c.__module__ in CHANNEL_FILES for c in type(module).__mro__) or isinstance(module, nn.GroupNorm)
    return ("batch", "unit", *SPACE[n_space]) if knows and batch == 0 and n_space in SPACE else None


def _features_last(firing: Firing, batch: int | None) -> tuple[str, ...]:
    rank = firing.tensor.ndim
    if not firing.enters and isinstance(firing.module, nn.RNNBase) and firing.path.startswith(".1") and rank == 3:
        return ("layer", "batch", "unit")  # the last states
    if not firing.enters and isinstance(firing.module, nn.MultiheadAttention) and firing.path == ".1":
        return ("batch", "query", "key") if rank == 3 else ("batch", "head", "query", "key")
    return _plain(rank, batch)


def _plain(rank: int, batch: int | None) -> tuple[str, ...]:
    others = {1: ["unit"], 2: ["pos", "unit"]}.get(rank if batch is None else rank - 1)
    names = others or [f"axis{axis}" for axis in range(rank) if axis != batch]
    return tuple(names) if batch is None else (*names[:batch], "batch", *names[batch:])


def first_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """The first positional tensor, or else the first keyword tensor; None if there is none."""
    return next((a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)), None)


def _run(
    module: nn.Module, example: Tensor | Inputs, constants: Mapping[str, Any], traces: Traces
) -> tuple[list[Firing], Any]:
    """All floating tensors that enter and leave the submodules, kept alive so that identities stay unique."""
    firings: list[Firing] = []
    handles: list[Any] = []

    def watch(prefix: str, submodule: nn.Module) -> None:
        def enter(m: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            tensor = first_tensor(args, kwargs)
            if tensor is not None and tensor.is_floating_point():
                firings.append(Firing(f"{prefix}hook_in", tensor, m, enters=True))

        def leave(m: nn.Module, _args: Any, output: Any) -> None:
            for path, tensor in tensors(output).items():
                if tensor.is_floating_point():
                    firings.append(Firing(f"{prefix}hook_out{path}", tensor, m, path))

        handles.append(submodule.register_forward_pre_hook(enter, with_kwargs=True))
        handles.append(submodule.register_forward_hook(leave))

    try:
        for name, submodule in module.named_modules():
            watch(f"{name}." if name else "", submodule)
        with traces.watching(), torch.no_grad():
            given = example if isinstance(example, Inputs) else Inputs(example)
            return firings, module(*given.args, **{**constants, **given.kwargs})
    except InterpError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
        kind, reason = type(module).__name__, str(error) or type(error).__name__
        raise InterpError(f"the {kind} cannot run on inputs {shown_inputs(example)}: {reason}") from error
    finally:
        for handle in handles:
            handle.remove()
