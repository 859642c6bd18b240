"""What every hooked model is: TransformerLens's root module, with named axes and strict names.

All imports of TransformerLens stand in this file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint as LensHookPoint
from transformer_lens.HookedRootModule import HookedRootModule

from interp.errors import InterpError, UnknownName, UnknownSite, unknown
from interp.hooked.initial import SCHEMES, TorchDraws
from interp.sites import SitePattern, resolve_sites

FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)  # what weights may be


class HookPoint(LensHookPoint):
    """TransformerLens's hook point, which also knows the name of each axis of its activation."""

    def __init__(self, *axes: str):
        super().__init__()
        self.axes = axes

    @property
    def watched(self) -> bool:
        """Whether any hook is installed here."""
        return bool(self._forward_hooks or self._backward_hooks or self._forward_pre_hooks or self._backward_pre_hooks)

    def __call__(self, x: Tensor) -> Tensor:
        # a point that nobody watches costs a look at four dicts, a tenth of what a module's call costs
        return super().__call__(x) if self.watched else x


@dataclass(frozen=True)
class Config:
    """Base of the models' frozen configs; a config and a state dict together are a checkpoint."""

    kind: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the model's kind, as stored in a checkpoint's header."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class NormedRest:
    """A LayerNorm and a linear map: ``outputs = centred(x) @ matrix / scale(x) + constant``.

    Attributes:
        matrix: ``[d, out]``, the LayerNorm's weights in it.
        eps: added to the variance.
    """

    matrix: Tensor
    eps: float

    def outputs(self, clean: Tensor, outputs: Tensor, change: Tensor, shift: Tensor) -> Tensor:
        """What the outputs become when a change reaches the LayerNorm.

        Args:
            clean: what the LayerNorm reads, unchanged ``[n, ..., d]``; ``outputs [n, ..., out]`` are the model's.
            change: centred ``[k, n, ..., d]``; ``shift [k, n, ..., out]`` is ``change @ matrix``.
        """
        centred = clean - clean.mean(-1, keepdim=True)
        before = (centred.square().mean(-1, keepdim=True) + self.eps).sqrt()
        after = ((centred + change).square().mean(-1, keepdim=True) + self.eps).sqrt()
        linear = centred @ self.matrix
        return outputs - linear / before + (linear + shift) / after


COMPONENTS = {"neurons": "hook_post", "heads": "attn.hook_z", "attention": "hook_attn_out", "mlp": "hook_mlp_out"}


