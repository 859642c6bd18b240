"""Layouts: from foreign names and shapes to our configs and weights.

A layout is a small object with a name, a summary, its options, ``matches`` and ``convert``, registered as an entry
point in the group ``interp.layouts``. Shapes decide. Where two readings fit, the user is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from interp._util.registry import load_group
from interp._util.specs import parse_spec
from interp.checkpoints.formats.tensors import TensorRef
from interp.errors import AmbiguousLayout, InterpError, UnknownLayout, UnknownName, unknown
from interp.hooked.config import Config

Weights = Mapping[str, TensorRef]
GROUP = "interp.layouts"


@dataclass(frozen=True)
class Fit:
    """How well tensors fit a layout.

    Attributes:
        ok: whether they can be converted.
        score: 0 to 1; of the layouts that do not fit, the one with the highest is named to the user.
        reason: why not, in a few words.
        certain: the file itself names this layout, so no other is considered.
        question: what the user will be asked, because two readings fit.
    """

    ok: bool
    score: float
    reason: str = ""
    certain: bool = False
    question: str = ""


@dataclass(frozen=True)
class Converted:
    """Weights under our names, with the config that they belong to.

    Attributes:
        extra: tensors of the file that are no part of the model, such as masks; reported, not an error.
        notes: what the file does not say and was assumed, to be shown to the user.
        task: a task stored with the weights, as `tasks.task_to_dict` wrote it.
        warnings: what makes the model another one than the file's, such as weights that it has no place for.
    """

    config: Config
    weights: dict[str, Tensor]
    extra: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    task: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileInfo:
    """What stands beside the tensors: the format's header and the training config, both possibly empty.

    Attributes:
        ordered: whether the tensors come in the order in which the network registered them.
    """

    metadata: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    ordered: bool = True


class Layout(Protocol):
    """The contract of a layout."""

    name: str
    summary: str
    options: Mapping[str, str]  # name -> what it settles

    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        """Whether names and shapes fit; no tensor is read."""
        ...

    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        """Read the tensors and rename, reshape, transpose them."""
        ...


def layouts() -> dict[str, Layout]:
    """All registered layouts by name. A broken one does not stop the others."""
    return {name: plugin.value for name, plugin in load_group(GROUP).items() if plugin.error is None}


def choose(weights: Weights, info: FileInfo, spec: str | None = None) -> tuple[Layout, dict[str, Any]]:
    """The layout that tensors are in, and the options given for it.

    Args:
        spec: ``name`` or ``name:option=value,...`` to settle it by hand.

    Raises:
        UnknownLayout: none fits; the keys are listed and the nearest layout is named with what is wrong.
        AmbiguousLayout: several fit; the message says how to choose.
        UnknownName: ``spec`` names a layout or an option that does not exist.
    """
    known = layouts()
    if spec is not None:
        name, options = parse_spec(spec)
        if name not in known:
            raise UnknownName(unknown("layout", name, known))
        for option in options:
            if option not in known[name].options:
                raise UnknownName(unknown(f"option of layout {name}", option, known[name].options))
        fit = known[name].matches(weights, info)
        if not fit.ok:
            raise UnknownLayout(f"the tensors do not fit layout {name}: {fit.reason}\n{describe(weights)}")
        return known[name], options
    fits = {name: layout.matches(weights, info) for name, layout in known.items()}
    fitting = [n for n, f in fits.items() if f.certain] or [n for n, f in fits.items() if f.ok]
    if len(fitting) == 1:
        return known[fitting[0]], {}
    if fitting:
        raise AmbiguousLayout(f"the tensors fit several layouts: {', '.join(fitting)}; choose with --layout NAME")
    best = max(fits, key=lambda n: fits[n].score, default=None)
    hint = f"nearest is {best!r}: {fits[best].reason}" if best and fits[best].score > 0 else "no layout is near"
    raise UnknownLayout(
        f"unknown layout; {hint}. Known layouts: {', '.join(sorted(known))}. The tensors are:\n{describe(weights)}"
    )


def homeless(extra: Sequence[str]) -> tuple[str, ...]:
    """Warnings for weights inside the blocks that our model has no place for; masks and constants are none."""
    inside = [n for n in extra if "blocks." in n and not n.endswith((".mask", ".IGNORE"))]
    return tuple(f"{name} has no place in this model, so it computes something else than the file's" for name in inside)


def describe(weights: Weights, limit: int = 30) -> str:
    """The tensors' names and shapes, one per line.

    >>> import torch
    >>> print(describe({"W": TensorRef.of(torch.zeros(2, 3))}))
      W [2, 3] float32
    """
    lines = [f"  {n} {list(t.shape)} {str(t.dtype).removeprefix('torch.')}" for n, t in list(weights.items())[:limit]]
    more = [f"  ... and {len(weights) - limit} more"] if len(weights) > limit else []
    return "\n".join(lines + more)


def option_value(layout: Layout, options: Mapping[str, Any], name: str, allowed: tuple[str, ...]) -> str | None:
    """An option that must be one of a few words; None where it was not given."""
    value = options.get(name)
    if value is not None and value not in allowed:
        raise InterpError(f"layout {layout.name}: {name} must be one of {', '.join(allowed)}, got {value!r}")
    return value
