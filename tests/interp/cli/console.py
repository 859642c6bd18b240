"""Commands as the tests see them, and the small files they are given."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

import interp

LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d interp: (.*)\n")


@dataclass(frozen=True)
class Ran:
    """What a command left behind: exit code, standard output, standard error, and the lines of the log in it."""

    code: int
    out: str
    err: str
    log: tuple[str, ...] = ()

    @classmethod
    def of(cls, code: int, out: str, err: str) -> Ran:
        """Take the log out of standard error."""
        lines = err.splitlines(keepends=True)
        logged = [LOGGED.match(line) for line in lines]
        rest = "".join(line for line, found in zip(lines, logged, strict=True) if found is None)
        return cls(code, out, rest, tuple(found[1] for found in logged if found is not None))

    @property
    def said(self) -> str:
        """The errors with every run of blanks as one, so that a wrapped line does not matter."""
        return " ".join(self.err.split())


Run = Callable[..., Ran]
Refused = Callable[..., str]


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every path under a folder, with the bytes of the files."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def make_mlp(seed: int) -> interp.HookedMLP:
    """Two tokens of 7, one hidden layer of 8 units, 7 answers."""
    config = interp.MLPConfig(hidden=(8,), d_out=7, d_vocab=7, d_embed=4)
    return interp.HookedMLP(config).init_weights(seed)


def make_chain(seed: int) -> dict[str, torch.Tensor]:
    """A network of that form, as torch's own modules store it (matrices as [out, in])."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"embed.weight": (7, 4), "fc.weight": (6, 8), "fc.bias": (6,), "out.weight": (7, 6), "out.bias": (7,)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
