"""Tensors of a network that nobody here knows how to run: their norms, spectra and densities can still be measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from interp.errors import InterpError, MissingCapability
from interp.hooked.base import HookedModel
from interp.hooked.config import Config


@dataclass(frozen=True)
class TensorsConfig(Config):
    """Names and shapes of tensors.

    Attributes:
        names: of the tensors, with dots as in a state dict.
        shapes: one a name.

    Raises:
        InterpError: as many shapes as names are needed, and no name twice.
    """

    kind: ClassVar[str] = "tensors"

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shapes", tuple(tuple(shape) for shape in self.shapes))
        if len(self.names) != len(self.shapes) or len(set(self.names)) < len(self.names) or not self.names:
            raise InterpError("TensorsConfig needs one shape for every name, at least one name, and no name twice")


class HookedTensors(HookedModel):
    """The tensors of a file as parameters, under the file's names, without a forward pass and without hook points.

    Args:
        config: names and shapes.
    """

    config_class = TensorsConfig
    runs = False
    serves = ("weights", "series", "members", "curves", "genome")
    unserved = "needs a network that can be run; the layout of these tensors is unknown"
    config: TensorsConfig  # pyright: ignore[reportIncompatibleVariableOverride]  set once, by the constructor

    def __init__(self, config: TensorsConfig):
        super().__init__(config)
        for name, shape in zip(config.names, config.shapes, strict=True):
            self._place(name, nn.Parameter(torch.empty(shape)))
        self.setup()

    def _place(self, name: str, parameter: nn.Parameter) -> None:
        """Register a parameter under a name with dots; past nn.Module's checks, since a file may call a tensor ``type``."""
        *path, leaf = name.split(".")
        module: nn.Module = self
        for part in path:
            inner = module._modules.get(part)
            if inner is None:
                inner = module._modules[part] = nn.Module()
            module = inner
        module._parameters[leaf] = parameter

    @override
    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Refused: there is no network to run.

        Raises:
            MissingCapability: always.
        """
        raise MissingCapability(
            "these are tensors of an unknown network, so it cannot be run; a layout, a name map or interp.wrap(module, example) "
            "makes a network of them"
        )
