"""Values: means over named axes of named reference sets, and what does not fit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from circuits import Ablate, Add, Fixed, Mean, Remove, Resample, Zero, ablate, applied, intervene
from interp import Examples, InterpError, Site, Subject, capture, wrap
from interp.errors import UnknownName
from probes.basis import Basis
from tests.models import make, subject

POST = "blocks.0.mlp.hook_post"


def reached(one: Subject, inputs: Tensor, change: Ablate | Remove) -> Tensor:
    """The site's activation as the rest of the network sees it."""
    with torch.no_grad(), applied(one, change, strict=False):
        return capture(one.model, inputs, POST)[POST]


@pytest.mark.parametrize("name", ["train", "test", "all"])
@pytest.mark.parametrize("over", [("batch",), ("batch", "pos"), ("pos",)], ids=str)
def test_named_sets_are_the_tasks(name: str, over: tuple[str, ...]) -> None:
    """The mean of the examples of that name, whatever runs in the block; it is the same as of the tensor itself."""
    one = subject("plain")
    task = one.require_task()
    rows = {"train": task.train_indices, "test": task.test_indices, "all": torch.arange(len(task.inputs))}[name]
    reference = task.inputs[rows]
    dims = [("batch", "pos", "unit").index(a) for a in over]
    expected = capture(one.model, reference, POST)[POST].mean(dims, keepdim=True)
    inputs = task.inputs[: len(rows)] if "batch" not in over else task.inputs[:4]
    for given in (name, reference):
        found = reached(one, inputs, Ablate(POST, Mean(over, reference=given)))
        torch.testing.assert_close(found, expected.expand_as(found))


def test_a_mean_of_other_size_and_of_a_selection() -> None:
    """49 examples stand for one input; at one position, for two units, along a basis."""
    one = subject("plain")
    inputs = one.require_task().inputs
    acts, clean = capture(one.model, inputs, POST)[POST], capture(one.model, inputs[:1], POST)[POST]
    at = Site(POST, pos=-1, unit=[1, 4])
    expected = clean.clone()
    expected[:, -1, [1, 4]] = acts[:, -1, [1, 4]].mean(0)
    found = reached(
        one,
        inputs[:1],
        Ablate(
            at,
            Mean(
                (
                    "batch",
                    "pos",
                ),
                reference="all",
            ),
        ),
    )
    torch.testing.assert_close(found, expected)
    basis = Basis.random(3, 10, seed=0)
    found = reached(one, inputs[:1], Remove(POST, basis, Mean(reference="all")))
    torch.testing.assert_close(basis.coordinates(found), basis.coordinates(acts).mean(0, keepdim=True))
    torch.testing.assert_close(basis.remove(found), basis.remove(clean))


def test_the_reference_is_run_through_the_untouched_network() -> None:
    """An ablation before the site moves the batch's own mean, and not the reference's."""
    one = subject("two layers")
    inputs, later = one.require_task().inputs, "blocks.1.mlp.hook_post"
    clean = capture(one.model, inputs, later)[later].mean(0)
    for reference, same in ((inputs, True), (None, False)):
        with applied(one, [Ablate("blocks.0.hook_mlp_out", Zero()), Ablate(later, Mean(reference=reference))]):
            seen = capture(one.model, inputs, later)[later][0]
        assert torch.allclose(seen, clean) is same


def test_what_does_not_fit_is_named() -> None:
    """Sets that there are not, that are empty, of other lengths; a fixed tensor of another shape."""
    one = subject("plain")
    task = one.require_task()
    with pytest.raises(UnknownName, match="did you mean 'train'"):
        Mean(reference="trian")
    with pytest.raises(InterpError, match="reference set of a mean is empty"):
        Mean(reference=task.inputs[:0])
    everything = Subject("all", one.model, Examples(task.inputs, task.labels, readout=-1))
    with pytest.raises(InterpError, match="reference set 'test' of examples is empty"):
        ablate(everything, value=Mean(reference="test"))
    with (
        pytest.raises(InterpError, match="'train' is a task's"),
        applied(make("plain"), Ablate(POST, Mean(reference="train"))),
    ):
        pass
    shorter = Mean(reference=task.inputs[:, :2])
    with pytest.raises(InterpError, match="reference set is of another shape"):
        reached(one, task.inputs, Ablate(POST, shorter))
    with pytest.raises(InterpError, match=r"shape \[11\] does not broadcast"):
        ablate(one, value=Fixed(torch.ones(11)))
    with pytest.raises(InterpError, match="no axis 'row'"):
        ablate(one, value=Mean(("batch", "row")))


def test_values_are_data() -> None:
    """They compare by content and print what they were made of."""
    reference = torch.ones(3, 2)
    assert Mean(reference=reference) == Mean(reference=reference.clone()) != Mean()
    assert Mean("batch") == Mean(("batch",))
    assert len({Zero(), Zero(), Resample(1), Resample(1)}) == 2
    assert repr(Mean(reference=reference)) == "Mean(over=('batch',), reference=inputs[3, 2])"
    assert repr(Mean(reference="test")) == "Mean(over=('batch',), reference='test')"


def test_a_vector_has_a_number_per_channel_of_a_convolution() -> None:
    """Channels stand before rows and columns; with as many columns as channels, broadcasting would lie along the columns."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 5)).double()
    images, labels, vector = torch.rand(20, 1, 8, 8).double(), torch.randint(5, (20,)), torch.arange(8.0).double()
    one = Subject("conv", wrap(net, images), Examples(images, labels))
    maps = net[:2](images).detach()
    held = maps.clone()
    held[:, 3] = 3.0
    by_hand = {name: nn.functional.cross_entropy(net[2:](m), labels).item() for name, m in (
        ("added", maps + 2 * vector[:, None, None]), ("held", held))}  # fmt: skip
    part = Site("1.hook_out", unit=3)
    assert intervene(one, Add("1.hook_out", vector, 2.0))["changed"][0] == pytest.approx(by_hand["added"], abs=1e-12)
    assert intervene(one, Ablate(part, vector))["changed"][0] == pytest.approx(by_hand["held"], abs=1e-12)
    assert ablate(one, site="1.hook_out", value=vector)["loss"][3] == pytest.approx(by_hand["held"], abs=1e-12)
    with pytest.raises(InterpError, match=r"shape \[5\] does not broadcast over \[20, 8, 8, 8\]"):
        intervene(one, Add("1.hook_out", torch.ones(5)))
