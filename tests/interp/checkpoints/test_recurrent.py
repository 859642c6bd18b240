"""Recurrent networks in foreign names: the network that torch or numpy runs is the network that loads."""

from __future__ import annotations

import contextlib
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

import interp
from interp import HookedRNN, InterpError
from interp.checkpoints.formats.tensors import TensorRef
from interp.checkpoints.layouts import FileInfo
from interp.checkpoints.layouts.recurrent import LAYOUT
from interp.checkpoints.layouts.recurrent_cells import role
from interp.cli.commands.convert import convert
from interp.errors import AmbiguousLayout, UnknownLayout
from tests.conftest import ROOT

CASE = ROOT.parent / "shared" / "cases" / "rnn_cells_read_as_mlp" / "rnn.pt"
EXACT = {"rtol": 1e-10, "atol": 1e-10}
X = torch.randn(4, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TOKENS = torch.randint(0, 7, (4, 6), generator=torch.Generator().manual_seed(0))
V = torch.nn.functional.one_hot(TOKENS, 7).double()


def assert_same(path: Path, expected: Tensor, x: Tensor, options: str = "", **config: Any) -> interp.Subject:
    """The loaded network gives what was expected; so does the one that `interp convert` makes of it."""
    subject = interp.load(path, layout=f"recurrent{options}" if options else None, device="cpu")
    assert subject.provenance.layout == "recurrent"
    assert isinstance(subject.model, HookedRNN)
    assert expected.std(0).max() > 1e-3, "the network ignores its inputs, so the test would prove nothing"
    torch.testing.assert_close(subject.model(x).detach(), expected.detach(), **EXACT)
    for name, value in config.items():
        assert getattr(subject.model.config, name) == value, name
    again = path.with_name("converted.safetensors")
    convert(path, again, layout=f"recurrent{options}" if options else None, force=True)
    torch.testing.assert_close(interp.load(again, device="cpu").model(x), expected.detach(), rtol=1e-6, atol=1e-6)
    return subject


class Network(nn.Module):
    """An optional embedding, a recurrent module and an optional Linear, named as people name them."""

    def __init__(self, rnn: nn.RNNBase, d_out: int | None, embed: bool, read: str):
        super().__init__()
        self.read = read
        if embed:
            self.embedding = nn.Embedding(7, rnn.input_size)
        self.rnn = rnn
        if d_out is not None:
            self.fc = nn.Linear(rnn.hidden_size * (2 if rnn.bidirectional else 1), d_out)

    def forward(self, x: Tensor) -> Tensor:
        states, last = self.rnn(self.embedding(x) if hasattr(self, "embedding") else x)
        last = last[0] if isinstance(last, tuple) else last
        if self.read == "h_n":
            states = torch.cat([last[-2], last[-1]], -1) if self.rnn.bidirectional else last[-1]
        elif self.read == "last":
            states = states[:, -1]
        return self.fc(states) if hasattr(self, "fc") else states


MODULES: dict[str, Callable[..., nn.RNNBase]] = {
    "tanh": nn.RNN, "relu": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k), "gru": nn.GRU, "lstm": nn.LSTM,
}  # fmt: skip


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("layers", "both"), [(1, False), (2, False), (2, True)])
@pytest.mark.parametrize("kind", MODULES)
def test_torchs_modules(kind: str, layers: int, both: bool, bias: bool, suffix: str, tmp_path: Path) -> None:
    """Every kind, one and several layers, both directions, with and without biases; order of names kept and lost."""
    torch.manual_seed(1)
    rnn = MODULES[kind](5, 6, layers, bias=bias, bidirectional=both, batch_first=True)
    network = Network(rnn, 3, embed=False, read="h_n").double()
    path = tmp_path / f"file.{suffix}"
    (torch.save if suffix == "pt" else save_file)(network.state_dict(), path)
    options = ":act_fn=relu" if kind == "relu" else ""
    cell = "rnn" if kind in ("tanh", "relu") else kind
    assert_same(path, network(X), X, options, cell=cell, n_layers=layers, bidirectional=both, bias=bias, d_out=3)


