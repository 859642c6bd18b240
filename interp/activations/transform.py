"""The one installer of hooks that change activations: under `applied`, every experiment's engine, and `gradients`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from interp.errors import InterpError
from interp.hooked.base import HookedModel

Transform = Callable[[Tensor], Tensor]


@contextmanager
def transform_at(
    model: HookedModel, transforms: Mapping[str, Transform] | Sequence[tuple[str, Transform]]
) -> Iterator[None]:
    """Run the block with activations transformed at hook points.

    Transforms at one hook point act in the order given, after any hooks that the user has installed there. They act only on
    forward passes of the thread that entered the block, so that several threads may change one model, each for itself. They
    are removed by handle when the block ends, however it ends; other hooks stay.

    Args:
        model: any hooked model.
        transforms: by hook point (its exact name), or pairs of hook point and transform; each gets the activation and
            returns one of the same shape.

    Yields:
        nothing.

    Raises:
        InterpError: from the forward pass, where a transform returns another shape.

    >>> import torch
    >>> from interp import HookedMLP, MLPConfig
    >>> model = HookedMLP(MLPConfig((4,), 3, d_in=2)).init_weights(seed=0)
    >>> with transform_at(model, {"layers.0.hook_post": torch.zeros_like}):
    ...     model(torch.ones(1, 2)).abs().sum().item()
    0.0
    """
    pairs = list(transforms.items()) if isinstance(transforms, Mapping) else transforms
    handles: list[Any] = []
    try:
        for name, transform in pairs:
            point: nn.Module = model.hook_dict[name]
            handles.append(point.register_forward_hook(_hook(name, transform)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(name: str, transform: Transform) -> Callable[..., Tensor | None]:
    owner = threading.get_ident()

    def act(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor | None:
        if threading.get_ident() != owner:
            return None  # another thread's forward pass
        after = transform(output)
        if after.shape != output.shape:
            raise InterpError(
                f"{name}: an activation of shape {list(output.shape)} was turned into {list(after.shape)}"
            )
        return after

    return act
