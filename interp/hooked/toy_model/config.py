"""The shape of a toy model of superposition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from interp.hooked.activation_functions import make_activation
from interp.hooked.config import Config


@dataclass(frozen=True)
class ToyModelConfig(Config):
    """Shape of a `HookedToyModel`.

    Args:
        n_features: number of inputs, and of outputs.
        n_hidden: dimensions that they are stored in.
        act_fn: activation function of the outputs: ``"relu"``, or ``"identity"`` for the paper's linear model.
        bias: whether the outputs have a bias.

    Raises:
        InterpError: values out of range.
        UnknownName: an activation function that is not known.
    """

    kind: ClassVar[str] = "toy_model"

    n_features: int
    n_hidden: int
    act_fn: str = "relu"
    bias: bool = True

    def __post_init__(self) -> None:
        self.require_counts(("n_features", "n_hidden"))
        make_activation(self.act_fn)

    @property
    def d_in(self) -> int:
        """Width of the inputs."""
        return self.n_features

    @property
    def d_out(self) -> int:
        """Width of the outputs."""
        return self.n_features
