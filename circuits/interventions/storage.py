"""Values, sites and interventions as JSON and tensors, and back. Only data of known kinds; nothing in a file is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from circuits.interventions.counterfactual import Counterfactual
from circuits.interventions.kinds import Ablate, Add, Freeze, Keep, Patch, Remove, Scale
from circuits.interventions.values import Fixed, Mean, Resample, Settled, Zero
from circuits.metrics import AccuracyMetric, KLMetric, LogitDiff, LossMetric
from interp._util.schema import require_fields, short
from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.foreign.several import Inputs
from interp.sites import Site
from probes.basis import Basis

KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        Site, Basis, Zero, Mean, Resample, Fixed, Settled, Counterfactual, Ablate, Patch, Freeze, Scale, Add, Remove, Keep,
        LossMetric, AccuracyMetric, LogitDiff, KLMetric,
    )
}  # fmt: skip
DTYPES = {str(d).removeprefix("torch."): d for d in (torch.float16, torch.bfloat16, torch.float32, torch.float64)}


def encode(value: Any, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON; tensors in it go into ``tensors``, under names that the JSON holds.

    Args:
        value: numbers, texts, tensors, slices, containers of them, and the suite's sites, values, interventions and metrics.
        tensors: where tensors go; changed.

    Returns:
        what `json.dumps` takes and `decode` reads back.

    Raises:
        InterpError: something that cannot be stored as data, such as a function.

    >>> found = {}
    >>> encode(Ablate(Site("hook_embed", pos=-1), Fixed(torch.ones(2))), found)["value"]
    {'kind': 'Fixed', 'tensor': {'tensor': 'tensor 0'}}
    >>> list(found)
    ['tensor 0']
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Tensor):
        name = f"tensor {len(tensors)}"
        tensors[name] = value.detach().cpu().contiguous()
        return {"tensor": name}
    if isinstance(value, Inputs):
        return {"inputs": [encode(value.args, tensors), encode(value.kwargs, tensors)]}
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, slice):
        return {"slice": [value.start, value.stop, value.step]}
    if isinstance(value, list | tuple | range):
        return {"tuple" if isinstance(value, tuple) else "list": [encode(v, tensors) for v in value]}
    if isinstance(value, dict) and all(isinstance(k, str) for k in value):
        return {"dict": {k: encode(v, tensors) for k, v in value.items()}}
    if is_dataclass(value) and type(value).__name__ in KINDS:
        parts = {f.name: encode(getattr(value, f.name), tensors) for f in fields(value)}
        return {"kind": type(value).__name__, **parts}
    raise InterpError(
        f"an experiment cannot store {value!r}: it needs metrics by name (or circuits.LogitDiff), and sites, values and "
        "interventions of this suite"
    )


def decode(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of `encode`.

    Args:
        value: what `encode` returned.
        tensors: what it collected, by name.

    Returns:
        the value that was stored.

    Raises:
        UnknownName: a kind or dtype that this version does not know.
        InterpError: something that `encode` never writes.
    """
    if not isinstance(value, dict):
        return value
    if "kind" in value:
        if value["kind"] not in KINDS:
            raise UnknownName(unknown("kind of stored value", value["kind"], KINDS))
        kind = KINDS[value["kind"]]
        known = {f.name for f in fields(kind)}
        if extra := set(value) - known - {"kind"}:
            raise InterpError(f"a stored {value['kind']} has {', '.join(sorted(extra))}, which no {value['kind']} has")
        parts = {k: decode(v, tensors) for k, v in value.items() if k != "kind"}
        require_fields(kind, parts, classes=True)
        if not isinstance(parts.get("basis"), Basis | None):  # a Site says only what it needs of one
            raise InterpError(f"the basis of a stored {value['kind']} must be a Basis, got {short(parts['basis'])}")
        return kind(**parts)
    tag = next(iter(value), "")
    if len(value) != 1 or tag not in ("tensor", "dtype", "slice", "list", "tuple", "dict", "inputs"):
        raise InterpError(f"a stored value has keys that no experiment writes: {sorted(value)}")
    content: Any = value[tag]
    if tag == "tensor":
        if content not in tensors:
            raise InterpError(f"a stored value names {content!r}, which is not in the file")
        return tensors[content]
    if tag == "dtype":
        if content not in DTYPES:
            raise UnknownName(unknown("dtype", content, DTYPES))
        return DTYPES[content]
    if tag == "dict":
        return {k: decode(v, tensors) for k, v in content.items()}
    if not isinstance(content, list):
        raise InterpError(f"a stored {tag} must be a list, got a {type(content).__name__}")
    if tag == "slice":
        return slice(*content)
    items = [decode(v, tensors) for v in content]
    if tag == "inputs":
        args, kwargs = items
        return Inputs(*args, **kwargs)
    return tuple(items) if tag == "tuple" else items
