"""Direct logit attribution: sums that are exact, and parts that whole forward passes confirm."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import circuits
import interp
from interp import InterpError, MissingCapability, UnknownName
from tests.circuits import networks
from tests.models import TRANSFORMERS, make, subject

SUMS = [name for name, config in TRANSFORMERS.items() if not config.post_norm]


@pytest.mark.parametrize("by", ["component", "head", "neuron", "position"])
@pytest.mark.parametrize("name", [*SUMS, "bridge", "lstm", "deep"])
def test_parts_add_up_to_the_logits(name: str, by: Any) -> None:
    """With a LayerNorm, a folded one, an RMSNorm and none, to 1e-10 in every input; on a bridge, and of last hidden units."""
    one = networks.subject(name) if name in networks.KINDS else subject(name)
    task = one.require_task()
    wrong = (task.labels + 1) % task.width
    logits = one.logits()
    own, other = (logits.gather(1, x[:, None])[:, 0] for x in (task.labels, wrong))
    for options, expected in [({}, own), ({"wrong": wrong}, own - other), ({"centred": True}, own - logits.mean(1))]:
        found = circuits.logit_attribution(one, by=by, **options)
        assert found.values is not None
        size = max(1.0, float(found.values.abs().max()))
        torch.testing.assert_close(found.values.sum(1) / size, expected / size, atol=1e-10, rtol=0)
        assert float(found.contributions.sum()) == pytest.approx(found.total, abs=1e-9 * size)
        assert found.error < 1e-10 * size


def test_by_hand() -> None:
    """Token 1 is (1, 2), position 0 is (0.5, 0); the logits read the first coordinate once and the second three times."""
    config = interp.TransformerConfig(1, 2, 1, 1, 2, 2, 1)
    model = interp.HookedTransformer(config)
    with torch.no_grad():
        model.embed.W_E[1] = torch.tensor([1.0, 2.0])
        model.pos_embed.W_pos[0] = torch.tensor([0.5, 0.0])
        model.unembed.W_U.copy_(torch.diag(torch.tensor([1.0, 3.0])))
    token = torch.tensor([[1]])
    found = circuits.logit_attribution(model, token, answers=token[:, 0])
    assert dict(zip(found.names, found.contributions.tolist(), strict=True)) == {"embed": 6, "pos_embed": 0, "L0H0": 0}
    found = circuits.logit_attribution(model, token, answers=token[:, 0], wrong=torch.tensor([0]))
    assert found.contributions.tolist() == [5, -0.5, 0]
    assert found.table["changed"].tolist() == [-0.5, 5, 4.5]
    assert found.metric == "logit_diff"


@pytest.mark.parametrize("name", ["layer norm", "gated", "folded norm"])
def test_a_last_part_adds_what_its_absence_takes(name: str) -> None:
    """In a whole forward pass without it, with the final norm's scale held: nothing comes after it that could answer."""
    one = subject(name)
    model, task = one.model, one.require_task()
    last = TRANSFORMERS[name].n_layers - 1
    clean, cache = model.run_with_cache(task.inputs)
    found = circuits.logit_attribution(one, by="neuron")
    assert found.values is not None

    def held(_: Tensor, hook: Any) -> Tensor:
        return cache[hook.name]

    for unit in (0, 3):

        def without(post: Tensor, hook: Any, unit: int = unit) -> Tensor:
            del hook
            return post.index_fill(-1, torch.tensor(unit), 0.0)

        hooks = [(f"blocks.{last}.mlp.hook_post", without), ("ln_final.hook_scale", held)]
        lost = task.read(clean) - task.read(model.run_with_hooks(task.inputs, fwd_hooks=hooks))
        expected = lost.gather(1, task.labels[:, None])[:, 0]
        torch.testing.assert_close(found.values[:, found.names.index(f"L{last}N{unit}")], expected, atol=1e-10, rtol=0)


def test_the_caches_numbers_where_no_weights_stand_in_the_norm() -> None:
    """`logit_attrs` leaves the norm's weights out, and LNPre has none."""
    one = subject("folded norm")
    task = one.require_task()
    found = circuits.logit_attribution(one)
    _, cache = one.model.run_with_cache(task.inputs)
    stack, labels = cache.decompose_resid(pos_slice=-1, return_labels=True)
    attrs = cache.logit_attrs(stack, task.labels, pos_slice=-1)
    assert found.values is not None
    for label, name in (("embed", "embed"), ("pos_embed", "pos_embed"), ("0_mlp_out", "L0 mlp")):
        own = found.values[:, found.names.index(name)]
        torch.testing.assert_close(own, attrs[labels.index(label)], atol=1e-10, rtol=0)


def test_positions_split_the_heads() -> None:
    one = subject("two layers")
    heads, split = circuits.logit_attribution(one, by="head"), circuits.logit_attribution(one, by="position")
    own = [i for i, name in enumerate(split.names) if name.startswith("L1H2 from")]
    assert [split.names[i] for i in own] == [f"L1H2 from {k}" for k in range(3)]
    torch.testing.assert_close(split.contributions[own].sum(), heads.contributions[heads.names.index("L1H2")])
    whole = circuits.logit_attribution(one)
    few = circuits.logit_attribution(one, max_bytes=10)
    assert few.values is None
    assert torch.equal(few.contributions, whole.contributions)
    assert whole.values is not None
    torch.testing.assert_close(whole.spread, whole.values.std(0, correction=0))
    assert "frozen" in whole.summary["note"]
    assert len(whole.figure().data[0].x) == len(whole.names)


def test_what_cannot_be_split_is_refused() -> None:
    one = subject("plain")
    with pytest.raises(InterpError, match="post_norm"):
        circuits.logit_attribution(subject("norm last"))
    with pytest.raises(UnknownName, match="did you mean 'neuron'"):
        circuits.logit_attribution(one, by="neurons")  # type: ignore[arg-type]
    with pytest.raises(MissingCapability, match="give answers="):
        circuits.logit_attribution(one.model, torch.tensor([[1, 2, 3]]))
    with pytest.raises(InterpError, match="the network has 7 answers"):
        circuits.logit_attribution(one.model, torch.tensor([[1, 2, 3]]), answers=torch.tensor([7]))
    with pytest.raises(InterpError, match="one per input"):
        circuits.logit_attribution(one.model, torch.tensor([[1, 2, 3]]), answers=torch.tensor([1, 2]))
    with pytest.raises(InterpError, match="linear after their last hidden layer"):
        circuits.logit_attribution(networks.subject("conv"))
    bent: Any = make("plain")
    bent.unembed.register_forward_hook(lambda module, args, out: out.tanh())
    with pytest.raises(InterpError, match="hooks are installed|add up to its logits only within"):
        circuits.logit_attribution(interp.Subject("bent", bent, one.task))


@pytest.mark.real_data
def test_the_grokked_network_reads_its_mlp(data: Any) -> None:
    """Nanda et al. 2023: the logits of the network modulo 113 come from the MLP; what attention adds directly is nothing."""
    one = interp.load(data / "grokking" / "wd_10-1_mod_addition_loss_curve.pth")
    found = circuits.logit_attribution(one, centred=True)
    share = dict(zip(found.names, (found.contributions / found.total).tolist(), strict=True))
    assert share["L0 mlp"] == pytest.approx(0.98953, abs=1e-4)
    assert found.error < 1e-10
