"""What to do with a file that fits no layout: its weights alone, a name map, the user's class, or a layout of one's own."""

from __future__ import annotations

import re
import shlex
from collections import Counter

from interp.checkpoints.layouts.base import FileInfo, Weights
from interp.checkpoints.layouts.chain_words import speaks_against
from interp.checkpoints.layouts.linear_modules import linear_modules, unused

FEW = 12  # tensors of a map that is written on the command line
# words of names that are often a network of their own beside others
PARTS = re.compile(
    r"(?:ema_|target_|online_|q_)?(?:model|net|network|module)|teacher|student|actor|critic|policy|generator|discriminator|"
    r"encoder|backbone",
    re.IGNORECASE,
)


def ways_on(weights: Weights, info: FileInfo) -> str:
    """The ways on, each with a command for this file.

    Args:
        weights: the tensors by name.
        info: where they are from.

    Returns:
        One way a line.
    """
    file = shlex.quote(str(info.path)) if info.path else "FILE"
    return "\n".join([
        "What you can do:",
        f"  its weights alone   interp analyze {file} --layout tensors",
        *_parts(weights, file),
        f"  a name map          {_name_map(weights, file)}",
        f"  your PyTorch class  interp analyze {file} --module package.module:Class --example 1x28x28   (the shape of one input; "
        "in Python interp.wrap(module, example))",
        f"  a layout            interp layout new my_layout --like {file}",
    ])  # fmt: skip


def _parts(weights: Weights, file: str) -> list[str]:
    """The way to one part of a file, where names begin with a few words, one of them a network's of several layers."""
    held = Counter(n.partition(".")[0] for n, t in weights.items() if "." in n and t.ndim > 1)
    words = dict.fromkeys(n.partition(".")[0] for n in weights)
    inside = [w for w, count in held.items() if count > 1 and PARTS.fullmatch(w)]
    if not inside or not 1 < len(words) <= FEW:
        return []
    return [
        f"  one part of it      interp analyze {file} --key {shlex.quote(inside[0])}   (names begin with {', '.join(words)})"
    ]


def _name_map(weights: Weights, file: str) -> str:
    modules = linear_modules(weights)
    chain = (
        modules
        and len(modules) <= FEW
        and len(unused(weights, modules)) <= 2
        and not speaks_against([m.name for m in modules])
    )
    if not chain or any(set(",>") & set(n) for n in weights):
        return f"interp layout map {file} > map.toml; fill it in; interp analyze {file} --layout map.toml"
    spec = "linear_chain:weights=" + ">".join(m.weight for m in modules)
    spec += ",biases=" + ">".join(m.bias or "none" for m in modules) if any(m.bias for m in modules) else ""
    return f"interp analyze {file} --layout {shlex.quote(spec)}   (the layers that you want, first to last)"
