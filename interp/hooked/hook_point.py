"""Hook points with named axes. All imports of TransformerLens stand in this file."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn
from typing_extensions import override

from interp.errors import InterpError
from interp.hooked.deferred import import_lightly

# these two modules alone, where that can be done: the whole of TransformerLens takes longer than torch
import_lightly("transformer_lens", ("transformer_lens.hook_points", "transformer_lens.HookedRootModule"))
from transformer_lens.hook_points import HookPoint as LensHookPoint  # noqa: E402
from transformer_lens.HookedRootModule import HookedRootModule as HookedRootModule  # noqa: E402


class HookPoint(LensHookPoint):
    """TransformerLens's hook point, which also knows the names of its activation's axes.

    Args:
        axes: one name per axis, such as ``"batch", "pos", "unit"``.
    """

    def __init__(self, *axes: str):
        super().__init__()
        self.axes = axes

    @property
    def watched(self) -> bool:
        """Whether any hook is installed here."""
        return bool(self._forward_hooks or self._backward_hooks or self._forward_pre_hooks or self._backward_pre_hooks)

    @override
    def __call__(self, x: Tensor) -> Tensor:
        # without hooks this looks at four dicts, which costs a tenth of a module's call
        return super().__call__(x) if self.watched else x

    @override
    def add_hook(self, hook: Any, *args: Any, **kwargs: Any) -> Any:
        """TransformerLens's `add_hook`; when it runs, a hook that changes the activation's shape is an error.

        Args:
            hook: called as ``hook(activation, hook=self)``; returns the new activation, or None to leave it unchanged.
            args: as in TransformerLens (``dir``, ``is_permanent``, ``level``, ``prepend``, ``alias_names``).
            kwargs: the same, by keyword.

        Returns:
            TransformerLens's handle of the hook.

        Raises:
            InterpError: ``hook`` is not callable.
        """
        if not callable(hook):
            raise InterpError(f"a hook is a function of (activation, hook), got {type(hook).__name__}")
        return super().add_hook(_SameShape(hook), *args, **kwargs)


class _SameShape:
    """A hook whose result must have the shape of what it was given."""

    def __init__(self, hook: Any):
        self.hook = hook

    def __call__(self, tensor: Tensor, *, hook: Any) -> Any:
        result = self.hook(tensor, hook=hook)
        if result is None:
            return None
        # TransformerLens lets backward hooks return the gradient in a tuple
        new = result[0] if isinstance(result, tuple) and len(result) == 1 else result
        if not isinstance(new, Tensor):
            raise InterpError(
                f"the hook at {hook.name} returned {type(new).__name__}; return a tensor of the activation's shape "
                f"{list(tensor.shape)}, or None to leave it unchanged"
            )
        if new.shape != tensor.shape:
            raise InterpError(
                f"the hook at {hook.name} returned {list(new.shape)} for an activation of {list(tensor.shape)}; "
                "a hook keeps the shape (expand the result if it is meant to be broadcast)"
            )
        return result

    @override
    def __repr__(self) -> str:
        # the repr of a partial prints its arguments, which may be large tensors
        return f"partial({self.hook.func!r}, ...)" if isinstance(self.hook, partial) else repr(self.hook)


def hooks_on(module: nn.Module) -> list[Any]:
    """All forward and backward hooks and pre-hooks installed on a module."""
    kinds = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    # list() copies at once, where a loop would notice that another thread adds or removes a hook
    return [hook for hooks in kinds for hook in list(hooks.values())]