@pytest.mark.parametrize(
    ("embed", "d_out", "read", "options"),
    [(True, 7, "each", ""), (True, 3, "last", ""), (False, 3, "each", ":read=each"), (False, None, "each", "")],
)  # fmt: skip
def test_embeddings_and_readouts(embed: bool, d_out: int | None, read: str, options: str, tmp_path: Path) -> None:
    """A language model reads each step, a classifier the last; without a read-out the states are the outputs."""
    torch.manual_seed(2)
    network = Network(nn.GRU(5, 6, batch_first=True), d_out, embed, read).double()
    torch.save({"model_state_dict": network.state_dict(), "epoch": 3}, tmp_path / "file.pt")
    x = TOKENS if embed else X
    subject = assert_same(tmp_path / "file.pt", network(x), x, options, read=read, d_out=d_out)
    said = " ".join(subject.provenance.notes)
    assert "initial state is assumed to be zero" in said
    assert ("outputs are read at" in said) == (not options)
    assert ("the outputs are the hidden states" in said) == (d_out is None)


def test_the_reverse_direction_is_read_where_the_user_says(tmp_path: Path) -> None:
    """h_n of both directions is a note, output[:, -1] an option; the two differ."""
    torch.manual_seed(3)
    network = Network(nn.LSTM(5, 6, batch_first=True, bidirectional=True), 3, False, "last").double()
    torch.save(network.state_dict(), tmp_path / "file.pt")
    assert_same(tmp_path / "file.pt", network(X), X, ":reverse_read=last")
    subject = interp.load(tmp_path / "file.pt", device="cpu")
    assert any("reverse_read=last" in n for n in subject.provenance.notes)
    assert not torch.allclose(subject.model(X), network(X))


def test_the_word_language_model_of_pytorch(tmp_path: Path) -> None:
    """encoder, rnn, decoder: an embedding and a read-out by shapes; a config beside says the activation."""
    torch.manual_seed(4)
    encoder, rnn, decoder = nn.Embedding(7, 5), nn.RNN(5, 6, 2, nonlinearity="relu", batch_first=True), nn.Linear(6, 7)
    network = nn.ModuleDict({"encoder": encoder, "rnn": rnn, "decoder": decoder}).double()
    torch.save({"state_dict": network.state_dict(), "args": {"rnn_type": "RNN_RELU"}}, tmp_path / "file.pt")
    subject = assert_same(tmp_path / "file.pt", decoder(rnn(encoder(TOKENS))[0]), TOKENS, act_fn="relu", read="each")
    assert not any("activation assumed" in n for n in subject.provenance.notes)


@pytest.mark.parametrize(("cls", "kind"), [(nn.RNNCell, "rnn"), (nn.GRUCell, "gru"), (nn.LSTMCell, "lstm")])
@pytest.mark.parametrize("names", [("cell1", "cell2"), ("cells.0", "cells.1")])
def test_torchs_cells(cls: Any, kind: str, names: tuple[str, str], tmp_path: Path) -> None:
    """Two cells on top of each other, stepped by hand."""
    torch.manual_seed(5)
    cells, linear = [cls(5, 6).double(), cls(6, 6).double()], nn.Linear(6, 3).double()
    state = {f"{n}.{k}": v for n, c in zip(names, cells, strict=True) for k, v in c.state_dict().items()}
    torch.save({**state, **{f"linear.{k}": v for k, v in linear.state_dict().items()}}, tmp_path / "file.pt")
    held: list[Any] = [None, None]
    for x in X.unbind(1):
        for i, cell in enumerate(cells):
            held[i] = cell(x, held[i])
            x = held[i][0] if kind == "lstm" else held[i]
    subject = assert_same(tmp_path / "file.pt", linear(x), X, cell=kind, n_layers=2)
    assert any(f"stacked in the order {names[0]} > {names[1]}" in n for n in subject.provenance.notes)


NAMES = [
    ("i2h.weight", "h2h.weight", "h2o.weight"),
    ("rnn.input_to_hidden.weight", "rnn.hidden_to_hidden.weight", "hidden_to_output.weight"),
    ("in2hid.weight", "hid2hid.weight", "hid2out.weight"),
    ("rnn.in2hidden.weight", "rnn.hidden2hidden.weight", "readout.weight"),
    ("W_ih.weight", "W_hh.weight", "W_ho.weight"),
    ("rnn.input2h.weight", "rnn.h2h.weight", "fc.weight"),
    ("input_layer.weight", "recurrent_layer.weight", "output_layer.weight"),
    ("linear_xh.weight", "linear_hh.weight", "decoder.weight"),
    ("x2h.weight", "h2h.weight", "out.weight"),
]


