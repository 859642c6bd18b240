"""Stitching: exact for copies in other coordinates, bad for random networks, and equal to PyTorch written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import circuits
import interp
from circuits.two_networks.affine_map import AffineMap
from interp import Subject
from interp.errors import InterpError, UnknownName
from probes.similarity.products import products
from tests.circuits.cppns import dense
from tests.circuits.two_networks.planted import LAYER, network, rotated, taught, with_units
from tests.models import subject as modular


def test_a_permuted_copy_stitches_exactly() -> None:
    own = taught(network())
    copy = with_units(own, [3, 1, 0, 2, 7, 6, 5, 4], "permuted")
    rows = circuits.stitch(own, copy, n_random=2).rows
    assert rows["sender"].tolist() == ["mlp 0", "permuted"]
    np.testing.assert_allclose(rows["loss"], rows["clean_loss"], atol=1e-8)
    np.testing.assert_allclose(rows["explained"], 1, atol=1e-9)
    assert (rows["accuracy"] == rows["clean_accuracy"]).all()
    assert (rows["random_loss"] > rows["clean_loss"] + 0.01).all()
    assert rows["beyond_random"].all()


def test_a_mixed_layer_of_a_wrapped_module_stitches_exactly() -> None:
    plain, mixed = rotated()
    found = circuits.stitch(plain, mixed, "2.hook_out")
    np.testing.assert_allclose(found.rows["loss"], found.rows["clean_loss"], atol=1e-8)
    assert found.rows["random_loss"].isna().all()
    assert "no random networks" in found.summary["notes"]


def test_the_map_is_least_squares() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(40, d, generator=generator, dtype=torch.float64) for d in (5, 3))
    found = AffineMap.fitted(products(x, y))
    ones = np.concatenate([x.numpy(), np.ones((40, 1))], 1)
    weight = np.linalg.lstsq(ones, y.numpy(), rcond=None)[0]
    np.testing.assert_allclose(torch.cat([found.weight, found.bias[None]]), weight, atol=1e-10)


def test_a_ridge_shrinks_the_map() -> None:
    x = torch.randn(40, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    made = products(x, x @ torch.ones(5, 2).double())
    centred = x - x.mean(0)
    gram = centred.T @ centred
    wanted = torch.linalg.solve(gram + 0.5 * gram.diagonal().mean() * torch.eye(5), gram @ torch.ones(5, 2).double())
    torch.testing.assert_close(AffineMap.fitted(made, 0.5).weight, wanted)


@pytest.mark.parametrize("site", ["blocks.0.hook_resid_post", "blocks.1.mlp.hook_post"])
def test_other_architectures_and_plain_pytorch(site: str) -> None:
    """An MLP's layer in a transformer, also before the last block: hooks on the whole model give the same numbers."""
    sender, into = modular("shared concat"), modular("two layers")
    found = circuits.stitch(sender, into, LAYER, site, n_random=1, direction="a_to_b")
    row, fitted = found.rows.iloc[0], found.maps["shared concat", LAYER, "two layers", site]
    task = into.require_task()
    _, cache = sender.model.run_with_cache(sender.require_task().inputs)
    put = cache[LAYER] @ fitted.weight + fitted.bias

    def replace_last(activation: Tensor, hook: object) -> Tensor:
        changed = activation.clone()
        changed[:, -1] = put
        return changed

    logits = into.model.run_with_hooks(task.inputs, fwd_hooks=[(site, replace_last)])[:, -1, :7]
    test = task.test_indices
    expected = torch.nn.functional.cross_entropy(logits[test], task.labels[test])
    assert row["loss"] == pytest.approx(expected.item(), abs=1e-10)
    assert row["accuracy"] == (logits.argmax(-1) == task.labels)[test].double().mean().item()
    assert row["clean_loss"] == pytest.approx(interp.score(task, into.logits()).test.loss)


def test_all_pairs_of_layers() -> None:
    found = circuits.stitch(modular("deep"), modular("shared sum"), "all", direction="a_to_b", n_random=1)
    assert found.matrix().shape == (3, 2)
    one = circuits.stitch(
        modular("deep"), modular("shared sum"), "layers.1.hook_post", LAYER, direction="a_to_b", n_random=1
    )
    assert found.matrix("loss").loc["layers.1.hook_post", LAYER] == pytest.approx(one.rows["loss"].iloc[0], rel=1e-12)
    assert found.figure().data[0].type == "heatmap"


def test_a_constant_and_a_random_layer_do_not_compute() -> None:
    """The network that has learnt addition stitches to itself; random networks' layers and the mean do not."""
    demo = interp.load(Path(interp.__file__).parent / "demo" / "run")
    row = circuits.stitch(demo, demo, n_random=2, direction="a_to_b").rows.iloc[0]
    assert row["accuracy"] == row["clean_accuracy"] == 1
    assert row["random_accuracy_high"] < 0.1
    assert row["constant_accuracy"] < 0.15
    assert row["relative"] == pytest.approx(1)


def test_pictures_are_judged_by_the_receivers_own() -> None:
    one, other = (Subject(n, dense("2;sin:2,gaussian:2", seed)) for n, seed in (("one", 0), ("other", 1)))
    rows = circuits.stitch(one, other, n_inputs=100, n_random=2).rows
    assert (rows["clean_loss"] == 0).all()
    differ = (one.model.draw(10).pixels - other.model.draw(10).pixels).square().flatten(0, 1).mean(1)
    judged = torch.randperm(100, generator=torch.Generator().manual_seed(0))[50:]
    assert rows["sender_loss"].tolist() == pytest.approx([float(differ[judged].mean())] * 2)
    same = circuits.stitch(one, one, n_inputs=100, n_random=1).rows
    np.testing.assert_allclose(same["loss"], 0, atol=1e-12)


def test_few_examples_are_told() -> None:
    found = circuits.stitch(modular("shared concat"), modular("shared concat", 1), n_random=0, n_inputs=20)
    assert "fits noise" in found.summary["notes"]


def test_wrong_arguments() -> None:
    own = network()
    with pytest.raises(UnknownName, match="a_to_b"):
        circuits.stitch(own, own, direction="ab")  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="leave out site_b"):
        circuits.stitch(own, own, "all", LAYER)
    with pytest.raises(InterpError, match="ridge"):
        circuits.stitch(own, own, ridge=-1)
