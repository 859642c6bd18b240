"""Names of hook points: strict, with globs and named axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from interp import HookedTransformer, InterpError, Site, capture, resolve_sites
from interp.errors import UnknownSite
from interp.sites import find_axis
from probes.basis import Basis
from tests.models import make, subject


def names(pattern: object, model: str = "two layers") -> list[str]:
    return [s.name for s in resolve_sites(make(model), pattern)]  # type: ignore[arg-type]


def test_globs_match_in_the_models_order() -> None:
    """A glob gives every match once, in the order of the forward pass, whatever the order asked for."""
    assert names("blocks.*.mlp.hook_post") == ["blocks.0.mlp.hook_post", "blocks.1.mlp.hook_post"]
    assert names(["blocks.1.hook_resid_post", "hook_embed", "hook_*mbed"]) == [
        "hook_embed", "hook_pos_embed", "blocks.1.hook_resid_post"
    ]  # fmt: skip


@pytest.mark.parametrize("bad", ["blocks.0.mlp.hook_pots", "blocks.7.hook_resid_pre", "", "*.hook_nothing"])
def test_a_name_that_matches_nothing_is_an_error_that_suggests(bad: str) -> None:
    """The message names what was asked for and hook points that exist."""
    with pytest.raises(UnknownSite, match="nearest: .*hook_"):
        names(bad)


def test_the_nearest_name_is_suggested_first() -> None:
    """One letter off gives the right name at once."""
    with pytest.raises(UnknownSite, match=r"nearest: blocks.0.mlp.hook_post"):
        names("blocks.0.mlp.hook_pots")


def test_no_sites_is_an_error() -> None:
    """An empty list is never a silent nothing."""
    with pytest.raises(UnknownSite, match="no sites"):
        names([])


@pytest.mark.parametrize("name", ["hook_resid_pre", "attn.hook_z", "attn.hook_pattern"])
def test_pos_is_the_position_and_never_the_batch(name: str) -> None:
    """The mask of pos=-1 selects the last position (of a pattern: the last query) for every example."""
    model = make("plain")
    axes = model.axes_of(f"blocks.0.{name}")
    shape = tuple({"batch": 5, "pos": 3, "query": 3, "key": 3, "head": 3, "unit": 4}[a] for a in axes)
    mask = Site(f"blocks.0.{name}", pos=-1).mask(shape, axes, torch.device("cpu"))
    assert mask is not None
    selected = mask.expand(shape)
    dim = find_axis("pos", axes, name)
    assert selected.select(dim, -1).all()
    assert not selected.narrow(dim, 0, 2).any()


def test_masks_combine_and_refuse() -> None:
    """Head and unit together; indices outside, and axes that are not there, are named."""
    axes, shape = ("batch", "pos", "head", "unit"), (2, 3, 4, 5)
    mask = Site("z", head=[0, 2], unit=slice(0, 2)).mask(shape, axes, torch.device("cpu"))
    assert mask is not None
    assert int(mask.expand(shape).sum()) == 2 * 3 * 2 * 2
    with pytest.raises(InterpError, match="head 9 is outside an axis of 4"):
        Site("z", head=9).mask(shape, axes, torch.device("cpu"))
    with pytest.raises(InterpError, match="no axis 'head'; its axes are batch, unit"):
        Site("z", head=0).mask((2, 3), ("batch", "unit"), torch.device("cpu"))


@pytest.mark.parametrize(("given", "plain"), [
    (np.int64(1), 1), (torch.tensor(-1), -1), (torch.tensor([0, 2]), [0, 2]), (np.array([0, 2]), [0, 2]),
    ([np.int64(0), torch.tensor(2)], [0, 2]), ((0, 2), (0, 2)), (range(2), range(2)), (slice(0, 2), slice(0, 2)), ([], []),
])  # fmt: skip
def test_whole_numbers_in_any_form(given: Any, plain: Any) -> None:
    """Of numpy and torch as well; the site is the one of the plain numbers, and captures the same."""
    model, inputs = make("plain"), subject("plain").require_task().inputs[:3]
    one, other = (Site("blocks.0.mlp.hook_post", unit=index) for index in (given, plain))
    assert one == other
    assert resolve_sites(model, [one, other]) == [other]
    assert torch.equal(capture(model, inputs, one)[str(one)], capture(model, inputs, other)[str(other)])


@pytest.mark.parametrize(
    "given", [1.5, "1", True, [0.5], ["a"], [True, False], torch.ones(3), {"a": 1}, torch.eye(2).long()]
)
def test_other_indices_are_refused(given: Any) -> None:
    """Half a unit is not the one below, and True is not all of them."""
    for axis in ("pos", "head", "unit"):
        with pytest.raises(InterpError, match=f"{axis} must be a whole number, several of them or a slice, got"):
            Site("hook_embed", **{axis: given})


def test_the_indices_that_are_chosen() -> None:
    assert Site("z", pos=[2, -4, 2]).chosen("query", 4) == [0, 2]
    assert Site("z", pos=1).chosen("key", 3) == Site("z").chosen("pos", 3) == [0, 1, 2]
    with pytest.raises(InterpError, match="pos 4 is outside an axis of 4"):
        Site("z", pos=4).chosen("pos", 4)


def test_a_basis_of_other_dimensions_is_refused() -> None:
    model, inputs = make("plain"), subject("plain").require_task().inputs[:3]
    with pytest.raises(InterpError, match="directions of 3 dimensions"):
        capture(model, inputs, Site("blocks.0.mlp.hook_post", basis=Basis.neurons(3)))


def test_a_subject_stands_for_its_model() -> None:
    """Whatever has a ``.model`` with hook points."""
    one = subject("plain")
    assert resolve_sites(one, "*hook_z") == resolve_sites(one.model, "*hook_z") == [Site("blocks.0.attn.hook_z")]


@pytest.mark.parametrize("given", [nn.Linear(2, 3), HookedTransformer, "model.pth", None])
def test_what_has_no_hook_points_is_refused(given: object) -> None:
    """A plain module, a class, a path: the message says how to get hook points."""
    with pytest.raises(InterpError, match=r"a hooked model or a Subject, got .*interp.wrap\(module, example\)"):
        resolve_sites(given, "*")  # type: ignore[arg-type]


@pytest.mark.parametrize("pattern", [3, None, [3], [None], [("blocks.0.attn.hook_z",)]])
def test_patterns_of_another_kind_are_refused(pattern: object) -> None:
    """Only names, globs and sites, alone or several."""
    with pytest.raises(InterpError, match="a site is the name of a hook point, a glob or a Site, got"):
        names(pattern)


def test_a_site_is_made_of_a_name() -> None:
    """A hook point itself, or a list of names, is refused at once."""
    for wrong in (make("plain").hook_dict["hook_embed"], ["hook_embed"]):
        with pytest.raises(InterpError, match=f"name of a hook point as a string, got {type(wrong).__name__}"):
            Site(wrong)  # type: ignore[arg-type]