@pytest.mark.parametrize("act_fn", ["tanh", "relu"])
@pytest.mark.parametrize(
    "biased", [(True, True, True), (True, False, True), (False, True, False), (False, False, False)]
)
@pytest.mark.parametrize("names", NAMES)
def test_cells_of_linear_layers(
    names: tuple[str, str, str], biased: tuple[bool, ...], act_fn: str, tmp_path: Path
) -> None:
    """h = act(i2h(x) + h2h(h)), out(h), by every name; never a chain."""
    torch.manual_seed(6)
    layers = [nn.Linear(*s, bias=b).double() for s, b in zip(((5, 8), (8, 8), (8, 3)), biased, strict=True)]
    state = {
        name.replace("weight", k): v
        for name, layer in zip(names, layers, strict=True)
        for k, v in layer.state_dict().items()
    }
    save_file(state, tmp_path / "file.safetensors")
    h = torch.zeros(4, 8).double()
    for x in X.unbind(1):
        h = getattr(torch, act_fn)(layers[0](x) + layers[1](h))
    options = "" if act_fn == "tanh" else ":act_fn=relu"
    subject = assert_same(tmp_path / "file.safetensors", layers[2](h), X, options, cell="rnn", d_out=3, act_fn=act_fn)
    said = " ".join(subject.provenance.notes)
    assert f"h = act({names[0]} of the input + {names[1]} of the state before), then {names[2]}" in said
    assert ("activation assumed to be tanh" in said) == (act_fn == "tanh")


def test_stacked_cells_of_linear_layers(tmp_path: Path) -> None:
    """cells.0, cells.1: each reads the states of the one before."""
    torch.manual_seed(7)
    cells = nn.ModuleList(nn.ModuleDict({"i2h": nn.Linear(d, 6), "h2h": nn.Linear(6, 6)}) for d in (5, 6)).double()
    out = nn.Linear(6, 3).double()
    torch.save(nn.ModuleDict({"cells": cells, "out": out}).state_dict(), tmp_path / "file.pt")
    states = X
    for cell in cells:
        h, passed = torch.zeros(4, 6).double(), []
        for x in states.unbind(1):
            h = torch.tanh(cell["i2h"](x) + cell["h2h"](h))  # pyright: ignore[reportIndexIssue]
            passed.append(h)
        states = torch.stack(passed, 1)
    assert_same(tmp_path / "file.pt", out(states[:, -1]), X, n_layers=2)


def vanilla(seed: int = 8, n: int = 7, hidden: int = 6) -> dict[str, np.ndarray]:
    """The arrays of min-char-rnn (https://gist.github.com/karpathy/d4dee566867f8291f086): [out, in], biases [n, 1]."""
    rng = np.random.default_rng(seed)
    shapes = {"Wxh": (hidden, n), "Whh": (hidden, hidden), "Why": (n, hidden), "bh": (hidden, 1), "by": (n, 1)}
    return {name: rng.normal(size=shape) * 0.7 for name, shape in shapes.items()}


def run_vanilla(w: dict[str, np.ndarray]) -> Tensor:
    """Its forward pass, column by column."""
    outputs = np.zeros((4, 6, len(w["by"])))
    for b in range(4):
        h = np.zeros((len(w["bh"]), 1))
        for t in range(6):
            h = np.tanh(np.dot(w["Wxh"], V[b, t].numpy()[:, None]) + np.dot(w["Whh"], h) + w["bh"])
            outputs[b, t] = (np.dot(w["Why"], h) + w["by"])[:, 0]
    return torch.from_numpy(outputs)


@pytest.mark.parametrize("form", ["npz", "pkl"])
def test_min_char_rnn(form: str, tmp_path: Path) -> None:
    w = vanilla()
    path = tmp_path / f"file.{form}"
    if form == "npz":
        np.savez(path, **w)  # pyright: ignore[reportArgumentType]
    else:
        path.write_bytes(pickle.dumps(w))
    subject = assert_same(path, run_vanilla(w), V, d_in=7, d_hidden=6, d_out=7, read="each")
    assert any("W @ x, [out, in]" in n for n in subject.provenance.notes)


@pytest.mark.parametrize(
    "names",
    [("W_xh", "W_hh", "W_hq", "b_h", "b_q"), ("Wx", "Wh", "W_out", "b", "b_out"), ("W_in", "W_rec", "W_out", "b_rec", "b_out"),
     ("Wax", "Waa", "Wya", "ba", "by")],
)  # fmt: skip
def test_bare_matrices_the_other_way_round(names: tuple[str, ...], tmp_path: Path) -> None:
    """x @ W, as d2l.ai and numpy courses write it, told by the shapes; the square matrix goes with them, and that is said."""
    w = vanilla()
    arrays = [w["Wxh"].T, w["Whh"].T, w["Why"].T, w["bh"][:, 0], w["by"][:, 0]]
    np.savez(tmp_path / "file.npz", **dict(zip(names, arrays, strict=True)))
    subject = assert_same(tmp_path / "file.npz", run_vanilla(w), V)
    assert any("the square one too, read as x @ W" in n for n in subject.provenance.notes)