class HookedModel(HookedRootModule):
    """A plain function of its parameters whose activations all pass through named hook points.

    Subclasses set ``config`` and build their modules, then call `setup`. `torch.func.functional_call` and `vmap`
    go through every subclass.
    """

    config_class: ClassVar[type[Config]]
    stacks: ClassVar[bool] = False  # whether `forward` takes stacked parameters, which is faster than vmap over them
    config: Config

    def __init__(self, config: Config):
        super().__init__()
        self.config = config

    @classmethod
    def from_weights(cls, config: Config, weights: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> Self:
        """Build the model around copies of ``weights``; nothing is ever left at random.

        Args:
            config: what to build.
            weights: by parameter name, exactly the parameters of the model.
            dtype: widen or narrow to this; as stored by default.

        Raises:
            InterpError: a parameter is missing, left over, or of another shape.
        """
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
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def cast(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Self:
        """The same model in another dtype or place; itself where nothing changes, a copy otherwise."""
        dtype, device = dtype or self.dtype, torch.device(device or self.device)
        if device.type == self.device.type and device.index is None:
            device = self.device  # "cuda" is the device that the model is on already
        if dtype == self.dtype and device == self.device:
            return self
        return type(self).from_weights(self.config, self.state_dict(), dtype).to(device)

    def axes_of(self, name: str) -> tuple[str, ...]:
        """The axis names of a hook point, such as ``("batch", "pos", "unit")``."""
        point = self.hook_dict[name]
        if not isinstance(point, HookPoint):
            raise InterpError(f"hook point {name!r} of {type(self).__name__} does not name its axes")
        return point.axes

    def add_hook(self, name: str | Callable[[str], bool], hook: Callable, *args: Any, **kwargs: Any) -> None:
        """TransformerLens's `add_hook`; a name that matches nothing is an error."""
        if isinstance(name, str):
            name = resolve_sites(self, name)[0].name
        super().add_hook(name, hook, *args, **kwargs)

    def hooks(
        self,
        fwd_hooks: Iterable[tuple[Any, Callable]] = (),
        bwd_hooks: Iterable[tuple[Any, Callable]] = (),
        reset_hooks_end: bool = True,
        clear_contexts: bool = False,
    ):
        """TransformerLens's context manager; names may be globs, and one that matches nothing is an error."""
        return super().hooks(
            [(n, h) for pattern, h in fwd_hooks for n in self._names(pattern)],
            [(n, h) for pattern, h in bwd_hooks for n in self._names(pattern)],
            reset_hooks_end,
            clear_contexts,
        )

    def run_with_cache(
        self, *args: Any, names_filter: SitePattern | Callable[[str], bool] | None = None, **kwargs: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """TransformerLens's `run_with_cache`, with names that must match something.

        Returns the output and the cache, a dict from hook-point name to a detached tensor. `interp.capture` also
        clones, chunks, and keeps repeated calls.
        """
        wanted = None if names_filter is None else set(self._names(names_filter))
        return super().run_with_cache(*args, names_filter=None if wanted is None else wanted.__contains__, **kwargs)

    def _names(self, pattern: SitePattern | Callable[[str], bool]) -> list[str]:
        if callable(pattern):
            matched = [name for name in self.hook_dict if pattern(name)]
            if not matched:
                raise UnknownName(
                    f"the filter {pattern!r} matches none of the model's {len(self.hook_dict)} hook points"
                )
            return matched
        return [site.name for site in resolve_sites(self, pattern)]

    def init_weights(self, seed: int, scale: float = 1.0, scheme: str = "normal") -> Self:
        """Draw every parameter anew, on the CPU and in their order, so that a seed means the same on every device.

        Args:
            seed: of a generator of its own; torch's global one is left alone.
            scale: factor on what is drawn.
            scheme: ``"normal"``: matrices normal with variance ``scale**2 / fan_in``, vectors zero (norms: one); an
                embedding counts its width as its fan-in. ``"truncated"``: the same, cut at two standard deviations.
                ``"torch"``: bit for bit the numbers that torch's modules hold after ``torch.manual_seed(seed)``, times
                ``scale``, biases too.

        Raises:
            UnknownName: no such scheme.
            InterpError: ``"torch"`` for a model that no stack of torch's modules corresponds to.
        """
        if scheme not in SCHEMES:
            raise UnknownName(unknown("initialisation scheme", scheme, SCHEMES))
        SCHEMES[scheme](self, torch.Generator().manual_seed(seed), scale)
        return self

    def init_std(self, name: str, parameter: Tensor) -> float | None:
        """Standard deviation of a parameter's initial entries (matrices ``[in, out]``); None for biases and norms."""
        return parameter.shape[-2] ** -0.5 if parameter.ndim > 1 else None

    def init_like_torch(self, draws: TorchDraws) -> None:
        """Have ``draws`` fill the parameters, module by module, in the order in which torch's would be built."""
        others = ", ".join(repr(s) for s in SCHEMES if s != "torch")
        raise InterpError(
            f"a {type(self).__name__} is no stack of torch's modules, so it has no initialisation scheme 'torch'; "
            f"use {others} (schemes: {', '.join(SCHEMES)})"
        )

    def parameter_groups(self) -> dict[str, tuple[str, ...]]:
        """For every parameter the groups that it belongs to, from general to specific.

        The tables of an embedding (positions too) are ``"embedding"``; everything behind them is ``"decoder"``, of
        which the unembedding is also ``"last"``.
        """
        return {name: _groups(name) for name, _ in self.named_parameters()}

    def resume(self, site: str, activation: Tensor) -> Tensor:
        """Run the rest of the model from ``site`` on, as if that hook point had just returned ``activation``.

        This is what lets an experiment reuse the part of a forward pass that it does not touch.

        Raises:
            UnknownSite: the model cannot be resumed there; the message lists where it can.
        """
        raise UnknownSite(f"a {type(self).__name__} cannot be resumed, at {site!r} or elsewhere")

    def writes(self, site: str) -> tuple[str, Tensor | None]:
        """Where a change at ``site`` arrives, linearly: a site that `resume` knows, and the matrix that carries it there.

        A change ``d [..., features]`` (head and unit axes flattened) moves the returned site by ``d @ matrix``; the
        matrix is None where the change arrives as it is.

        Raises:
            UnknownSite: what follows the site is not linear up to any site that the model can be resumed at.
        """
        raise UnknownSite(f"a {type(self).__name__} does not say where a change at {site!r} arrives")

    def reads(self, parameter: str) -> str | None:
        """The site from which `resume` computes all that a parameter takes part in; None: the whole forward pass does."""
        return None

    def linear_rest(self, site: str) -> Tensor | NormedRest | None:
        """Matrix ``[unit, out]`` where the rest of the model after ``site`` is linear per position, else None.

        A `NormedRest` where a LayerNorm stands between the site and a linear rest.
        """
        return None

    def follow(self, site: str, clean: Tensor) -> Callable[[slice, Tensor, Tensor], Tensor]:
        """The rest of the model for many activations of ``site``, which differ from a clean one by moves along rows.

        Args:
            site: one that `resume` knows.
            clean: its activation ``[n, ..., d]``.

        Returns:
            a function of a slice of the n, ``moves [k, n, ..., size]`` and ``rows [k, size, d]``, which gives the outputs
            ``[k, n, ...]`` of k networks; network i has ``clean + moves[i] @ rows[i]`` at the site.
        """

        def of(part: slice, moves: Tensor, rows: Tensor) -> Tensor:
            changed = clean[part] + torch.einsum("kn...s,ksd->kn...d", moves, rows)
            return self.resume(site, changed.flatten(0, 1)).unflatten(0, changed.shape[:2])

        return of

    def watched_sites(self) -> list[str]:
        """Where hooks are installed, in the model's order."""
        return [name for name, point in self.hook_dict.items() if hooks_on(point)]

    def component_sites(self, kind: str) -> list[str]:
        """The hook points whose features are the components of a kind, first to last; none where it has no such kind.

        Kinds: ``neurons`` (units behind their activation), ``heads`` (what each has read, before ``W_O``), ``attention``
        and ``mlp`` (a layer's whole output).
        """
        return [name for name in self.hook_dict if name.endswith(COMPONENTS[kind])]


def hooks_on(module: nn.Module) -> list[Any]:
    """The hooks that stand on a module, of every kind."""
    kinds = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return [hook for hooks in kinds for hook in hooks.values()]


def _groups(parameter: str) -> tuple[str, ...]:
    if parameter.endswith((".W_E", ".W_pos")):
        return ("embedding",)
    return ("decoder", "last") if parameter.startswith("unembed.") else ("decoder",)


def make_activation(name: str) -> Callable[[Tensor], Tensor]:
    """The elementwise function of that name.

    Raises:
        UnknownName: no such activation; the nearest are named.
    """
    if name not in ACTIVATIONS:
        raise UnknownName(unknown("activation", name, ACTIVATIONS))
    return ACTIVATIONS[name]


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "gelu": nn.functional.gelu,
    "gelu_new": lambda x: nn.functional.gelu(x, approximate="tanh"),
    "silu": nn.functional.silu,
    "square": torch.square,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}
