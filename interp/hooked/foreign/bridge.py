"""TransformerLens's bridges as guests, with the hook points of the former HookedTransformer.

Some hook points of a bridge are not what their names say: queries are not split into heads, ``hook_normalized`` comes before
the norm's weights, a change at ``hook_resid_mid`` bypasses the skip connection, ``hook_attn_scores`` may hold the pattern,
and some come after the computation that they show. The first three are corrected here. Each hook point is tried once, when
the bridge is wrapped; those that don't act as named are left out, and the notes list them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from interp.errors import InterpError
from interp.hooked.foreign.guest import Guest, in_this_thread
from interp.hooked.foreign.measuring import Mode, RunSettings, in_evaluation_mode
from interp.hooked.lens_weights import LensWeights

PLAIN, HEADS, SQUARE = ("batch", "pos", "unit"), ("batch", "pos", "head", "unit"), ("batch", "head", "query", "key")
CLASSIC = {
    "attn.hook_q": HEADS, "attn.hook_k": HEADS, "attn.hook_v": HEADS, "attn.hook_z": HEADS,
    "attn.hook_attn_scores": SQUARE, "attn.hook_pattern": SQUARE,
}  # fmt: skip
LOGITS = ("hook_logits", "hook_unembed")  # the name here, and the bridge's
TRIAL = (3, 2)  # batch, pos
NORM_POINTS = (".hook_scale", ".hook_normalized")


def is_bridge(module: nn.Module) -> bool:
    """Whether the module is a TransformerLens bridge or a subclass (recognised by name, so that it need not be imported)."""
    return any(cls.__name__ == "TransformerBridge" for cls in type(module).__mro__)


class WrappedBridge(LensWeights, Guest):
    """A `TransformerBridge`: tokens ``[batch, pos]`` to logits ``[batch, pos, d_vocab]``. Made by `interp.wrap`.

    Hook points have the names, shapes and axes of `HookedTransformer`, as far as the bridge has them; the others keep the
    bridge's names (``blocks.0.ln1.hook_in``). `torch.func` does not work on a bridge. Weights (``W_E``, ``W_Q``, ...) and
    ``cfg`` are the bridge's; ``return_type`` and ``stop_at_layer`` are passed on to it.
    """

    @classmethod
    def around(cls, bridge: nn.Module, name: str | None, notes: tuple[str, ...], mode: Mode = "eval") -> WrappedBridge:
        """Wrap a bridge, keeping the hook points that act as named, after one trial run.

        Args:
            bridge: a `TransformerBridge`.
            name: what to call it; the class by default.
            notes: notes on how it was unwrapped.
            mode: in which it is measured.

        Returns:
            the wrapped bridge.

        Raises:
            InterpError: the bridge does not turn tokens into logits.
        """
        seen, idle = _trial(bridge)
        points = {n: _axes(n) for n, tensor in seen.items() if n not in idle and _fits(_axes(n), tensor.shape)}
        left_out = [n for n in seen if n not in points]
        for n in list(points):
            replacement = _true_name(n, seen)
            if replacement != n:
                left_out.append(n)
                del points[n]
                points |= {replacement: PLAIN} if replacement else {}
        if left_out:
            notes = (*notes, "hook points of the bridge that do not act as named are left out: " + ", ".join(left_out))
        return cls(bridge, points, PLAIN, name=name, notes=notes, settings=RunSettings(mode))

    @override
    def _run(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **{"return_type": "logits", **kwargs})

    @property
    @override
    def cfg(self) -> Any:  # pyright: ignore[reportIncompatibleVariableOverride]  TransformerLens's own
        """The bridge's config."""
        return self.module.cfg

    @property
    def ln_final(self) -> nn.Module:
        """The bridge's final norm."""
        return cast(Any, self.module).ln_final

    @override
    def _weight(self, name: str) -> Tensor:
        bridge = cast(Any, self.module)
        if name.startswith("b_"):
            try:
                found = getattr(bridge, name)
            except AttributeError:  # the bridge says of every model without this bias that it has none
                found = None
            if found is None:
                cfg, outs = bridge.cfg, {"b_O": "d_model", "b_out": "d_model", "b_in": "d_mlp"}
                if name == "b_U":
                    return bridge.W_U.new_zeros(bridge.W_U.shape[1])
                size = (getattr(cfg, outs[name]),) if name in outs else (cfg.n_heads, cfg.d_head)
                return bridge.W_U.new_zeros(cfg.n_layers, *size)
        else:
            found = getattr(bridge, name)
        if name in ("W_K", "W_V", "b_K", "b_V") and found.shape[1] != bridge.cfg.n_heads:  # several heads share keys
            found = found.repeat_interleave(bridge.cfg.n_heads // found.shape[1], 1)
        return found

    @override
    def _installers(self, watched: set[str]) -> Iterator[Callable[[], Any]]:
        if not watched:
            return
        targets: dict[str, Any] = _points_of(self.module)
        skipped: dict[str, Tensor] = {}  # by layer: a change that the skip connection must still carry
        for name in self.hook_dict:
            layer, _, point = name.rpartition(".")
            waits = point == "hook_resid_post" and f"{layer}.hook_resid_mid" in watched
            if name in watched or waits:
                change = in_this_thread(partial(self._pass, name, skipped))
                yield partial(targets[name].register_forward_hook, change)

    def _pass(self, name: str, skipped: dict[str, Tensor], module: nn.Module, _args: Any, activation: Tensor) -> Tensor:
        layer, _, point = name.rpartition(".")
        if point == "hook_resid_post" and layer in skipped:
            activation = activation + skipped.pop(layer)
        after = _through(module, name, activation, partial(self._fire, name))
        if point == "hook_resid_mid":
            skipped[layer] = after - activation
        return after


def _points_of(bridge: nn.Module) -> dict[str, nn.Module]:
    """The bridge's hook points, each under all its names, where a name has its meaning in HookedTransformer."""
    points: dict[str, nn.Module] = {**cast(Any, bridge).hook_dict}
    for name in points:
        norm, _, point = name.rpartition(".")
        if point == "hook_normalized":  # the bridge's is before the norm's weights
            points[name] = points[f"{norm}.hook_out"]
    return {(LOGITS[0] if name == LOGITS[1] else name): point for name, point in points.items()}


def _through(point: Any, name: str, activation: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply ``change`` to an activation split into heads, and merge the heads again."""
    conversion = point.hook_conversion if _axes(name) == HEADS else None
    if conversion is None:
        return change(activation)
    return conversion.revert(change(conversion.convert(activation)))


def _axes(name: str) -> tuple[str, ...]:
    return CLASSIC.get(name.split(".", 2)[-1], PLAIN)


def _fits(axes: tuple[str, ...], shape: torch.Size) -> bool:
    length = {"batch": TRIAL[0], "pos": TRIAL[1], "query": TRIAL[1], "key": TRIAL[1]}
    return len(shape) == len(axes) and all(length.get(a, n) == n for a, n in zip(axes, shape, strict=True))


def _true_name(name: str, seen: dict[str, Tensor]) -> str | None:
    """The name if the activation is what it says, else a name that is true, else None."""
    layer, _, point = name.rpartition(".")
    beside = {n.rpartition(".")[2]: t for n, t in seen.items() if n.rpartition(".")[0] == layer}
    if point == "hook_attn_scores":
        return name if _close(seen[name].softmax(-1), beside.get("hook_pattern")) else None
    if point == "hook_resid_mid":
        adds = "hook_mlp_out" in beside and _close(seen[name] + beside["hook_mlp_out"], beside.get("hook_resid_post"))
        return name if adds else f"{layer}.ln2.hook_in"
    return name


def _close(a: Tensor, b: Tensor | None) -> bool:
    return b is not None and a.shape == b.shape and torch.allclose(a, b, rtol=1e-3, atol=1e-4)


def _trial(bridge: Any) -> tuple[dict[str, Tensor], set[str]]:
    """Activations of every hook point that fires, by its best name, and the names that the logits do not depend on."""
    chosen: dict[int, tuple[str, nn.Module]] = {}
    for name, point in _points_of(bridge).items():
        if id(point) not in chosen or point.name == chosen[id(point)][0]:
            chosen[id(point)] = name, point  # an alias replaces the bridge's own name
    points = dict(chosen.values())
    with warnings.catch_warnings():  # of norms that they rebuild their output from what a hook returns
        warnings.simplefilter("ignore")
        seen, idle = _try(bridge, points, set(points))
        if idle:  # a norm may do so without gradients, and hide what comes before it
            _, others = _try(bridge, points, {n for n in points if not n.endswith(NORM_POINTS)})
            idle = {n for n in idle if n in others or n.endswith(NORM_POINTS)}
    return seen, idle


def _try(bridge: Any, points: dict[str, nn.Module], changed: set[str]) -> tuple[dict[str, Tensor], set[str]]:
    """One pass in which hooks return new tensors at some points: all activations, and which of these do not matter."""
    seen: dict[str, Tensor] = {}
    added: dict[str, Tensor] = {}

    def look(name: str, activation: Tensor) -> Tensor:
        seen[name] = activation.detach()
        if name not in changed:
            return activation
        added[name] = torch.zeros_like(activation, requires_grad=True)
        return activation + added[name]

    def watch(name: str, point: nn.Module, _args: Any, activation: Any) -> Any:
        if not isinstance(activation, Tensor) or not activation.is_floating_point() or name in seen:
            return None
        changed_to = _through(point, name, activation, partial(look, name))
        return changed_to if name in changed else None

    handles: list[Any] = []
    try:
        for name, point in points.items():
            handles.append(point.register_forward_hook(partial(watch, name)))
        device = next(bridge.parameters()).device
        tokens = torch.arange(TRIAL[0] * TRIAL[1], device=device).reshape(TRIAL) % bridge.cfg.d_vocab
        with in_evaluation_mode(bridge), torch.enable_grad():
            logits = bridge(tokens, return_type="logits")
            found = torch.autograd.grad(logits.sum(), list(added.values()), allow_unused=True)
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError) as error:
        raise InterpError(f"the bridge does not turn tokens {list(TRIAL)} into logits: {error}") from error
    finally:
        for handle in handles:
            handle.remove()
    return seen, {name for name, g in zip(added, found, strict=True) if g is None}
