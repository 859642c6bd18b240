"""Configs: what a model is built from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from numbers import Integral
from typing import Any, ClassVar

from interp.errors import InterpError

MOST_LAYERS = 2_000  # a module each, so more of them take minutes before any weight is looked at
MOST_STEPS = 10_000  # of a recurrent network whose steps have hook points of their own, over all layers


@dataclass(frozen=True)
class Config:
    """Base of the models' frozen configs; a config and a state dict together are a checkpoint.

    Attributes:
        kind: the model's name in checkpoints and in the group ``interp.models`` of entry points.
    """

    kind: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, including the model's kind, as stored in a checkpoint's header."""
        return {"kind": self.kind, **asdict(self)}

    def require_counts(self, names: Iterable[str], low: int = 1) -> None:
        """Refuse fields that are not whole numbers of at least ``low``.

        Args:
            names: of the fields; a tuple's elements are all checked.
            low: the smallest number allowed.

        Raises:
            InterpError: a field that is something else; the message names it.
        """
        for name in names:
            value = getattr(self, name)
            if name == "n_layers" and isinstance(value, Integral) and int(value) > MOST_LAYERS:
                raise InterpError(f"{type(self).__name__}.n_layers must be at most {MOST_LAYERS:,}, got {value:,}")
            for n in value if isinstance(value, tuple) else (value,):
                if not isinstance(n, Integral) or isinstance(n, bool) or n < low:
                    raise InterpError(
                        f"{type(self).__name__}.{name} must be a whole number of at least {low}, got {value!r}"
                    )

    def require_flags(self, names: Iterable[str]) -> None:
        """Refuse fields that are not true or false.

        Args:
            names: of the fields.

        Raises:
            InterpError: a field that is something else, such as the text "no", which would count as true.
        """
        for name in names:
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise InterpError(f"{type(self).__name__}.{name} must be true or false, got {value!r}")

    def require_few_steps(self, n_ctx: int, n_layers: int) -> None:
        """Refuse more steps than hook points can be made for in seconds.

        Args:
            n_ctx: steps that have hook points of their own.
            n_layers: layers that have them.

        Raises:
            InterpError: too many.
        """
        if n_ctx * n_layers > MOST_STEPS:
            raise InterpError(
                f"{type(self).__name__}.n_ctx gives every step of every layer hook points of its own, so at most {MOST_STEPS:,} "
                f"steps over all layers are possible; got {n_ctx:,} in {n_layers} layers"
            )
