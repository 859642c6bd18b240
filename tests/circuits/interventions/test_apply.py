"""`applied`: what it installs, what it records, what it refuses, and that it always cleans up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from circuits import Ablate, Fixed, Keep, Mean, Patch, Remove, Scale, Zero, applied
from circuits.interventions.apply import NoEffect
from circuits.interventions.kinds import Intervention
from interp import InterpError, Site
from interp.errors import UnknownSite
from probes.basis import Basis
from tests.models import P, make

TOKENS = torch.cartesian_prod(torch.arange(P), torch.arange(P), torch.tensor([P]))
POST = "blocks.0.mlp.hook_post"


def installed(model: torch.nn.Module) -> int:
    return sum(len(m._forward_hooks) for m in model.modules())


def test_the_record_says_how_far_things_moved() -> None:
    """Zeroing an activation moves it by its whole norm, halving by half, over all firings."""
    model = make("plain")
    _, cache = model.run_with_cache(TOKENS, names_filter=POST)
    with applied(model, [Scale(POST, 0.5), Ablate("blocks.0.attn.hook_z", Zero())]) as record:
        model(TOKENS)
        model(TOKENS)
    assert [e.fired for e in record] == [2, 2]
    assert record[0].relative_change == pytest.approx(0.5)
    assert record[1].relative_change == pytest.approx(1.0)
    with applied(model, Ablate(POST, Zero())) as record:
        model(TOKENS)
    assert record[0].change == pytest.approx(cache[POST].norm().item())
    assert "fired 1 times, moved 100" in repr(record)


def test_a_glob_is_one_entry_per_hook_point() -> None:
    """Every match is recorded by itself."""
    model = make("two layers")
    with applied(model, Ablate("*hook_post", Zero())) as record:
        model(TOKENS)
    assert [e.site.name for e in record] == ["blocks.0.mlp.hook_post", "blocks.1.mlp.hook_post"]


def test_what_never_fires_or_changes_nothing_raises() -> None:
    """Unless that is meant, which has to be said."""
    model = make("plain")
    with pytest.raises(NoEffect, match=r"never fired: blocks.0.mlp.hook_post"), applied(model, Ablate(POST, Zero())):
        pass
    with pytest.raises(NoEffect, match="changed nothing; pass strict=False"), applied(model, Scale(POST, 1.0)):
        model(TOKENS)
    with applied(model, Scale(POST, 1.0), strict=False) as record:
        model(TOKENS)
    assert record[0].change == 0


def test_an_unknown_site_installs_nothing() -> None:
    """The second intervention is misspelt: the first is not in place either."""
    model = make("plain")
    with pytest.raises(UnknownSite), applied(model, [Ablate(POST, Zero()), Ablate("blocks.0.mlp.hook_pots", Zero())]):
        pass
    assert installed(model) == 0


def test_the_users_hooks_stay_and_act_first() -> None:
    """A hook installed before sees the clean activation, and is still there afterwards."""
    model, seen = make("plain"), []
    model.add_hook(POST, lambda x, hook: seen.append(x.abs().sum().item()))
    with applied(model, Ablate(POST, Zero())):
        model(TOKENS)
    model(TOKENS)
    assert seen[0] == pytest.approx(seen[1])
    assert seen[0] > 0
    assert installed(model) == 1


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_errors_and_ctrl_c_leave_the_model_as_it_was(error: type[BaseException]) -> None:
    """Whatever ends the block, and the error itself comes through."""
    model = make("plain")
    clean = model(TOKENS)
    with pytest.raises(error, match="in the middle"), applied(model, Ablate(POST, Zero())):
        raise error("in the middle")
    assert installed(model) == 0
    assert torch.equal(model(TOKENS), clean)


def test_nested_blocks_undo_only_themselves() -> None:
    """The outer intervention acts again when the inner block has ended."""
    model = make("plain")
    with applied(model, Ablate(POST, Zero())):
        outer = model(TOKENS)
        with applied(model, Ablate("blocks.0.attn.hook_z", Zero())):
            assert not torch.equal(model(TOKENS), outer)
        assert torch.equal(model(TOKENS), outer)


def test_bad_values_are_named() -> None:
    """Shapes that do not fit, directions of another space, runs that do not align."""
    model = make("plain")
    cases: list[tuple[Intervention, str]] = [
        (Ablate(POST, Fixed(torch.zeros(11))), r"shape \[11\] does not broadcast over \[49, 3, 10\]"),
        (Ablate(POST, Mean(("batch", "head"))), "no axis 'head'"),
        (Remove(POST, Basis.random(2, 12, 0), Zero()), "12 dimensions, the site's feature axis has 10"),
        (Keep(POST, Basis.random(2, 12, 0), Zero()), "12 dimensions, the site's feature axis has 10"),
        (Patch(POST, torch.zeros(1, 3, 10)), r"run of shape \[1, 3, 10\], this one is \[49, 3, 10\]"),
        (Ablate(Site(POST, pos=5), Zero()), "pos 5 is outside an axis of 3"),
        (Remove("*hook_pattern", Basis.random(1, 3, 0), Zero()), "hook_pattern has no feature axis"),
        (Remove(Site(POST, unit=1), Basis.random(1, 10, 0), Zero()), "units or the directions of a basis, not both"),
    ]
    for intervention, message in cases:
        with pytest.raises(InterpError, match=message), applied(model, intervention):
            model(TOKENS)
    assert installed(model) == 0


@dataclass(frozen=True, eq=False)
class Shrink(Intervention):
    site: str

    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        return activation[:, :1]


def test_a_changed_shape_is_refused() -> None:
    """PyTorch would let a hook return any shape."""
    model = make("plain")
    with pytest.raises(InterpError, match=r"turned \[49, 3, 10\] into \[49, 1, 10\]"), applied(model, Shrink(POST)):
        model(TOKENS)


def test_interventions_are_values() -> None:
    """They print, compare by content, and go into sets."""
    assert Ablate(POST, Zero()) == Ablate(POST, Zero())
    assert Ablate(POST, Zero()) != Ablate(POST, Mean())
    assert Ablate(POST, Fixed(torch.ones(2))) == Ablate(POST, Fixed(torch.ones(2)))
    assert Ablate(POST, Fixed(torch.ones(2))) != Ablate(POST, Fixed(torch.zeros(2)))
    assert Remove(POST, Basis.random(1, 4, 0), Zero()) == Remove(POST, Basis.random(1, 4, 0), Zero())
    assert len({Ablate(POST, Zero()), Ablate(POST, Zero()), Scale(POST, 2.0)}) == 2
    assert repr(Ablate(Site(POST, unit=3), Mean())) == (
        "Ablate(site=Site(name='blocks.0.mlp.hook_post', pos=None, head=None, unit=3, basis=None), "
        "value=Mean(over=('batch',)))"
    )


def test_positions_and_heads_are_selected() -> None:
    """Ablating the last position's head 1 moves nothing else."""
    model = make("plain")
    _, clean = model.run_with_cache(TOKENS)
    with applied(model, Ablate(Site("blocks.0.attn.hook_z", pos=-1, head=1), Zero())):
        z = model.run_with_cache(TOKENS, names_filter="*hook_z")[1]["blocks.0.attn.hook_z"]
    moved = (z - clean["blocks.0.attn.hook_z"]).abs().amax((0, 3)) > 0
    assert moved.nonzero().tolist() == [[2, 1]]
    assert z[:, 2, 1].abs().max() == 0
