"""AtP* against small moves of real forward passes: along the recomputed pattern, and with a layer's writing held."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import circuits
from circuits import Patch, applied, freeze
from interp import HookedTransformer, InterpError, Subject, capture
from interp.sites import Site
from tests.circuits.methods.test_methods import model_of, pair
from tests.models import subject

STEP = 1e-5


def differences(one: Subject, clean: Tensor, corrupted: Tensor, logits: Tensor) -> Tensor:
    """The logit difference of the clean and the corrupted answers at the readout, per input."""
    task, rows = one.require_task(), torch.arange(len(clean))
    right, wrong = (
        torch.tensor([task.labels[(task.inputs == x).all(1)].item() for x in given]) for given in (clean, corrupted)
    )
    return (read := task.read(logits))[rows, right] - read[rows, wrong]


def slope(
    one: Subject, pairs: tuple[Tensor, Tensor], site: Site, to: Tensor, held: list[circuits.Intervention]
) -> Tensor:
    """The change of the metric, to first order, of moving a site to another activation, with other sites held."""
    model, (clean, corrupted) = model_of(one), pairs
    base = capture(model, clean, site.name)[site.name]
    ends = []
    for sign in (1, -1):
        with applied(model, [Patch(site, base + sign * STEP * (to - base)), *held], strict=False), torch.no_grad():
            ends.append(differences(one, clean, corrupted, model(clean)))
    return (ends[0] - ends[1]) / (2 * STEP)


def patterns(model: HookedTransformer, clean: Tensor, site: Site, to: Tensor, name: str) -> Tensor:
    """Attention patterns with a query or key patched."""
    with applied(model, Patch(site, to), strict=False):
        return capture(model, clean, name)[name]


@pytest.mark.parametrize("by_position", [False, True])
@pytest.mark.parametrize("drop", [False, True])
def test_each_node_is_a_small_move(by_position: bool, drop: bool) -> None:
    """The whole gradient, and the gradient without each layer: |.| of these are averaged."""
    one = subject("layer norm")
    clean, corrupted = pair(one, 8)
    model, pos = model_of(one), 1 if by_position else None
    found = circuits.atp_star(one, clean, corrupted, by_position=by_position, grad_drop=drop)
    table = found.nodes if pos is None else found.nodes.query("pos == 1")
    other = capture(model, corrupted, "*")
    for label, name, part in (
        ("L0H1 keys", "blocks.0.attn.hook_k", {"head": 1}),
        ("L0H2 queries", "blocks.0.attn.hook_q", {"head": 2}),
        ("L0H0 values", "blocks.0.attn.hook_v", {"head": 0}),
        ("L0N3", "blocks.0.mlp.hook_post", {"unit": 3}),
        *([] if by_position else [("L1H0 queries", "blocks.1.attn.hook_q", {"head": 0})]),
    ):
        site, to = Site(name, pos=pos, **part), other[name]
        if name.endswith(("_q", "_k")):
            pattern = name[:-6] + "hook_pattern"
            to, site = patterns(model, clean, site, to, pattern), Site(pattern, head=part["head"])
        row = table[table["component"] == label].iloc[0]
        if not drop:
            expected = slope(one, (clean, corrupted), site, to, [])
            assert row["effect"] == pytest.approx(float(expected.mean()), rel=1e-5, abs=1e-9)
            assert row["score"] == pytest.approx(float(expected.abs().mean()), rel=1e-5, abs=1e-9)
        else:  # both layers, averaged over one
            layers = [[f"blocks.{i}.hook_{w}_out" for w in ("attn", "mlp")] for i in range(2)]
            sizes = [slope(one, (clean, corrupted), site, to, freeze(model, clean, own)) for own in layers]
            assert row["score"] == pytest.approx(float(sum(s.abs().mean() for s in sizes)), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("by_position", [False, True])
def test_true_effects_are_single_patches(by_position: bool) -> None:
    one = subject("two layers")
    clean, corrupted = pair(one, 6)
    model, pos = model_of(one), 0 if by_position else None
    found = circuits.atp_star(one, clean, corrupted, kinds=["keys", "mlp"], by_position=by_position, verify=True)
    table = found.nodes if pos is None else found.nodes.query("pos == 0")
    before = differences(one, clean, corrupted, model(clean))
    for label, site in (
        ("L0H1 keys", Site("blocks.0.attn.hook_k", pos=pos, head=1)),
        ("L0 mlp", Site("blocks.0.hook_mlp_out", pos=pos)),
    ):
        with applied(model, Patch(site, capture(model, corrupted, site.name)[site.name])):
            change = (differences(one, clean, corrupted, model(clean)) - before).detach()
        row = table[table["component"] == label].iloc[0]
        assert row["patched"] == pytest.approx(float(change.mean()), rel=1e-9)
        assert row["patched_size"] == pytest.approx(float(change.abs().mean()), rel=1e-9)
    assert len(found.figure().data) == 1
    assert set(found.table.columns[:7]) == {"component", "site", "index", "metric", "clean", "changed", "change"}


def test_qk_fix_sees_through_saturated_attention() -> None:
    """Attention that is all on one key has no gradient, and moves all the same."""
    one = subject("no mlp")
    clean, corrupted = pair(one, 12)
    model = model_of(one)
    with torch.no_grad():
        model.block(0).attention.W_Q *= 20
    sizes = {}
    for fix in (False, True):
        found = circuits.atp_star(one, clean, corrupted, kinds="keys", qk_fix=fix, verify=True).nodes
        first = found[found["site"] == "blocks.0.attn.hook_k"]
        sizes[fix] = float((first["effect"] - first["patched"]).abs().mean())
        assert float(first["patched"].abs().max()) > 0.1
    assert sizes[True] < sizes[False]


def test_refusals() -> None:
    one = subject("two layers")
    clean, corrupted = pair(one)
    with pytest.raises(InterpError, match="give the corrupted inputs"):
        circuits.atp_star(one, clean)
    with pytest.raises(InterpError, match="corrects the attention"):
        circuits.atp_star(subject("deep"), clean[:, :2], corrupted[:, :2])
    with pytest.raises(InterpError, match="did you mean 'queries'"):
        circuits.atp_star(one, clean, corrupted, kinds="query")  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="gradient of kl"):
        circuits.atp_star(one, clean, corrupted, metric="kl")
