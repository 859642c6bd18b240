"""Chains of linear layers: the network that torch runs is the network that loads."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

import interp
from interp.errors import AmbiguousLayout, InterpError, UnknownLayout

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
}


def sequential(widths: list[int], biases: list[bool], act_fn: str = "relu") -> nn.Sequential:
    """Linear layers with an activation between them, and none after the last."""
    layers: list[nn.Module] = []
    for i, bias in enumerate(biases):
        layers += [nn.Linear(widths[i], widths[i + 1], bias=bias), ACTIVATIONS[act_fn]()]
    return nn.Sequential(*layers[:-1]).double()


def assert_same_network(path: Path, network: Callable[[Tensor], Tensor], x: Tensor, layout: str | None = None) -> Any:
    """The loaded model gives what torch gives; the subject is handed on."""
    subject = interp.load(path, layout=layout, device="cpu")
    expected = network(x)
    assert expected.std(0).max() > 0, "the network ignores its inputs, so the test would prove nothing"
    torch.testing.assert_close(subject.model(x), expected, rtol=1e-6, atol=1e-8)
    return subject


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(data=st.data())
def test_any_sequential_network(data: st.DataObject, tmp_path: Path) -> None:
    """Any depth, any widths, biases or none, any activation: the orientation is said, since both may fit."""
    widths = data.draw(st.lists(st.integers(1, 5), min_size=3, max_size=6))
    biases = data.draw(st.lists(st.booleans(), min_size=len(widths) - 1, max_size=len(widths) - 1))
    act_fn = data.draw(st.sampled_from(sorted(ACTIVATIONS)))
    torch.manual_seed(data.draw(st.integers(0, 5)))
    network, x = sequential(widths, biases, act_fn), torch.randn(6, widths[0], dtype=torch.float64)
    torch.save(network.state_dict(), tmp_path / "file.pt")
    subject = interp.load(tmp_path / "file.pt", layout=f"linear_chain:orientation=out_in,act_fn={act_fn}", device="cpu")
    torch.testing.assert_close(subject.model(x), network(x))
    assert subject.model.config.hidden == tuple(widths[1:-1])


@pytest.mark.parametrize("biases", [[True, True, True], [True, False, True], [False, False, False]])
def test_a_chain_is_recognised(biases: list[bool], saved: Callable) -> None:
    """Without a word from the user; the activation that was assumed is noted."""
    network = sequential([3, 6, 5, 2], biases)
    subject = assert_same_network(saved(network.state_dict()), network, torch.randn(9, 3, dtype=torch.float64))
    assert subject.provenance.layout == "linear_chain"
    assert any("ReLU (assumed)" in warning for warning in subject.warnings)


def test_a_config_that_names_the_activation_is_heard(saved: Callable) -> None:
    """Nothing is assumed then; the reading is still said."""
    network = sequential([3, 6, 2], [True, True], "tanh")
    path = saved({"model": network.state_dict(), "config": {"act_fn": "tanh"}})
    subject = assert_same_network(path, network, torch.randn(9, 3, dtype=torch.float64))
    assert subject.provenance.notes == (
        "read as a chain of linear layers: 0 > 2; matrices [out, in], as nn.Linear keeps them, tanh between the layers",
    )
    assert subject.warnings == []


def test_matrices_stored_in_out(saved: Callable) -> None:
    """The other orientation, where shapes decide."""
    network = sequential([3, 6, 5, 2], [True] * 3)
    tensors = {n: (t.T.contiguous() if t.ndim == 2 else t) for n, t in network.state_dict().items()}
    assert_same_network(saved(tensors), network, torch.randn(9, 3, dtype=torch.float64))


class Named(nn.Module):
    """Layers named by an author, in the order in which they run."""

    def __init__(self, **layers: nn.Module):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        *hidden, last = self.children()
        for layer in hidden:
            x = torch.relu(layer(x))
        return last(x)


def deep(depth: int = 12) -> Named:
    """As many layers of one width as make the alphabet put the tenth before the second."""
    hidden = {f"fc{i}": nn.Linear(6, 6) for i in range(2, depth + 1)}
    return Named(fc1=nn.Linear(4, 6), **hidden, out=nn.Linear(6, 3)).double()


NETWORKS: dict[str, Callable[[], Named]] = {
    "fc1 fc2": lambda: Named(fc1=nn.Linear(4, 6), fc2=nn.Linear(6, 5)).double(),
    "words": lambda: Named(stem=nn.Linear(4, 6), middle=nn.Linear(6, 6), head=nn.Linear(6, 3)).double(),
    "input hidden output": lambda: Named(
        input=nn.Linear(6, 6), hidden=nn.Linear(6, 6), output=nn.Linear(6, 3)
    ).double(),
    "twelve": deep,
}  # fmt: skip
WRITERS: dict[str, Callable[[dict[str, Tensor], Path], object]] = {
    "file.pt": torch.save,
    "file.safetensors": save_file,
    "file.npz": lambda tensors, path: np.savez(path, **{n: t.numpy() for n, t in tensors.items()}),
}


@pytest.mark.parametrize("file", WRITERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_named_layers_run_in_their_order(network: str, file: str, tmp_path: Path) -> None:
    """A safetensors file sorts its names by the alphabet; where that is not an order of a network, say so or find it."""
    torch.manual_seed(0)
    model = NETWORKS[network]()
    WRITERS[file](model.state_dict(), tmp_path / file)
    x = torch.randn(9, next(model.parameters()).shape[1], dtype=torch.float64)
    try:
        loaded = interp.load(tmp_path / file, device="cpu").model
    except InterpError:
        assert file == "file.safetensors", "the order is kept in this format"
        return
    torch.testing.assert_close(loaded(x), model(x))


class Embedded(nn.Module):
    """Two tokens, embedded by one table, concatenated or summed."""

    def __init__(self, concat: bool):
        super().__init__()
        self.concat = concat
        self.embedding = nn.Embedding(7, 4)
        self.hidden = nn.Linear(8 if concat else 4, 6)
        self.readout = nn.Linear(6, 7)
        self.double()

    def forward(self, tokens: Tensor) -> Tensor:
        embedded = self.embedding(tokens)
        x = embedded.flatten(1) if self.concat else embedded.sum(1)
        return self.readout(torch.relu(self.hidden(x)))


@pytest.mark.parametrize("file", WRITERS)
@pytest.mark.parametrize("concat", [True, False])
def test_a_chain_behind_an_embedding(concat: bool, file: str, tmp_path: Path) -> None:
    """As wide as two embeddings, they were concatenated; as wide as one, summed, which is noted."""
    network = Embedded(concat)
    WRITERS[file](network.state_dict(), tmp_path / file)
    subject = assert_same_network(tmp_path / file, network, torch.randint(7, (9, 2)))
    assert subject.model.config.combine == ("concat" if concat else "sum")
    assert any("summed" in note for note in subject.provenance.notes) is not concat


AMBIGUOUS = {
    "square": ([4, 4, 4], [True, True]),
    "there and back": ([3, 5, 3], [False, False]),
    "square without biases": ([4, 4, 4, 4], [False] * 3),
}


@pytest.mark.parametrize("orientation", ["out_in", "in_out"])
@pytest.mark.parametrize("shape", AMBIGUOUS)
def test_where_both_orientations_fit_the_user_is_asked(shape: str, orientation: str, saved: Callable) -> None:
    """The message names the option; each answer gives the network that it names."""
    widths, biases = AMBIGUOUS[shape]
    network = sequential(widths, biases)
    tensors = OrderedDict(network.state_dict())
    if orientation == "in_out":
        tensors = OrderedDict((n, t.T.contiguous() if t.ndim == 2 else t) for n, t in tensors.items())
    path, x = saved(tensors), torch.randn(9, widths[0], dtype=torch.float64)
    with pytest.raises(AmbiguousLayout, match="orientation=out_in"):
        interp.load(path, device="cpu")
    assert_same_network(path, network, x, layout=f"linear_chain:orientation={orientation}")
    other = {"out_in": "in_out", "in_out": "out_in"}[orientation]
    wrong = interp.load(path, layout=f"linear_chain:orientation={other}", device="cpu").model
    assert wrong.config.d_in != widths[0] or not torch.allclose(wrong(x), network(x))


def test_an_orientation_that_does_not_chain(saved: Callable) -> None:
    """And one that does not exist."""
    path = saved(sequential([3, 6, 5, 2], [True] * 3).state_dict())
    with pytest.raises(UnknownLayout, match="do not chain with orientation=in_out"):
        interp.load(path, layout="linear_chain:orientation=in_out", device="cpu")
    with pytest.raises(InterpError, match="orientation must be one of out_in, in_out, got 'up'"):
        interp.load(path, layout="linear_chain:orientation=up", device="cpu")


NOT_CHAINS: dict[str, nn.Module] = {
    "a norm between": nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 3)),
    "running statistics": nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)),
    "widths that do not meet": nn.ModuleList([nn.Linear(4, 6), nn.Linear(5, 3)]),
    "convolutions": nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)),
    "a recurrent network with a projection": nn.LSTM(3, 4, proj_size=2),
    "attention": nn.MultiheadAttention(4, 2),
}


@pytest.mark.parametrize("module", NOT_CHAINS.values(), ids=NOT_CHAINS)
def test_other_networks_are_not_taken_for_chains(module: nn.Module, saved: Callable) -> None:
    """Every key and shape is listed."""
    with pytest.raises(UnknownLayout) as caught:
        interp.load(saved(module.state_dict()), device="cpu")
    assert all(f"{name} {list(t.shape)}" in str(caught.value) for name, t in module.state_dict().items())


def test_a_layer_left_out_by_its_name_is_never_missing_in_silence(saved: Callable) -> None:
    """The last layer of many a model is called ``generator``."""
    torch.manual_seed(0)
    network = Named(fc1=nn.Linear(4, 6), fc2=nn.Linear(6, 6), generator=nn.Linear(6, 3)).double()
    assert_same_network(saved(network.state_dict()), network, torch.randn(9, 4, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64], ids=str)
def test_weights_that_are_no_floats_are_an_error_of_the_file(dtype: torch.dtype, saved: Callable) -> None:
    """No network of ours has such weights; the message names the file, and says what to do where something can be done."""
    with pytest.raises(InterpError, match=r"file\.pt"):
        interp.load(saved({"a.weight": torch.ones(2, 3).to(dtype), "a.bias": torch.zeros(2).to(dtype)}), device="cpu")


def test_nothing_is_missing_where_a_bias_is(saved: Callable) -> None:
    """A hidden layer without a bias among layers with one adds nothing, exactly."""
    network = sequential([3, 4, 5, 2], [True, False, True])
    model = interp.load(saved(network.state_dict()), device="cpu").model
    assert torch.equal(model.layers[1].b, torch.zeros(5, dtype=torch.float64))


def test_a_single_layer(saved: Callable) -> None:
    """The state dict of an nn.Linear itself, under torch's own names."""
    layer = nn.Linear(3, 5).double()
    assert_same_network(saved(layer.state_dict()), layer, torch.randn(4, 3, dtype=torch.float64))


