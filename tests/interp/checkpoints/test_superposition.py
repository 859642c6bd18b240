"""The toy model of superposition in the files of others: as its formula in plain torch says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import interp
from interp import HookedToyModel, InterpError
from interp.checkpoints.layouts import layouts
from interp.cli.commands.convert import convert
from interp.errors import AmbiguousLayout, UnknownLayout

X = torch.rand(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def drawn(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def reconstruct(W: Tensor, b: Tensor, x: Tensor = X) -> Tensor:
    """ReLU(W^T W x + b), W [hidden, feature]."""
    return torch.stack([(W.T @ (W @ row) + b).clamp(min=0) for row in x])


def assert_same(path: Path, expected: Tensor, options: str = "", x: Tensor = X) -> interp.Subject:
    subject = interp.load(path, layout=f"superposition:{options}" if options else None, device="cpu")
    assert isinstance(subject.model, HookedToyModel)
    assert subject.provenance.layout == "superposition"
    torch.testing.assert_close(subject.model(x).detach(), expected, rtol=1e-10, atol=1e-12)
    convert(
        path, path.with_name("again.safetensors"), layout=f"superposition:{options}" if options else None, force=True
    )
    again = interp.load(path.with_name("again.safetensors"), device="cpu").model
    torch.testing.assert_close(again(x).detach(), expected, rtol=1e-6, atol=1e-6)
    return subject


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("bias", ["b_final", "bias"])
def test_one_network(bias: str, turned: bool, tmp_path: Path) -> None:
    """The bias is as long as the features' axis, so the orientation is known."""
    W, b = drawn(2, 5), drawn(5, seed=2)
    torch.save({"W": W.T if turned else W, bias: b}, tmp_path / "file.pt")
    subject = assert_same(tmp_path / "file.pt", reconstruct(W, b))
    assert any("tied" in note and "act_fn=identity" in note for note in subject.provenance.notes)


@pytest.mark.parametrize("turned", [False, True])
def test_a_stack_of_instances(turned: bool, tmp_path: Path) -> None:
    """As the authors' notebook ([instance, feature, hidden]) and its successors have it: one is chosen, and which is said."""
    W, b, importance = drawn(4, 2, 5), drawn(4, 5, seed=2), drawn(4, 5)
    torch.save({"W": W.mT if turned else W, "b_final": b, "importance": importance}, tmp_path / "file.pt")
    subject = assert_same(tmp_path / "file.pt", reconstruct(W[0], b[0]))
    assert any("stacks 4 instances; this is number 0" in note for note in subject.provenance.notes)
    assert subject.provenance.extra_tensors == ("importance",)
    assert_same(tmp_path / "file.pt", reconstruct(W[3], b[3]), "instance=3")
    with pytest.raises(InterpError, match="from 0 to 3"):
        interp.load(tmp_path / "file.pt", layout="superposition:instance=4")


def test_what_is_ambiguous_is_asked(tmp_path: Path) -> None:
    """A square W, and W and b that may be a single linear layer."""
    W, b = drawn(5, 5), drawn(5, seed=2)
    torch.save({"W": W, "b_final": b}, tmp_path / "file.pt")
    with pytest.raises(AmbiguousLayout, match="orientation=hidden_features"):
        interp.load(tmp_path / "file.pt")
    assert_same(tmp_path / "file.pt", reconstruct(W, b), "orientation=hidden_features")
    assert_same(tmp_path / "file.pt", reconstruct(W.T, b), "orientation=features_hidden")
    torch.save({"W": drawn(2, 5), "b": b}, tmp_path / "file.pt")
    with pytest.raises(AmbiguousLayout, match="single linear layer.*tied=yes"):
        interp.load(tmp_path / "file.pt", layout="superposition")
    assert_same(tmp_path / "file.pt", reconstruct(drawn(2, 5), b), "tied=yes")
    torch.save({"W": drawn(8, 5), "bias": b}, tmp_path / "wide.pt")  # more outputs than inputs, or a linear layer
    with pytest.raises(AmbiguousLayout, match="single linear layer"):
        interp.load(tmp_path / "wide.pt", layout="superposition")


def test_the_linear_model(tmp_path: Path) -> None:
    W, b = drawn(2, 5), drawn(5, seed=2)
    torch.save({"W": W, "b_final": b}, tmp_path / "file.pt")
    model = interp.load(tmp_path / "file.pt", layout="superposition:act_fn=identity", device="cpu").model
    torch.testing.assert_close(model(X).detach(), X @ W.T @ W + b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"W": drawn(2, 5), "b_final": drawn(4)}, "neither axis of W"),
        ({"W": drawn(2, 5), "b_final": drawn(5), "V": drawn(5, 2)}, "nothing else"),
        ({"W": drawn(3, 2, 5), "b_final": drawn(2, 5)}, "neither axis of W"),
    ],
)
def test_other_tensors_do_not_fit(state: dict[str, Tensor], message: str, tmp_path: Path) -> None:
    torch.save(state, tmp_path / "file.pt")
    with pytest.raises(UnknownLayout, match=message):
        interp.load(tmp_path / "file.pt", layout="superposition")
    assert {"recurrent", "superposition"} <= set(layouts())


def test_analyze_ends_well(tmp_path: Path) -> None:
    """Without a task and with its own: no analysis fails."""
    torch.save({"W": drawn(2, 5), "b_final": drawn(5)}, tmp_path / "file.pt")
    task = "superposition:n_train=200,n_test=50"
    for one in (
        interp.load(tmp_path / "file.pt", device="cpu"),
        interp.load(tmp_path / "file.pt", task=task, device="cpu"),
    ):
        outcomes = interp.analyze(one)
        assert {o.name: o.error for o in outcomes.values() if o.status == "failed"} == {}
        done = {o.name for o in outcomes.values() if o.status == "ok"}
        assert {"weights", "svd"} <= done
        assert one.task is None or "performance" in done
