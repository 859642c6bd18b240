"""A GPU without a GPU: tensors that say they are on ``cuda:0``, whose numbers are computed on the CPU.

Whole calls run through the front door with real values. What would fail or wait on a GPU is seen here: operations on tensors
of both devices are refused as CUDA refuses them, and every copy between the devices, and every question whose answer the
host has to wait for (`.item()`, `bool(tensor)`, `nonzero`), is noted with the line that asked.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map
from typing_extensions import override

aten = torch.ops.aten
ROOT = Path(__file__).parents[1]
GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
COPIES = {torch.tensor, torch.as_tensor, torch.asarray, torch.from_numpy}  # make their tensor from numbers of the host
WITH_OWN = (torch.nn.functional.one_hot, torch.combinations)  # torch adds tensors that it makes itself
PLACE = {  # inside of `torch.vmap` an attribute of the wrapper does not show
    Tensor.device.__get__: lambda there: GPU if there else CPU,  # pyright: ignore
    Tensor.is_cuda.__get__: lambda there: there,  # pyright: ignore
    Tensor.is_cpu.__get__: lambda there: not there,  # pyright: ignore
}
# the host has to know their result, or its shape
ASKS = {
    aten._local_scalar_dense, aten.is_nonzero, aten.equal, aten.nonzero, aten.masked_select, aten.unique_dim, aten._unique2,
    aten.unique_consecutive, aten.repeat_interleave,
}  # fmt: skip


class OnGpu(Tensor):
    """A tensor of the pretended GPU; its numbers are in ``held``."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnGpu:
        made = Tensor._make_wrapper_subclass(
            cls, held.size(), strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype,
            layout=held.layout, requires_grad=held.requires_grad,
        )  # fmt: skip
        made.held = held.detach()
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore
    device = property(lambda self: GPU)  # pyright: ignore
    is_cuda = property(lambda self: True)  # pyright: ignore
    is_cpu = property(lambda self: False)  # pyright: ignore

    def __repr__(self, **_: Any) -> str:
        return f"OnGpu({self.held})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copied = OnGpu(self.held.clone()).requires_grad_(self.requires_grad)
        return torch.nn.Parameter(copied, self.requires_grad) if isinstance(self, torch.nn.Parameter) else copied

    def tolist(self) -> Any:
        return download(self).tolist()

    def numpy(self, **_: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.numpy()

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        flat = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
        packet, host = func.overloadpacket, [x for x in flat if not isinstance(x, OnGpu)]
        if packet is aten.copy_:
            if host:
                note("copy between devices")
        elif packet in (aten.index, aten.index_put, aten.index_put_, aten._unsafe_index):
            chosen = [x for x in args[1] if x is not None]
            if any(x.dtype == torch.bool for x in chosen):
                note("index by a mask")
            # an index on the host has been seen in Python; here it may be one that torch.vmap made
            host = [x for x in (args[0], *args[2:3]) if isinstance(x, Tensor) and not isinstance(x, OnGpu)]
        if packet in ASKS:
            note(str(packet))
        if packet is not aten.copy_ and any(x.ndim for x in host):
            raise RuntimeError(f"Expected all tensors to be on the same device, found cuda:0 and cpu, in {func}")
        if isinstance(kwargs.get("device"), torch.device):
            kwargs["device"] = CPU  # the function mode has dealt with it, or it is where the others are
        args_, kwargs_ = tree_map(lambda x: x.held if isinstance(x, OnGpu) else x, (args, kwargs))
        found = func(*args_, **kwargs_)
        if packet is aten.copy_ and not isinstance(args[0], OnGpu):
            return args[0]
        found = tree_map(lambda x: OnGpu(x) if isinstance(x, Tensor) else x, found)
        return return_and_correct_aliasing(func, args, kwargs, found)


def is_there(tensor: Tensor) -> bool:
    """Whether a tensor is on the GPU, also inside of `torch.vmap`."""
    functorch: Any = vars(torch._C)["_functorch"]
    while functorch.is_functorch_wrapped_tensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return isinstance(tensor, OnGpu)


_noted: list[str] = []


def note(what: str) -> None:
    """Remember a wait, with the line of the project that asked."""
    for frame in reversed(traceback.extract_stack()):
        path = Path(frame.filename)
        if path.is_relative_to(ROOT) and path != Path(__file__) and ".venv" not in path.parts:
            _noted.append(f"{path.relative_to(ROOT)}:{frame.lineno}: {what}: {frame.line}")
            return
    _noted.append(what)


class Upload(torch.autograd.Function):
    """A copy to the GPU, and the gradient's way back."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return OnGpu(tensor.detach().clone())

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return download(gradient)


class Download(torch.autograd.Function):
    """A copy to the host, and the gradient's way back."""

    @staticmethod
    def forward(ctx: Any, tensor: Any) -> Tensor:
        return tensor.held.detach().clone()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return upload(gradient)


def upload(tensor: Tensor) -> Tensor:
    """The tensor on the GPU."""
    if is_there(tensor):
        return tensor
    note("copy to the GPU")
    return Upload.apply(tensor) if tensor.requires_grad and torch.is_grad_enabled() else OnGpu(tensor.detach().clone())  # pyright: ignore


def download(tensor: Tensor) -> Tensor:
    """The tensor on the host."""
    if not is_there(tensor):
        return tensor
    note("copy to the host")
    return Download.apply(tensor) if tensor.requires_grad and torch.is_grad_enabled() else tensor.held.detach().clone()  # pyright: ignore


class PretendedGpu(TorchFunctionMode):
    """Within the block this machine has one CUDA device.

    Attributes:
        waits: what the host has waited for so far, with the lines that asked.
    """

    def __init__(self) -> None:
        super().__init__()
        self._patches = [
            patch.object(torch.cuda, "is_available", lambda: True),
            patch.object(torch.cuda, "device_count", lambda: 1),
            patch.object(torch.cuda, "mem_get_info", lambda *_: (1 << 34, 1 << 34)),
            patch.object(torch.cuda, "synchronize", lambda *_: note("synchronize")),
        ]

    @property
    def waits(self) -> list[str]:
        return _noted

    @override
    def __enter__(self) -> PretendedGpu:
        _noted.clear()
        for one in self._patches:
            one.start()
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # as a module does for another device
        super().__enter__()
        return self

    @override
    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        torch.__future__.set_overwrite_module_params_on_conversion(False)
        for one in self._patches:
            one.stop()

    @override
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        first = args[0] if args else None
        if name == "__get__" and func in PLACE:
            return PLACE[func](is_there(args[0]))
        if name == "cuda" and isinstance(first, Tensor):
            return upload(first)
        if name == "cpu" and isinstance(first, Tensor):
            return download(first)
        if func in WITH_OWN and is_there(args[0]):
            if func is torch.combinations:
                note("combinations")
            return OnGpu(func(args[0].held, *args[1:], **kwargs))
        if name == "new_tensor" and is_there(args[0]) and kwargs.get("device") is None:
            note("numbers copied to the GPU")
            return OnGpu(torch.tensor(args[1], dtype=kwargs.get("dtype") or args[0].dtype))
        if name in ("__getitem__", "__setitem__") and is_there(args[0]):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(x, Tensor) and x.ndim and not is_there(x) for x in index):
                note("index copied to the GPU")
        if name in ("to", "type") and isinstance(first, Tensor):
            return _to(func, first, args[1:], kwargs)
        if name == "__set__" or "device" not in kwargs or kwargs["device"] is None:
            return func(*args, **kwargs)
        device = torch.device(kwargs.pop("device"))
        given = kwargs.get("generator")
        if given is not None and given.device.type != device.type:
            raise RuntimeError(f"Expected a '{device.type}' device type for generator but found '{given.device.type}'")
        if isinstance(first, Tensor) and func not in COPIES:  # zeros_like, new_empty: only the form is read
            args = (first.held if isinstance(first, OnGpu) else first, *args[1:])
        found = func(*args, **kwargs)
        if device.type == "cpu":
            return download(found)
        if isinstance(found, OnGpu):
            return found
        if func in COPIES or name == "new_tensor":
            note("numbers copied to the GPU")
        made = OnGpu(found.detach())
        return made.requires_grad_() if kwargs.get("requires_grad") else made


def _to(func: Callable[..., Any], tensor: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`Tensor.to`: the device by our own copies, the rest by torch."""
    places = [x for x in (*args, kwargs.pop("device", None)) if isinstance(x, (torch.device, str))]
    like = [x for x in args if isinstance(x, Tensor)]
    args = tuple(x for x in args if isinstance(x, torch.dtype))  # copies and their timing are the device's affair
    kwargs = {k: v for k, v in kwargs.items() if k not in ("non_blocking", "copy")}
    if like:
        places, args = [like[0].device], (like[0].dtype, *args)
    if places:
        tensor = download(tensor) if torch.device(places[0]).type == "cpu" else upload(tensor)
    return func(tensor, *args, **kwargs) if args or kwargs else tensor