def test_square_matrices_are_asked_about(tmp_path: Path) -> None:
    """As many symbols as hidden units: both orientations fit, and give different networks."""
    w = vanilla(n=7, hidden=7)
    np.savez(tmp_path / "file.npz", **w)  # pyright: ignore[reportArgumentType]
    with pytest.raises(AmbiguousLayout, match="orientation=out_in"):
        interp.load(tmp_path / "file.npz")
    assert_same(tmp_path / "file.npz", run_vanilla(w), V, ":orientation=out_in")
    np.savez(tmp_path / "file.npz", **{n: a.T if n[0] == "W" else a for n, a in w.items()})
    assert_same(tmp_path / "file.npz", run_vanilla(w), V, ":orientation=in_out")


@pytest.mark.parametrize("names", [("x2h", "h2h"), ("input_to_hidden", "hidden_to_hidden")])
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_gated_cells_of_linear_layers_are_asked_about(kind: str, names: tuple[str, str], tmp_path: Path) -> None:
    """Three or four gates in one Linear layer: their order is the user's to say."""
    torch.manual_seed(11)
    module = (nn.GRUCell if kind == "gru" else nn.LSTMCell)(5, 8).double()
    state = {
        f"cell.{names[p == 'hh']}.{k}": getattr(module, f"{k}_{p}") for p in ("ih", "hh") for k in ("weight", "bias")
    }
    torch.save(state, tmp_path / "file.pt")
    with pytest.raises(AmbiguousLayout, match=f"{kind.upper()} made of Linear layers.*gates=torch"):
        interp.load(tmp_path / "file.pt")
    h: Any = None
    for x in X.unbind(1):
        h = module(x, h)
    assert_same(tmp_path / "file.pt", h[0] if kind == "lstm" else h, X, ":gates=torch,read=last", cell=kind)


@pytest.mark.parametrize("out", ["bare", "linear"])
def test_lists_of_bare_parameters_behind_an_embedding(out: str, tmp_path: Path) -> None:
    """W_xh.0, W_hh.0, b_h.0, as x @ W; the read-out is an nn.Linear, which maps the other way round, or bare too."""
    torch.manual_seed(12)
    W_xh, W_hh, b_h = (
        [torch.randn(5, 6).double(), torch.randn(6, 6).double()],
        torch.randn(2, 6, 6).double(),
        torch.randn(2, 6),
    )
    embedding, fc = nn.Embedding(7, 5).double(), nn.Linear(6, 3).double()
    states = embedding(TOKENS)
    for layer in range(2):
        h, passed = torch.zeros(4, 6).double(), []
        for x in states.unbind(1):
            h = torch.tanh(x @ W_xh[layer] + h @ W_hh[layer] + b_h[layer])
            passed.append(h)
        states = torch.stack(passed, 1)
    state = {f"{n}.{i}": w[i] for n, w in (("W_xh", W_xh), ("W_hh", W_hh), ("b_h", b_h.double())) for i in range(2)}
    linear = {"fc.weight": fc.weight, "fc.bias": fc.bias} if out == "linear" else {"W_hy": fc.weight.T, "b_y": fc.bias}
    torch.save({"embedding.weight": embedding.weight, **state, **linear}, tmp_path / "file.pt")
    assert_same(tmp_path / "file.pt", fc(states[:, -1]), TOKENS, n_layers=2, d_vocab=7)