KEPT: dict[str, Callable[[list[Any], list[Any]], Any]] = {
    "lists side by side": lambda w, b: {"sizes": [4, 6, 3], "weights": w, "biases": b},
    "columns, as in Nielsen's book": lambda w, b: {"weights": [m.T for m in w], "biases": [v[:, None] for v in b]},
    "W and b": lambda w, b: {"W": w, "b": b},
    "dicts in a list": lambda w, b: [{"weights": m, "biases": v} for m, v in zip(w, b, strict=True)],
    "dicts in a list under a key": lambda w, b: {"layers": [{"W": m, "b": v} for m, v in zip(w, b, strict=True)]},
}


@pytest.mark.parametrize("name", KEPT)
def test_layers_in_lists_keep_their_biases(name: str, tmp_path: Path) -> None:
    """Networks in numpy or JAX: the biases stand in another list, or each layer in a dict of its own."""
    rng = np.random.default_rng(0)
    w, b = [rng.normal(size=s) for s in ((4, 6), (6, 3))], [rng.normal(size=n) for n in (6, 3)]
    (tmp_path / "net.pkl").write_bytes(pickle.dumps(KEPT[name](w, b)))
    x = torch.from_numpy(rng.normal(size=(7, 4)))
    expected = torch.from_numpy(np.tanh(x.numpy() @ w[0] + b[0]) @ w[1] + b[1])
    assert_same_network(tmp_path / "net.pkl", lambda _: expected, x, "linear_chain:act_fn=tanh")


def test_dicts_of_one_shape_in_a_list_are_asked_about(tmp_path: Path) -> None:
    """They may be three layers, or three trainings of one."""
    (tmp_path / "net.pkl").write_bytes(pickle.dumps([{"w": np.ones((3, 3)), "b": np.ones(3)} for _ in range(3)]))
    with pytest.raises(InterpError, match="several sets of weights"):
        interp.load(tmp_path / "net.pkl")


def test_a_layer_called_embedding_that_has_a_bias_is_no_table(tmp_path: Path) -> None:
    """nn.Embedding has none: read as a table, its bias would be gone and its inputs would be tokens."""
    torch.manual_seed(0)
    net = nn.ModuleDict({"embed": nn.Linear(4, 8), "out": nn.Linear(8, 3)}).double()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    x = torch.randn(6, 4, dtype=torch.float64)
    assert_same_network(tmp_path / "net.pt", lambda x: net["out"](net["embed"](x).relu()), x)
