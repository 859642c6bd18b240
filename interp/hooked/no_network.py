"""The place of a network where there is none: a run of which only the curves are here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from typing_extensions import override

from interp.errors import MissingCapability
from interp.hooked.base import HookedModel
from interp.hooked.config import Config


@dataclass(frozen=True)
class NoNetworkConfig(Config):
    """Where the curves came from.

    Attributes:
        source: the tool that logged them.
    """

    kind: ClassVar[str] = "none"

    source: str


class NoNetwork(HookedModel):
    """A model without parameters: whatever needs a network is refused, what needs curves alone works.

    Args:
        config: where the curves came from.
    """

    config_class = NoNetworkConfig
    runs = False
    serves = ("members", "curves")
    unserved = "needs a network, and only the recorded curves of this run are here; name a checkpoint of it"
    config: NoNetworkConfig  # pyright: ignore[reportIncompatibleVariableOverride]  set once, by the constructor

    def __init__(self, config: NoNetworkConfig):
        super().__init__(config)
        self.setup()

    @property
    @override
    def device(self) -> torch.device:
        """The CPU: nothing is anywhere else."""
        return torch.device("cpu")

    @property
    @override
    def dtype(self) -> torch.dtype:
        """The dtype of measures."""
        return torch.float64

    @override
    def summary(self) -> str:
        """That there is none."""
        return f"none: the recorded curves alone, from {self.config.source}"

    @override
    def cast(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Self:
        """Itself: there is nothing to convert."""
        return self

    @override
    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Refused: there is no network to run.

        Raises:
            MissingCapability: always.
        """
        raise MissingCapability(
            f"only the curves of this run are here, no network; they came from {self.config.source}"
        )
