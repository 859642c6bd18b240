"""Equality by content, for interventions and values."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override


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
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and torch.equal(a.cpu(), b.cpu())
    return bool(a == b)
