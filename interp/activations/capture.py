"""Capture activations by site: safe copies of every call, in bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from interp.activations.batches import batches, model_for, placed, translated
from interp.activations.loaders import Loader, is_loader
from interp.activations.reducers import Reducer
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.hooked.cache import NoSuchActivation, full_name
from interp.hooked.coerce import as_model
from interp.hooked.foreign.several import Inputs, as_inputs
from interp.sites import HasModel, Site, SitePattern, find_axis, resolve_sites

DEFAULT_BUDGET = 4 << 30  # bytes


class Activations(Mapping[str, Any]):
    """Captured activations: ``acts[name]`` is a tensor, with a leading ``call`` axis if the hook point fired repeatedly.

    TransformerLens's short names do, too: ``acts["pattern", 0]``. With a reducer, the values are the reducer's results instead.

    Attributes:
        axes: axis names of each activation, by site, as far as they remain (without the ``call`` axis).
        outputs: what `capture` kept of the model's outputs; None if it was not asked to.
    """

    def __init__(self, values: dict[str, Any], axes: dict[str, tuple[str, ...]], outputs: Tensor | None = None):
        self._values, self.axes, self.outputs = values, axes, outputs

    def __getitem__(self, name: Any) -> Any:
        try:
            return self._values[full_name(name, self._values)]
        except NoSuchActivation:
            raise NoSuchActivation(f"{name!r} was not captured; captured: {', '.join(self._values)}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        lines = [
            f"  {name}: {list(v.shape) if isinstance(v, Tensor) else type(v).__name__} {' '.join(self.axes[name])}"
            for name, v in self._values.items()
        ]
        return "Activations\n" + "\n".join(lines)


@torch.no_grad()
def capture(
    model: HookedModel | HasModel,
    inputs: Tensor | Inputs | Iterable[Any],
    sites: SitePattern,
    *,
    batch_size: int | None = None,
    max_bytes: int = DEFAULT_BUDGET,
    reduce: Reducer | None = None,
    device: torch.device | str | None = None,
    outputs: Callable[[Tensor], Tensor] | None = None,
) -> Activations:
    """Run the model and keep activations.

    Args:
        model: any hooked model, or a Subject.
        inputs: ``[batch, ...]``; for a wrapped module that takes several, `interp.Inputs` or a tuple or dict of tensors. Or
            a loader of batches ``inputs`` or ``(inputs, targets)``, which are read one by one and not kept.
        sites: names, globs, or `Site`s; a site with ``pos``, ``head`` or ``unit`` keeps only that part, and one with a
            basis keeps the coordinates along it.
        batch_size: inputs per forward pass; all at once by default.
        max_bytes: limit on the size of the result, checked after the first batch, before memory is spent.
        reduce: keep only a streaming statistic of each site, such as ``interp.reducers.Mean()``, ``Covariance()``,
            ``TopK(10)`` or ``Histogram(-1, 1)``.
        device: where the result is kept; by default where the model is.
        outputs: what to keep of the model's outputs, batch by batch, as ``acts.outputs``; by default nothing.

    Returns:
        `Activations` by site: tensors with the axes of `HookedModel.axes_of`, less those that the site drops, or results
        of the reducer. Every tensor is a copy, which later in-place edits do not reach.

    Raises:
        UnknownSite: a pattern that matches nothing.
        InterpError: inputs that the model cannot run on, a result that would exceed ``max_bytes``, a hook point that did
            not fire or fired a varying number of times, or an argument of the wrong kind.

    >>> from interp import HookedMLP, MLPConfig, reducers
    >>> model = HookedMLP(MLPConfig((4,), 3, d_in=2)).init_weights(seed=0)
    >>> inputs = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    >>> capture(model, inputs, "layers.*.hook_post")["layers.0.hook_post"].shape
    torch.Size([5, 4])

    Statistics of activations that are too many to keep, streamed over batches:

    >>> top = capture(model, inputs, "layers.0.hook_post", batch_size=2, reduce=reducers.TopK(3))["layers.0.hook_post"]
    >>> top.indices.shape  # for each of the 4 units the 3 inputs with the largest activations
    torch.Size([3, 4])
    >>> stats = capture(model, inputs, "layers.0.hook_post", batch_size=2, reduce=reducers.Covariance())
    >>> stats["layers.0.hook_post"].covariance.shape, stats["layers.0.hook_post"].samples
    (torch.Size([4, 4]), 5)
    """
    loader = Loader(inputs) if is_loader(inputs) else None
    given: Any = inputs if loader is not None else as_inputs(inputs)
    model = as_model(model) if loader is not None else model_for(model, given)
    if outputs is not None and not callable(outputs):
        raise InterpError(f"outputs must be a function of the model's output, got {type(outputs).__name__}")
    reduce = _as_reducer(reduce)
    resolved = resolve_sites(model, sites)
    axes = {str(s): _axes_after(s, model.axes_of(s.name)) for s in resolved}
    if len(axes) < len(resolved):
        raise InterpError(
            "two different sites have the same name: " + ", ".join(axes) + "; capture them one after the other"
        )
    states = {str(s): reduce.start(axes[str(s)]) for s in resolved} if reduce else {}
    chunks: dict[str, list[list[Tensor]]] = {str(s): [] for s in resolved}
    read: list[Tensor] = []
    seen = kept = 0
    for part in _cut(given, batch_size) if loader is None else _read(loader, model, batch_size):
        with _recording(model, resolved, device) as calls, translated(model, part):
            examples = placed(part, model)
            output = model.for_all(examples)(examples)
        if outputs is not None:
            read.append(outputs(output))
        seen += len(part)
        for name, tensors in calls.items():
            if not tensors:
                raise InterpError(f"hook point {name} did not fire in this forward pass")
            for tensor in tensors if reduce else ():
                states[name].update(tensor)
            if not reduce:
                chunks[name].append(tensors)
                kept += sum(t.nbytes for t in tensors)
        _check_budget(kept * len(given) / seen if loader is None else kept, max_bytes)
    kept_outputs = torch.cat(read) if read else None
    if reduce:
        return Activations({name: state.result() for name, state in states.items()}, axes, kept_outputs)
    return Activations({name: _join(name, parts, axes[name]) for name, parts in chunks.items()}, axes, kept_outputs)


def _read(loader: Loader, model: HookedModel, batch_size: int | None) -> Iterator[Any]:
    """The inputs of a loader's batches, which may be cut further."""
    for batch in loader:
        model_for(model, batch.inputs)
        yield from _cut(batch.inputs, batch_size)


