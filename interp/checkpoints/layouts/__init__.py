"""Layouts: from foreign names and shapes to our configs and weights. Shapes decide; if two readings fit, the user is asked.

A layout is an instance of `Layout`, registered as an entry point in the group ``interp.layouts``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interp._util.registry import Registered
from interp._util.specs import parse_spec
from interp.checkpoints.layouts.architectures import lacking
from interp.checkpoints.layouts.base import Converted, FileInfo, Fit, Layout, Weights
from interp.checkpoints.layouts.name_map import mapped
from interp.checkpoints.layouts.ways_on import ways_on
from interp.errors import AmbiguousLayout, UnknownLayout, UnknownName, kind_of, unknown
from interp.tasks import Task

GROUP = "interp.layouts"


def _fault(name: str, value: Any) -> str | None:
    if not isinstance(value, Layout):
        return f"a layout is an instance of interp.checkpoints.layouts.Layout, this is {kind_of(value)}"
    return None if value.name == name else f"its name is {value.name!r}"


_LAYOUTS: Registered[Layout] = Registered(GROUP, "layout", _fault)


def layouts() -> dict[str, Layout]:
    """All registered layouts by name. A broken one does not stop the others."""
    return dict(_LAYOUTS)


def choose(weights: Weights, info: FileInfo, spec: str | None = None) -> tuple[Layout, dict[str, Any]]:
    """The layout that fits the tensors, and the options given for it.

    Args:
        weights: the tensors by name, not read.
        info: the header and the config beside them.
        spec: ``name`` or ``name:option=value,...`` to settle it by hand, or the path of a name map that ends in ``.toml``.

    Returns:
        The layout, and its options.

    Raises:
        UnknownLayout: none fits; the tensors are listed and the nearest layout is named with the reason.
        AmbiguousLayout: several fit; the message says how to choose.
        UnknownName: ``spec`` names a layout or an option that does not exist.
    """
    known = layouts()
    if spec is not None:
        return _chosen_by_hand(weights, info, spec)
    fits = {name: layout.matches(weights, info) for name, layout in known.items() if not layout.by_hand}
    # what looks more like another layout that lacks something is not read as one that happens to fit
    highest = max((f.score for f in fits.values() if not f.ok), default=0)
    fitting = [n for n, f in fits.items() if f.certain] or [n for n, f in fits.items() if f.ok and f.score >= highest]
    if len(fitting) == 1:
        return known[fitting[0]], {}
    if fitting:
        raise AmbiguousLayout(f"the tensors fit several layouts: {', '.join(fitting)}; choose with --layout NAME")
    best = max(fits, key=lambda n: fits[n].score, default=None)
    hint = f"nearest is {best!r}: {fits[best].reason}" if best and fits[best].score > 0 else "no layout is near"
    hint = lacking(info.config) or hint  # a config that names the architecture says more than a name that is near
    broken = "".join(f" The layout {n} cannot be loaded: {why}." for n, why in _LAYOUTS.broken().items())
    remarks = "".join(f" {remark}." for remark in info.remarks)
    raise UnknownLayout(
        f"unknown layout; {hint}. Known layouts: {', '.join(sorted(known))}.{broken}{remarks}\n{ways_on(weights, info)}\n"
        f"The tensors are:\n{describe(weights)}"
    )


def _chosen_by_hand(weights: Weights, info: FileInfo, spec: str) -> tuple[Layout, dict[str, Any]]:
    if spec.endswith(".toml"):
        layout, options = mapped(Path(spec), layouts()), {}
    else:
        name, options = parse_spec(spec)
        layout = _LAYOUTS.find(name)
    for option in options:
        if option not in layout.options:
            raise UnknownName(unknown(f"option of layout {layout.name}", option, layout.options))
    fit = layout.fits_by_hand(weights, info, options)
    if not fit.ok:
        raise UnknownLayout(f"the tensors do not fit layout {layout.name}: {fit.reason}\n{describe(weights)}")
    return layout, options


def weights_file(folder: Path) -> Path | None:
    """The file with the weights in a folder that one of the layouts recognises; None for any other."""
    return next((file for layout in _LAYOUTS.values() if (file := layout.weights_file(folder))), None)


def config_beside(folder: Path) -> dict[str, Any]:
    """The training config that one of the layouts finds beside the weights; empty if none does."""
    return next((config for layout in _LAYOUTS.values() if (config := layout.config_beside(folder))), {})


def task_from_config(config: Mapping[str, Any]) -> tuple[Task | None, str | None]:
    """The task that a training config describes, as the first layout that understands the config reads it.

    Args:
        config: the training config.

    Returns:
        The task, or None; and a note on what the config leaves open, or None.
    """
    found = (layout.task(config) for layout in _LAYOUTS.values())
    return next(((task, note) for task, note in found if task is not None or note is not None), (None, None))


def describe(weights: Weights, limit: int = 30) -> str:
    """The tensors' names and shapes, one per line.

    Args:
        weights: the tensors by name.
        limit: the most lines.

    Returns:
        The lines, indented.

    >>> import torch
    >>> from interp.checkpoints.formats.tensors import TensorRef
    >>> print(describe({"W": TensorRef.of(torch.zeros(2, 3))}))
      W [2, 3] float32
    """
    lines = [f"  {n} {list(t.shape)} {str(t.dtype).removeprefix('torch.')}" for n, t in list(weights.items())[:limit]]
    more = [f"  ... and {len(weights) - limit} more"] if len(weights) > limit else []
    return "\n".join(lines + more)


__all__ = [
    "Converted", "FileInfo", "Fit", "Layout", "Weights", "choose", "config_beside", "describe", "layouts", "task_from_config",
    "weights_file",
]  # fmt: skip