@pytest.mark.parametrize("joined", ["input_hidden", "hidden_input"])
def test_one_matrix_over_input_and_state_joined(joined: str, tmp_path: Path) -> None:
    """i2h reads torch.cat of both: how they are joined is the user's to say."""
    torch.manual_seed(9)
    i2h, h2o = nn.Linear(13, 8).double(), nn.Linear(8, 3).double()
    torch.save(nn.ModuleDict({"i2h": i2h, "h2o": h2o}).state_dict(), tmp_path / "file.pt")
    with pytest.raises(AmbiguousLayout, match="5 inputs joined with the 8 hidden units.*linear_chain"):
        interp.load(tmp_path / "file.pt")
    h = torch.zeros(4, 8).double()
    for x in X.unbind(1):
        h = torch.tanh(i2h(torch.cat([x, h] if joined == "input_hidden" else [h, x], -1)))
    assert_same(tmp_path / "file.pt", h2o(h), X, f":joined={joined}", d_in=5)


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_learned_initial_states(kind: str, tmp_path: Path) -> None:
    """h0, and c0 of an LSTM, with or without an axis for the batch."""
    torch.manual_seed(10)
    cls = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[kind]
    network = Network(cls(5, 6, 2, batch_first=True), 3, False, "h_n").double()
    starts = {"h0": torch.randn(2, 1, 6).double(), **({"c0": torch.randn(2, 6).double()} if kind == "lstm" else {})}
    torch.save({**network.state_dict(), **starts}, tmp_path / "file.pt")
    h = starts["h0"].expand(2, 4, 6).contiguous()
    start = (h, starts["c0"][:, None].expand(2, 4, 6).contiguous()) if kind == "lstm" else h
    expected = network.fc(network.rnn(X, start)[0][:, -1])
    subject = assert_same(tmp_path / "file.pt", expected, X, learned_start=True)
    assert not any("initial state" in n for n in subject.provenance.notes)


def linears(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {f"{n.replace('__', '.')}": torch.randn(s, generator=generator) for n, s in shapes.items()}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (linears(i2h__weight=(8, 5), h2h__weight=(8, 8), actor__weight=(3, 8), critic__weight=(1, 8)), "actor.weight, critic"),
        (linears(i2h__weight=(8, 5), h2h__weight=(8, 8), norm__weight=(8,)), "no place for: norm.weight"),
        (linears(W_xh=(7, 6), W_hh=(6, 6), W_xz=(7, 6), W_hz=(6, 6)), "several matrices besides"),
        (linears(W_ih=(5, 12), W_hh=(6, 12), bias=(12,)), "3 or 4 gates"),
        (linears(h2h__weight=(8, 8), out__weight=(3, 8)), "recurrent: h2h.weight, from the input: none"),
        ({f"encoder.{k}": v for k, v in nn.GRU(5, 6).state_dict().items()}
         | {f"decoder.{k}": v for k, v in nn.GRU(5, 6).state_dict().items()}, "an encoder and a decoder"),
        (dict(nn.LSTM(5, 6, proj_size=3).state_dict()), "proj_size"),
        (linears(rnn__weight_ih_l0=(12, 5), rnn__weight_hh_l0=(12, 6)), "neither 1, 3 nor 4 blocks"),
        ({f"a.{k}": v for k, v in nn.GRU(5, 6).state_dict().items()}
         | {f"b.{k}": v for k, v in nn.GRU(5, 6).state_dict().items()}, "do not stack as layer 1"),
        (linears(rnn__weight_ih_l0=(18, 5), rnn__bias_ih_l0=(18,)), "weight_hh of layer 0 is missing"),
        (linears(i2h__weight=(8, 5), h2h__weight=(8, 8), out__weight=(3, 9)), "shapes do not fit together"),
    ],
)  # fmt: skip
def test_what_is_no_such_network_is_refused(state: dict[str, Tensor], message: str, tmp_path: Path) -> None:
    """Named, and read as nothing else."""
    torch.save(state, tmp_path / "file.pt")
    with pytest.raises(UnknownLayout, match=message):
        interp.load(tmp_path / "file.pt", layout="recurrent")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("act_fn=rleu", "relu"),
        ("read=first", "read must be one of last, each"),
        ("n_ctx=0", "n_ctx must be a whole number"),
        ("joined=input_hidden", "this file has two"),
        ("orientation=in_out", "do not fit orientation=in_out"),
        ("activation=relu", "act_fn"),
    ],
)
def test_options_that_do_not_fit(options: str, message: str, tmp_path: Path) -> None:
    torch.save(linears(i2h__weight=(8, 5), h2h__weight=(8, 8)), tmp_path / "file.pt")
    with pytest.raises(InterpError, match=message):
        interp.load(tmp_path / "file.pt", layout=f"recurrent:{options}")
    torch.save(dict(nn.GRU(5, 6).state_dict()), tmp_path / "gru.pt")
    with pytest.raises(InterpError, match="functions are fixed"):
        interp.load(tmp_path / "gru.pt", layout="recurrent:act_fn=relu")


