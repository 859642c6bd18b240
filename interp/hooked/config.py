"""Configs: what a model is built from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar


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
