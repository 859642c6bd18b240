"""Equality by content, for interventions and values."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from torch import Tensor
from typing_extensions import override

from interp.hooked.foreign.several import Inputs, same_inputs


class Comparable:
    """Equality by content for dataclasses that hold tensors."""

    @override
    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return all(
            _same(getattr(self, f.name), getattr(other, f.name))
            for f in fields(self)  # type: ignore[arg-type]
        )

    @override
    def __hash__(self) -> int:
        return hash((type(self).__name__, str(getattr(self, "site", ""))))


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor | Inputs) or isinstance(b, Tensor | Inputs):
        return same_inputs(a, b)
    return bool(a == b)