FUZZED = [
    *(f"rnn.{part}_{way}_l0" for part in ("weight", "bias") for way in ("ih", "hh")),
    *(f"{n}.{part}" for n in ("i2h", "h2h", "h2o", "fc") for part in ("weight", "bias", "kernel")),
    *(
        "rnn.weight_ih_l0_reverse",
        "weight_ih",
        "weight_hh",
        "Wxh",
        "Whh",
        "Why",
        "bh",
        "by",
        "b",
        "W_xh.0",
        "W_hh.0",
        "W_hh.1",
    ),
    *("h0", "c0", "embedding.weight"),
]


@pytest.mark.parametrize("seed", range(0, 2000, 100))
def test_any_names_and_shapes_are_a_network_or_a_message(seed: int) -> None:
    """Nothing but InterpError, whatever tensors bear these names."""
    for one in range(seed, seed + 100):
        try_names_and_shapes(random.Random(one))


def try_names_and_shapes(rng: random.Random) -> None:
    hidden, width = rng.choice([0, 1, 2, 6]), rng.choice([1, 3, 6])
    matrices = [
        (hidden, hidden),
        (hidden, width),
        (width, hidden),
        (3 * hidden, width),
        (3 * hidden, hidden),
        (hidden, 1),
    ]
    shapes = [*matrices, (), (hidden,), (hidden, 4 * hidden), (1, hidden, hidden), (4 * hidden,)]
    weights = {n: TensorRef.of(torch.zeros(rng.choice(shapes))) for n in rng.sample(FUZZED, rng.randint(1, 5))}
    values = ["tanh", "last", "each", "out_in", "in_out", "input_hidden", "torch", 0, 3, None, 1.5]
    options = {name: rng.choice(values) for name in LAYOUT.options if rng.random() < 0.15}
    with contextlib.suppress(InterpError):
        if LAYOUT.matches(weights, FileInfo()).ok:
            converted = LAYOUT.convert(weights, FileInfo(), options)
            HookedRNN.from_weights(converted.config, converted.weights)


def test_steps_with_hook_points_of_their_own(tmp_path: Path) -> None:
    torch.save(linears(i2h__weight=(8, 5), h2h__weight=(8, 8)), tmp_path / "file.pt")
    model = interp.load(tmp_path / "file.pt", layout="recurrent:n_ctx=3", device="cpu").model
    assert [n for n in model.hook_dict if "hook_step" in n] == [f"layers.0.hook_step.{t}" for t in range(3)]


@pytest.mark.parametrize(
    "name",
    ["hidden.weight", "hidden_layers.0.weight", "h.0.weight", "blocks.0.attn.W_O", "fc1.weight", "hidden_1.weight"],
)
def test_names_that_do_not_speak_of_recurrence(name: str) -> None:
    """MLPs and transformers have hidden layers too."""
    assert role(name) != "hidden"


def test_the_case(tmp_path: Path) -> None:
    """Against the loop of its README; its names are never read as a chain."""
    if not CASE.is_file():
        pytest.skip("shared/cases is absent")
    w = {k: v.double() for k, v in torch.load(CASE, weights_only=True).items()}
    subject = interp.load(CASE, dtype="float64", device="cpu")
    h = torch.zeros(4, 8).double()
    for x in X.unbind(1):
        i2h, h2h = (F.linear(a, w[f"{n}.weight"], w[f"{n}.bias"]) for n, a in (("i2h", x), ("h2h", h)))
        h = torch.tanh(i2h + h2h)
    torch.testing.assert_close(subject.model(X), F.linear(h, w["out.weight"], w["out.bias"]), **EXACT)


@pytest.mark.parametrize("read", ["last", "each"])
def test_analyze_ends_well(read: str, tmp_path: Path) -> None:
    """On recurrent networks without a task and with one: no analysis fails, and those of weights have results."""
    torch.manual_seed(0)
    torch.save(Network(nn.GRU(5, 6, batch_first=True), 3, True, "h_n").state_dict(), tmp_path / "file.pt")
    subject = interp.load(tmp_path / "file.pt", layout=f"recurrent:read={read}", device="cpu")
    labels = TOKENS.sum(1) % 3
    task = interp.Examples(TOKENS, labels, train=[0, 1, 2], readout=-1 if read == "each" else None)
    for one in (subject, interp.Subject("with a task", subject.model, task)):
        outcomes = interp.analyze(one)
        assert {o.name: o.error for o in outcomes.values() if o.status == "failed"} == {}
        done = {o.name for o in outcomes.values() if o.status == "ok"}
        assert {"weights", "svd"} <= done
        assert one.task is None or "performance" in done
