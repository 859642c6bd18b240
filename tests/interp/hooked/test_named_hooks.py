"""Hooks by name: a miss is an error, and what a hook returns has the shape of what it was given."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from interp import InterpError
from interp.errors import UnknownSite
from interp.hooked.hook_point import HookPoint
from tests.models import P, make

POST, PATTERN = "blocks.0.mlp.hook_post", "blocks.0.attn.hook_pattern"
TOKENS = torch.tensor([[1, 2, P], [3, 4, P]])


def test_the_models_own_methods_are_strict() -> None:
    """TransformerLens's methods return nothing on a miss; ours raise."""
    model, tokens = make("plain"), torch.zeros(1, 3, dtype=torch.long)
    with pytest.raises(UnknownSite):
        model.run_with_cache(tokens, names_filter="blocks.0.nothing")
    with pytest.raises(UnknownSite):
        model.run_with_hooks(tokens, fwd_hooks=[("blocks.0.nothing", lambda x, hook: x)])
    with pytest.raises(UnknownSite):
        model.add_hook("blocks.0.nothing", lambda x, hook: x)
    with pytest.raises(InterpError, match="matches none"):
        model.run_with_cache(tokens, names_filter=lambda name: False)


def test_run_with_cache_takes_globs_tuples_and_functions() -> None:
    """All the forms of a filter, tuples too, which TransformerLens refuses."""
    model, tokens = make("plain"), torch.zeros(1, 3, dtype=torch.long)
    for pattern in ("*hook_z", ("blocks.0.attn.hook_z",), lambda name: name.endswith("hook_z")):
        _, cache = model.run_with_cache(tokens, names_filter=pattern)
        assert list(cache) == ["blocks.0.attn.hook_z"]


def test_a_glob_adds_a_hook_to_every_match() -> None:
    """Not only to the first."""
    model, seen = make("two layers"), []
    model.add_hook("blocks.*.mlp.hook_post", lambda x, hook: seen.append(hook.name))
    assert model.watched_sites() == ["blocks.0.mlp.hook_post", "blocks.1.mlp.hook_post"]
    model(TOKENS)
    assert seen == model.watched_sites()


def test_axes_of_wants_an_exact_name() -> None:
    """A glob has no axes, and a typo gets the nearest name."""
    model = make("plain")
    assert model.axes_of(POST) == ("batch", "pos", "unit")
    for wrong in ("blocks.*.mlp.hook_post", "blocks.0.mlp.hook_pots"):
        with pytest.raises(UnknownSite, match=f"nearest: {POST}"):
            model.axes_of(wrong)


def broken(x: Tensor, hook: Any) -> Tensor:
    """Keeps one position of three: torch would broadcast it silently."""
    return x[:, :1]


@pytest.mark.parametrize("hook", [broken, partial(broken), lambda x, hook: x.sum()])
def test_a_hook_that_changes_the_shape_is_refused(hook: Any) -> None:
    """By whatever way it is installed; the message names the hook point and both shapes."""
    model, both = make("plain"), r"hook at blocks.0.mlp.hook_post returned \[.*\] for an activation of \[2, 3, 10\]"
    with pytest.raises(InterpError, match=both):
        model.run_with_hooks(TOKENS, fwd_hooks=[(POST, hook)])
    with pytest.raises(InterpError, match=both), model.hooks([("*hook_post", hook)]):
        model(TOKENS)
    model.add_hook(POST, hook)
    with pytest.raises(InterpError, match=both):
        model(TOKENS)
    model.reset_hooks()
    point = model.hook_dict[POST]
    assert isinstance(point, HookPoint)
    point.add_hook(hook)
    with pytest.raises(InterpError, match=both):
        model(TOKENS)


def test_a_hook_that_returns_something_else_is_refused() -> None:
    """A number or a numpy array is not an activation; None leaves it unchanged."""
    model = make("plain")
    for wrong in (0.0, [1.0], TOKENS.numpy()):
        with pytest.raises(InterpError, match=f"returned {type(wrong).__name__}; return a tensor .*or None"):
            model.run_with_hooks(TOKENS, fwd_hooks=[(POST, lambda x, hook, w=wrong: w)])
    assert torch.equal(model.run_with_hooks(TOKENS, fwd_hooks=[(POST, lambda x, hook: None)]), model(TOKENS))


def test_gradients_keep_their_shape_too() -> None:
    """A backward hook may return the gradient alone or in a tuple, as TransformerLens allows; never another shape."""
    model = make("plain")
    for same in (lambda g, hook: 2 * g, lambda g, hook: (2 * g,)):
        with model.hooks(bwd_hooks=[("hook_logits", same)]):
            model.zero_grad()
            model(TOKENS).sum().backward()
        doubled = model.W_U.grad
        assert doubled is not None
        model.zero_grad()
        model(TOKENS).sum().backward()
        assert model.W_U.grad is not None
        torch.testing.assert_close(doubled, 2 * model.W_U.grad)
    with (
        pytest.raises(InterpError, match=r"hook_logits returned \[2, 1, 7\]"),
        model.hooks(bwd_hooks=[("hook_logits", broken)]),
    ):
        model(TOKENS).sum().backward()


def test_hooks_of_another_kind_are_refused() -> None:
    """A hook that is not a function, and hooks that are not pairs."""
    model = make("plain")
    with pytest.raises(InterpError, match="a hook is a function of .activation, hook., got Tensor"):
        model.run_with_hooks(TOKENS, fwd_hooks=[(POST, torch.zeros(3))])
    for wrong in (POST, [POST], {"a": 1}, 3):
        with pytest.raises(InterpError, match="list of .name, function. pairs"), model.hooks(wrong):  # type: ignore[arg-type]
            pass
    assert model.watched_sites() == []


def test_a_hook_keeps_its_name() -> None:
    """What TransformerLens lists is the user's hook, and a partial's arguments are not printed."""
    point = HookPoint("batch")
    point.add_hook(partial(broken, hook=None))
    assert "broken" in (name := next(iter(point._forward_hooks.values())).__name__)
    assert name.endswith(", ...)")
