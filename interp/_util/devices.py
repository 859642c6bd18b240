"""Names of dtypes and devices, as a user types them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from interp.errors import InterpError, UnknownName, kind_of, unknown

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
MEANT = {"gpu": "cuda", "nvidia": "cuda", "metal": "mps", "mac": "mps"}  # what other programs call a device


def resolve_dtype(dtype: str | torch.dtype | None) -> torch.dtype | None:
    """A dtype from its name.

    Args:
        dtype: a key of `DTYPES`; a floating dtype, or None, is returned as it is.

    Returns:
        The dtype; None for None.

    Raises:
        UnknownName: another name, or an integer dtype.

    >>> resolve_dtype("float16")
    torch.float16
    """
    if dtype is None or (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        return dtype
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise UnknownName(f"unknown dtype {str(dtype)!r}; known: {', '.join(DTYPES)}")
    return DTYPES[dtype]


def device_and_dtype(
    given: Sequence[Any], device: Any = None, dtype: Any = None
) -> tuple[str | torch.device | None, torch.dtype | None]:
    """What `torch.Tensor.to` would make of its arguments: a device, a dtype, or both in any order.

    Args:
        given: devices, dtypes, or their names.
        device: a device given by keyword.
        dtype: a dtype given by keyword.

    Returns:
        both, None for what was not given; a device that this machine has.

    Raises:
        UnknownName: an unknown name.
        InterpError: two of a kind, or a device that this machine does not have.

    >>> device_and_dtype(["cpu", torch.float32]), device_and_dtype(["float64"])
    ((device(type='cpu'), torch.float32), (None, torch.float64))
    """
    devices, dtypes = [device] if device is not None else [], [dtype] if dtype is not None else []
    for one in given:
        (dtypes if isinstance(one, torch.dtype) or (isinstance(one, str) and one in DTYPES) else devices).append(one)
    if len(devices) > 1 or len(dtypes) > 1:
        raise InterpError(f"one device and one dtype can be given, got {', '.join(map(str, devices + dtypes))}")
    return resolve_device(devices[0]) if devices else None, resolve_dtype(dtypes[0]) if dtypes else None


def resolve_device(device: str | torch.device) -> torch.device:
    """A device of this machine from its name.

    Args:
        device: ``"auto"`` (CUDA if available, else the CPU), ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or ``"mps"``, which has no
            float64 and is used only when named.

    Returns:
        The device.

    Raises:
        UnknownName: another name; the nearest known one is given.
        InterpError: this machine does not have the device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not isinstance(device, (str, torch.device)):
        raise InterpError(f"device must be a name such as auto, cpu or cuda, got {kind_of(device)}")
    name, colon, index = str(device).lower().partition(":")
    if name in MEANT:
        raise UnknownName(f"unknown device {device!r}; did you mean {MEANT[name] + colon + index!r}?")
    try:
        resolved = torch.device(device)
    except RuntimeError:
        known = ("auto", "cpu", "cuda", "cuda:0", "mps")
        raise UnknownName(unknown("device", device, known)) from None
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if resolved.type not in count:
        raise UnknownName(f"device {device!r} is not supported; use auto, cpu, cuda or mps")
    if (resolved.index or 0) >= count[resolved.type]:
        held = f"has {count[resolved.type] or 'no'} {resolved.type.upper()} device{'s' * (count[resolved.type] != 1)}"
        raise InterpError(f"this machine does not have the device {device!r} (it {held}); use cpu or auto")
    return resolved