def _cut(inputs: Any, batch_size: int | None) -> Iterator[Any]:
    """Batches of a size, or all inputs as one."""
    return batches(inputs, len(inputs) if batch_size is None else batch_size)


def _as_reducer(reduce: Any) -> Reducer | None:
    if isinstance(reduce, type):
        try:
            reduce = reduce()
        except TypeError as error:
            raise InterpError(f"reduce={reduce.__name__} needs arguments: {error}") from None
    if reduce is not None and not callable(getattr(reduce, "start", None)):
        raise InterpError(f"reduce must be a reducer, such as interp.reducers.Mean(), got {type(reduce).__name__}")
    return reduce


def _check_budget(needed: float, max_bytes: int) -> None:
    if needed > max_bytes:
        raise InterpError(
            f"the activations would take {needed / 2**20:,.1f} MiB, more than max_bytes ({max_bytes / 2**20:,.1f} MiB); "
            "capture fewer sites or positions, raise max_bytes, or stream with reduce=Mean(...)"
        )


@contextmanager
def _recording(
    model: HookedModel, sites: list[Site], device: torch.device | str | None
) -> Iterator[dict[str, list[Tensor]]]:
    """Hooks that copy what passes in this thread, by site and call; removed by handle whatever happens."""
    calls: dict[str, list[Tensor]] = {str(s): [] for s in sites}
    owner = threading.get_ident()

    def recorder(site: Site, axes: tuple[str, ...]) -> Callable[..., None]:
        def record(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            if threading.get_ident() != owner:
                return  # another thread's forward pass
            part = select(site, output.detach(), axes)
            calls[str(site)].append(part.to(device, copy=True) if device else part.clone())

        return record

    handles: list[Any] = []
    try:
        for site in sites:
            point: nn.Module = model.hook_dict[site.name]
            handles.append(point.register_forward_hook(recorder(site, model.axes_of(site.name))))
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def select(site: Site, activation: Tensor, axes: tuple[str, ...]) -> Tensor:
    """The part of an activation that a site names.

    Args:
        site: with an exact name.
        activation: of its hook point.
        axes: names of the activation's axes.

    Returns:
        the selected part; integer indices drop their axis, lists and slices keep it. With a basis, the coordinates along
        its directions replace the feature axis.

    Raises:
        InterpError: an axis that the activation lacks, an index outside it, or a basis of other dimensions.
    """
    for axis in ("unit", "head", "pos"):
        index = getattr(site, axis)
        if index is None:
            continue
        dim = find_axis(axis, axes, site.name)
        if not isinstance(index, (int, slice)):
            index = torch.as_tensor(list(index), dtype=torch.long, device=activation.device)
        try:
            activation = activation[(slice(None),) * dim + (index,)]
        except IndexError:
            raise InterpError(f"{site}: {axis} {index} is outside an axis of {activation.shape[dim]}") from None
        if isinstance(index, int):
            axes = axes[:dim] + axes[dim + 1 :]
    if site.basis is None:
        return activation
    directions = site.basis.directions.to(activation)
    if activation.ndim == 0 or activation.shape[-1] != directions.shape[1]:
        raise InterpError(
            f"{site}: directions of {directions.shape[1]} dimensions, features {list(activation.shape[-1:])}"
        )
    return activation @ directions.T


def _axes_after(site: Site, axes: tuple[str, ...]) -> tuple[str, ...]:
    dropped = {find_axis(a, axes, site.name) for a in ("pos", "head", "unit") if isinstance(getattr(site, a), int)}
    return tuple(name for i, name in enumerate(axes) if i not in dropped)


def _join(name: str, parts: list[list[Tensor]], axes: tuple[str, ...]) -> Tensor:
    """Concatenate batches, call by call; several calls become a leading axis."""
    counts = {len(calls) for calls in parts}
    if len(counts) > 1:
        raise InterpError(f"hook point {name} fired {sorted(counts)} times in different batches; use one batch")
    joined = [torch.cat(batch, dim=axes.index("batch")) for batch in zip(*parts, strict=True)]
    if len(joined) == 1:
        return joined[0]
    if len({t.shape for t in joined}) > 1:
        raise InterpError(
            f"hook point {name} fired {len(joined)} times with different shapes {[list(t.shape) for t in joined]}; "
            "reduce them while streaming (reduce=...)"
        )
    return torch.stack(joined)
