"""Guests: modules that others wrote, hooked only while they run and otherwise left as they are."""

from __future__ import annotations

import copy
import io
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from typing_extensions import override

from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.hooked.config import Config
from interp.hooked.foreign.measuring import RunSettings, measured
from interp.hooked.foreign.several import Inputs, as_inputs
from interp.hooked.foreign.structures import chosen_output
from interp.hooked.hook_point import HookPoint, hooks_on

# packages whose hooks are part of a module's computation, or only look on
OWN = ("torch.nn.utils", "transformer_lens.model_bridge", "transformers.utils.output_capturing")
_INSTALLED = threading.RLock()  # held while hooks stand on a foreign module, so that no other thread copies them


@dataclass(frozen=True)
class WrappedConfig(Config):
    """What is known of a module that others wrote; a model cannot be built from it.

    Args:
        module: name of the module, its class by default.
        n_parameters: number of its weights.
    """

    kind: ClassVar[str] = "wrapped"

    module: str
    n_parameters: int


class Guest(HookedModel):
    """A foreign module with hook points that are not part of it.

    torch's hooks are installed on the module only while `forward` or `resume` runs, and only for hook points that have
    hooks. The weights are the module's own, with its names after ``module.``.

    `forward` and `resume` measure: they run the module in evaluation mode and put every submodule's mode back, unless
    ``settings`` say otherwise. Buffers and torch's random state stay as they were. Calling the module itself does what it
    always did.

    A hook point that has hooks passes on a copy, so that what a hook keeps is unaffected by later in-place operations. A
    module that discards what an in-place submodule returns therefore behaves differently while that submodule's
    ``hook_in`` has hooks.

    Args:
        module: the foreign module.
        points: axis names by hook point.
        output_axes: axis names of the output.
        name: what to call it; the class by default.
        notes: notes on how the module was unwrapped.
        settings: how the module is run.

    Attributes:
        module: the module itself, neither copied nor changed.
        output_axes: axis names of what `forward` returns.
    """

    config_class = WrappedConfig
    config: WrappedConfig  # pyright: ignore[reportIncompatibleVariableOverride]  set once, by the constructor

    def __init__(
        self,
        module: nn.Module,
        points: Mapping[str, tuple[str, ...]],
        output_axes: tuple[str, ...],
        *,
        name: str | None = None,
        notes: tuple[str, ...] = (),
        settings: RunSettings | None = None,
    ):
        n_parameters = sum(p.numel() for p in module.parameters())
        super().__init__(WrappedConfig(name or type(module).__name__, n_parameters))
        self.module, self.output_axes, self._notes = module, output_axes, notes
        self.settings = settings or RunSettings()
        self.training = module.training
        self.hook_dict = {point: HookPoint(*axes) for point, axes in points.items()}
        for point, hooked in self.hook_dict.items():
            hooked.name = point
        self.mod_dict = dict(self.hook_dict)

    @classmethod
    @override
    def from_weights(cls, config: Config, weights: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> Self:
        """Raises an InterpError: only the module itself knows how it is built."""
        raise InterpError(
            f"a wrapped {getattr(config, 'module', 'module')} cannot be built from its config: build the module, "
            "load its weights into it, and wrap it again"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know: how the module was unwrapped, what of it is measured, and in which mode."""
        kinds = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase)
        active = sorted({type(m).__name__ for m in self.module.modules() if m.training and isinstance(m, kinds)})
        notes = list(self._notes)
        if active and self.settings.mode == "eval":
            notes.append(
                f"measured in evaluation mode, though the module is in training mode ({', '.join(active)}) and stays so; "
                "wrap(..., mode='as_is') measures it as it is"
            )
        elif active:
            notes.append(
                f"measured in training mode, as asked: {', '.join(active)} change the activations, by the same random "
                "numbers as long as torch's random state is the same"
            )
        if self.settings.random:
            notes.append(
                "the module draws random numbers in evaluation mode too: every forward pass starts from torch's random state "
                "and puts it back"
            )
        return tuple(notes)

    @property
    @override
    def device(self) -> torch.device:
        """The device of the weights, or of the buffers if there are none; the CPU for a module without either."""
        return next((t.device for t in self._tensors()), torch.device("cpu"))

    @property
    @override
    def dtype(self) -> torch.dtype:
        """The dtype of the first floating-point weight or buffer; float32 for a module without any."""
        return next((t.dtype for t in self._tensors() if t.is_floating_point()), torch.float32)

    def _tensors(self) -> Iterator[Tensor]:
        yield from self.module.parameters()
        yield from self.module.buffers()

    @override
    def cast(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Self:
        dtype, device = self.target(dtype, device)
        if dtype == self.dtype and device == self.device:
            return self
        with _INSTALLED:  # another thread's hooks would be copied too
            module = copy.deepcopy(self.module, _activations(self.module))
        with redirect_stdout(io.StringIO()):  # TransformerLens's bridges print that they move
            module = module.to(device=device, dtype=dtype)
        points = {name: self.axes_of(name) for name in self.hook_dict}
        return self._around(module, points, self.output_axes)

    def _around(self, module: nn.Module, points: Mapping[str, tuple[str, ...]], output_axes: tuple[str, ...]) -> Self:
        """The same guest around a copy of the module, or with other names of axes."""
        name, notes, settings = self.config.module, self._notes, self.settings
        return type(self)(module, points, output_axes, name=name, notes=notes, settings=settings)

    @override
    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """The module's output; if it has several tensors, the one that `wrap` was asked for, its ``logits``, or the first."""
        if len(args) == 1 and not kwargs:
            given = as_inputs(args[0]) if self.settings.several else args[0]
            if isinstance(given, Inputs):
                args, kwargs = given.args, given.kwargs
        with measured(self.module, self.settings), self._watching():
            output = self._run(*args, **{**self.settings.constants, **kwargs})
            return chosen_output(output, self.settings.output)[1]

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        watched = set(super().watched_sites())
        handles: list[Any] = []
        with _INSTALLED if watched else nullcontext():
            try:
                for install in self._installers(watched):
                    handles.append(install())
                yield
            finally:
                for handle in handles:
                    handle.remove()

    @abstractmethod
    def _installers(self, watched: set[str]) -> Iterator[Callable[[], Any]]:
        """Functions that install one hook each on the module and return its handle."""

    def _fire(self, name: str, tensor: Tensor) -> Tensor:
        point = self.hook_dict.get(name)
        return tensor if point is None or not hooks_on(point) else point(tensor).clone()

    def foreign_hooks(self) -> list[str]:
        """Names of submodules that have hooks that were not installed through hook points.

        Hooks that are part of the module's computation don't count: those of torch's weight norm and pruning
        (``torch.nn.utils``), of TransformerLens's bridges, and those by which transformers collects outputs.

        Returns:
            names of submodules; the module itself is ``module``.
        """
        named = self.module.named_modules()
        return [name or "module" for name, m in named if any(map(_is_foreign, hooks_on(m)))]

    @override
    def watched_sites(self) -> list[str]:
        return super().watched_sites() + self.foreign_hooks()


def _activations(module: nn.Module) -> dict[int, Any]:
    """What a module keeps of a pass with gradients, detached, by identity: torch copies no tensor that has a history."""
    kept = [value for part in module.modules() for value in vars(part).values() if isinstance(value, Tensor)]
    return {id(value): value.detach() for value in kept if not value.is_leaf}


def in_this_thread(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook for torch that leaves forward passes of other threads unchanged.

    Args:
        hook: called as torch calls it.

    Returns:
        the hook; it gives None in any thread but the one that made it.
    """
    owner = threading.get_ident()
    return lambda *args, **kwargs: hook(*args, **kwargs) if threading.get_ident() == owner else None


def _is_foreign(hook: Any) -> bool:
    return not str(getattr(hook, "__module__", "")).startswith(OWN)
