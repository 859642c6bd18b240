"""What every hooked model is: a module with named hook points, made from a config."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.config import Config
from interp.hooked.initial import SCHEMES, TorchDraws
from interp.hooked.lens_config import LensConfig
from interp.hooked.named_hooks import NamedHooks
from interp.hooked.rest import Resumable

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)  # dtypes that weights may have
COMPONENTS = {"neurons": "hook_post", "heads": "attn.hook_z", "attention": "hook_attn_out", "mlp": "hook_mlp_out"}


class HookedModel(Resumable, NamedHooks):
    """A plain function of its parameters, all of whose activations pass through named hook points.

    Subclasses set ``config`` and build their modules, then call `setup`. `torch.func.functional_call` and `vmap`
    work on every subclass. A subclass whose config has a ``kind`` of its own becomes a kind of model that
    `interp.load` and `interp.train` know by an entry point; see `interp.hooked.registry.kinds.model_kinds`.

    Args:
        config: what the model is built from; kept as ``config``.

    Raises:
        InterpError: a config of another kind of model.
    """

    config_class: ClassVar[type[Config]]
    runs: ClassVar[bool] = True  # whether there is a network to run; tensors of an unknown one have none
    serves: ClassVar[tuple[str, ...]] = ()  # what a Subject of a model that does not run can still do
    unserved: ClassVar[str] = ""  # why it cannot do the rest
    stacks: ClassVar[bool] = False  # whether `forward` takes stacked parameters, which is faster than vmap over them
    config: Config

    def __init__(self, config: Config):
        super().__init__()
        wanted = getattr(self, "config_class", Config)
        if not isinstance(config, wanted):
            raise InterpError(
                f"a {type(self).__name__} is built from a {wanted.__name__}, got {type(config).__name__}"
                + ("; interp.hooked.config_from_dict makes a config of a dict" if isinstance(config, Mapping) else "")
            )
        self.config = config

    @classmethod
    def from_weights(cls, config: Config, weights: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> Self:
        """Build a model with copies of given weights; none is left uninitialised.

        Args:
            config: what to build.
            weights: by parameter name, exactly the parameters of the model.
            dtype: convert the weights to this; by default they keep theirs.

        Returns:
            the model, where the weights are.

        Raises:
            InterpError: a parameter is missing, unexpected, or of another shape.
        """
        if not isinstance(weights, Mapping):
            raise InterpError(f"weights are a dict of tensors by parameter name, got {type(weights).__name__}")
        try:
            with torch.device("meta"):
                model = cls(config)
        except (TypeError, RuntimeError) as error:
            raise InterpError(f"no model can be built from {config}: {str(error).splitlines()[0]}") from None
        expected = {name: tuple(p.shape) for name, p in model.named_parameters()}
        given = {name: tuple(w.shape) for name, w in weights.items()}
        problems = [f"missing {n} {list(s)}" for n, s in expected.items() if n not in given]
        problems += [f"left over {n} {list(s)}" for n, s in given.items() if n not in expected]
        problems += [
            f"{n} is {list(given[n])}, expected {list(s)}" for n, s in expected.items() if given.get(n, s) != s
        ]
        problems += [f"{n} is of {w.dtype}" for n, w in weights.items() if w.dtype not in FLOATS]
        if problems:
            raise InterpError(f"weights do not fit {config}: " + "; ".join(problems))
        copies = {name: w.detach().to(dtype=dtype or w.dtype, copy=True) for name, w in weights.items()}
        model.load_state_dict(copies, strict=True, assign=True)
        return model

    @property
    def cfg(self) -> LensConfig:
        """`config`, as TransformerLens names it and its fields."""
        return LensConfig(self)

    @property
    def device(self) -> torch.device:
        """The device of the parameters."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the parameters."""
        return next(self.parameters()).dtype

    def summary(self) -> str:
        """The model in one line: its kind, size, precision and place."""
        parameters, dtype = sum(p.numel() for p in self.parameters()), str(self.dtype).removeprefix("torch.")
        return f"{type(self).__name__}, {parameters:,} parameters, {dtype} on {self.device}"

    def cast(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Self:
        """The same model in another dtype or on another device.

        Args:
            dtype: by default the model's own.
            device: by default the model's own.

        Returns:
            the model itself if nothing changes, otherwise a copy.

        Raises:
            InterpError: not a floating-point dtype, or not the name of a device.
        """
        dtype, device = self.target(dtype, device)
        if dtype == self.dtype and device == self.device:
            return self
        return type(self).from_weights(self.config, self.state_dict(), dtype).to(device)

    def target(self, dtype: Any, device: Any) -> tuple[torch.dtype, torch.device]:
        """The dtype and device that `cast` is asked for.

        Args:
            dtype: a dtype, or None for the model's own.
            device: a device or its name, or None for the model's own.

        Returns:
            both; a device without an index is the model's own if that is of the same type.

        Raises:
            InterpError: not a floating-point dtype, or not the name of a device.
        """
        if dtype is not None and dtype not in FLOATS:
            raise InterpError(f"dtype must be one of {', '.join(map(str, FLOATS))}, got {dtype!r}")
        try:
            place = torch.device(device or self.device)
        except (RuntimeError, TypeError):
            raise InterpError(f"device must be cpu, cuda, cuda:1, mps or the like, got {device!r}") from None
        same = place.type == self.device.type and place.index is None
        return dtype or self.dtype, self.device if same else place

    def init_weights(self, seed: int, scale: float = 1.0, scheme: str = "normal") -> Self:
        """Draw every parameter anew, on the CPU and in order, so that a seed gives the same weights on every device.

        Args:
            seed: of a separate generator; torch's global one is not used.
            scale: factor on the drawn numbers.
            scheme: ``"normal"``: matrices normal with variance ``scale**2 / fan_in`` (an embedding's fan-in is its
                width), biases zero, norm weights one. ``"truncated"``: the same, cut at two standard deviations.
                ``"torch"``: bit for bit the numbers that torch's modules draw after ``torch.manual_seed(seed)``, times
                ``scale``, including biases.

        Returns:
            the model itself.

        Raises:
            UnknownName: no such scheme.
            InterpError: a seed that is not a whole number.
        """
        if not isinstance(seed, Integral):
            raise InterpError(f"seed must be a whole number, got {seed!r}")
        if scheme not in SCHEMES:
            raise UnknownName(unknown("initialisation scheme", scheme, SCHEMES))
        SCHEMES[scheme](self, torch.Generator().manual_seed(int(seed)), scale)
        return self

    def init_std(self, name: str, parameter: Tensor) -> float | None:
        """Standard deviation of a parameter's initial entries (matrices ``[in, out]``); None for biases and norms."""
        return parameter.shape[-2] ** -0.5 if parameter.ndim > 1 else None

    def init_like_torch(self, draws: TorchDraws) -> None:
        """Fill the parameters from ``draws``, module by module, in the order in which torch's would be built.

        Args:
            draws: draws what torch's modules draw.

        Raises:
            InterpError: the model does not correspond to a stack of torch's modules.
        """
        others = " or ".join(repr(s) for s in SCHEMES if s != "torch")
        raise InterpError(
            f"a {type(self).__name__} does not correspond to a stack of torch's modules, so scheme 'torch' does not apply; "
            f"use {others}"
        )

    def parameter_groups(self) -> dict[str, tuple[str, ...]]:
        """The groups of every parameter, from general to specific.

        Returns:
            by parameter name: ``("embedding",)`` for tables of tokens and positions, ``("decoder",)`` for what follows
            them, ``("decoder", "last")`` for the unembedding.
        """
        return {name: _groups(name) for name, _ in self.named_parameters()}

    def everywhere(self) -> HookedModel:
        """The model that computes every position; another than itself only where its config has a ``readout``."""
        return self

    def component_sites(self, kind: str) -> list[str]:
        """The hook points whose features are the components of a kind, first to last.

        Args:
            kind: ``neurons`` (units after their activation function), ``heads`` (each head's output before ``W_O``),
                ``attention`` and ``mlp`` (a layer's whole output).

        Returns:
            names of hook points; none if the model has no components of this kind.

        Raises:
            UnknownName: no such kind of component.
        """
        if kind not in COMPONENTS:
            raise UnknownName(unknown("kind of component", kind, COMPONENTS))
        return [name for name in self.hook_dict if name.endswith(COMPONENTS[kind])]


def _groups(parameter: str) -> tuple[str, ...]:
    if parameter.endswith((".W_E", ".W_pos")):
        return ("embedding",)
    return ("decoder", "last") if parameter.startswith("unembed.") else ("decoder",)
