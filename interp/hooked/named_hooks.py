"""Hooks by name: TransformerLens's root module, where a name that matches nothing is an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor
from typing_extensions import override

from interp.errors import InterpError, UnknownName, UnknownSite
from interp.hooked.cache import ActivationCache
from interp.hooked.hook_point import HookedRootModule, HookPoint, hooks_on
from interp.sites import SitePattern, no_such_site, resolve_sites


class NamedHooks(HookedRootModule):
    """TransformerLens's root module with strict names, named axes, and checks of what hooks and users give."""

    def axes_of(self, name: str) -> tuple[str, ...]:
        """The axis names of a hook point's activation.

        Args:
            name: of the hook point, exactly.

        Returns:
            such as ``("batch", "pos", "unit")``.

        Raises:
            UnknownSite: the model has no such hook point; the message suggests the nearest.
            InterpError: the hook point does not name its axes.
        """
        if name not in self.hook_dict:
            raise UnknownSite(no_such_site(name, list(self.hook_dict)))
        point = self.hook_dict[name]
        if not isinstance(point, HookPoint):
            raise InterpError(f"hook point {name!r} of {type(self).__name__} does not name its axes")
        return point.axes

    def check_inputs(self, inputs: Any) -> None:
        """Refuse inputs of a kind or shape that the model cannot run on, without reading their values.

        Models override this and call it in `forward`; the default accepts everything.
        """

    def check_values(self, inputs: Any) -> None:
        """`check_inputs`, and refuse values outside the model's domain, such as tokens beyond its vocabulary.

        Reading values makes the program wait for a GPU, so this is called where a user enters (`interp.capture`,
        `run_with_cache`, `run_with_hooks`) and not in `forward`.
        """
        self.check_inputs(inputs)

    @override
    def add_hook(self, name: str | Callable[[str], bool], hook: Callable, *args: Any, **kwargs: Any) -> None:
        """TransformerLens's `add_hook`, strict: the name must exist, and the hook must keep the activation's shape.

        Args:
            name: of a hook point, a glob, or a filter (a function of a name).
            hook: called as ``hook(activation, hook=point)``; returns the new activation, or None to leave it unchanged.
            args: as in TransformerLens (``dir``, ``is_permanent``, ``level``, ``prepend``).
            kwargs: the same, by keyword.
        """
        for found in self._names(name):
            super().add_hook(found, hook, *args, **kwargs)

    @override
    def hooks(
        self,
        fwd_hooks: Iterable[tuple[Any, Callable]] = (),
        bwd_hooks: Iterable[tuple[Any, Callable]] = (),
        reset_hooks_end: bool = True,
        clear_contexts: bool = False,
    ):
        """TransformerLens's context manager, strict: names may be globs, and each must match a hook point.

        Args:
            fwd_hooks: pairs of a name, glob or filter and a hook, as in `add_hook`.
            bwd_hooks: the same, for gradients.
            reset_hooks_end: whether to remove the hooks on leaving.
            clear_contexts: whether to clear the hook points' contexts too.

        Returns:
            a context manager that gives the model.
        """
        return super().hooks(self._pairs(fwd_hooks), self._pairs(bwd_hooks), reset_hooks_end, clear_contexts)

    def _pairs(self, hooks: Iterable[tuple[Any, Callable]]) -> list[tuple[Any, Callable]]:
        try:
            pairs = [(pattern, hook) for pattern, hook in hooks]
        except (TypeError, ValueError):
            raise InterpError(
                'hooks are a list of (name, function) pairs, such as [("blocks.0.mlp.hook_post", hook)], '
                f"got {type(hooks).__name__}"
            ) from None
        return [(name, hook) for pattern, hook in pairs for name in self._names(pattern)]

    @override
    def run_with_hooks(self, *args: Any, **kwargs: Any) -> Any:
        """TransformerLens's `run_with_hooks`: run the model with hooks that are removed afterwards.

        Args:
            args: the model's inputs.
            kwargs: ``fwd_hooks``, ``bwd_hooks``, ``reset_hooks_end``, ``clear_contexts`` as in `hooks`; others go to the
                model.

        Returns:
            the model's output.
        """
        if args:
            self.check_values(args[0])
        return super().run_with_hooks(*args, **kwargs)

    @override
    def run_with_cache(
        self, *args: Any, names_filter: SitePattern | Callable[[str], bool] | None = None, **kwargs: Any
    ) -> tuple[Tensor, ActivationCache]:
        """TransformerLens's `run_with_cache`, with names that must match something.

        `interp.capture` also copies activations, runs in batches, and keeps repeated calls of a hook point.

        Args:
            args: the model's inputs.
            names_filter: which hook points to keep: names, globs, or a function of a name; all by default.
            kwargs: as in TransformerLens.

        Returns:
            the output, and the cache: a dict from hook point name to a detached tensor, which also answers to
            TransformerLens's short names (``cache["q", 0]``) and has its methods (``cache.decompose_resid()``).
        """
        if args:
            self.check_values(args[0])
        wanted = None if names_filter is None else set(self._names(names_filter))
        filtered = None if wanted is None else wanted.__contains__
        output, cache = super().run_with_cache(*args, names_filter=filtered, **kwargs)
        return output, ActivationCache(cache, self, not kwargs.get("remove_batch_dim", False))

    def _names(self, pattern: SitePattern | Callable[[str], bool]) -> list[str]:
        if not callable(pattern):
            return [site.name for site in resolve_sites(self, pattern)]
        matched = [name for name in self.hook_dict if pattern(name)]
        if not matched:
            raise UnknownName(f"the filter {pattern!r} matches none of the model's {len(self.hook_dict)} hook points")
        return matched

    def watched_sites(self) -> list[str]:
        """Names of the hook points that have hooks, in the model's order."""
        return [name for name, point in self.hook_dict.items() if hooks_on(point)]
