"""A small file in every layout, written by torch, numpy or the standard library, with what its network computes."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import interp
from interp.hooked import HookedTransformer
from tests.interp.checkpoints import written_transformers
from tests.interp.checkpoints.test_layouts import grokking, per_operand, state, two_embeddings
from tests.interp.checkpoints.test_recurrent import V, run_vanilla, vanilla
from tests.interp.checkpoints.test_superposition import drawn, reconstruct
from tests.interp.neat.pickles import pickled, random_rows
from tests.interp.picbreeder.genomes import HUE, SATURATION, VALUE, colour
from tests.interp.picbreeder.genomes import small as sketch
from tests.models import make

DICE = torch.Generator().manual_seed(0)
VECTORS = torch.randn(6, 5, generator=DICE, dtype=torch.float64)
SEQUENCES = torch.randn(4, 6, 5, generator=DICE, dtype=torch.float64)


@dataclass(frozen=True)
class Case:
    """A file of somebody's.

    Attributes:
        layout: the name of the layout that reads it.
        path: of the file.
        inputs: of the network; None where it cannot be run.
        outputs: what the network computes, by the module or the arithmetic that wrote the file.
        spec: ``--layout``, where the file does not say enough.
        said: what must be told whenever it is read.
    """

    layout: str
    path: Path
    inputs: Tensor | None
    outputs: Tensor | None
    spec: str | None = None
    said: tuple[str, ...] = ()


def positions(n: int, length: int, symbols: int) -> Tensor:
    return torch.randint(symbols, (n, length), generator=torch.Generator().manual_seed(1))


def suite(folder: Path) -> Case:
    config = interp.MLPConfig(hidden=(8,), d_out=7, d_vocab=7, d_embed=4)
    model = interp.HookedMLP(config).double().init_weights(seed=0, scale=3.0)
    path = interp.save(model, folder / "ours_already.safetensors", task="modular:p=7", step=40)
    w, x = dict(model.named_parameters()), positions(9, 2, 7)
    hidden = torch.relu(w["embed.W_E"][x].flatten(1) @ w["layers.0.W"] + w["layers.0.b"])
    return Case("suite", path, x, hidden @ w["unembed.W_U"] + w["unembed.b_U"])


def picbreeder(folder: Path) -> Case:
    path = folder / "genome.xml"
    path.write_text(sketch().xml())
    points = [(-0.9, 0.3), (0.2, 0.7), (0.5, -0.4)]
    given = torch.tensor([[x, y, 1.4 * math.hypot(x, y), 1.0] for x, y in points], dtype=torch.float64)
    drawn_by = [sketch().pixel(x, y) for x, y in points]
    colours = [colour(values[HUE], values[SATURATION], values[VALUE]) for values in drawn_by]
    return Case("suite", path, given, torch.tensor(colours, dtype=torch.float64))


def neat(folder: Path) -> Case:
    rows, path = random_rows(3), folder / "winner.pkl"
    path.write_bytes(pickled(rows))
    given = torch.randn(5, rows.n_inputs, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    wanted = [[rows.value(i, row) for i in range(rows.n_outputs)] for row in given.tolist()]
    return Case(
        "suite", path, given, torch.tensor(wanted, dtype=torch.float64), said=("no enabled connection leads to",)
    )


def transformer_lens(folder: Path) -> Case:
    model = make("plain")
    torch.save(state(model), folder / "lens.pt")
    assert isinstance(model, HookedTransformer)
    tokens = positions(8, model.config.n_ctx, model.config.d_vocab)
    return Case("transformer_lens", folder / "lens.pt", tokens, model(tokens), said=("assumed to be ReLU", "LNPre"))


def nanda(folder: Path) -> Case:
    model = make("no mlp")
    assert isinstance(model, HookedTransformer)
    torch.save({"model": grokking(model, "blocks")}, folder / "grokking.pth")
    tokens = positions(8, model.config.n_ctx, model.config.d_vocab)
    return Case("grokking", folder / "grokking.pth", tokens, model(tokens))


def chughtai(folder: Path) -> Case:
    model = per_operand()
    w = two_embeddings(model)
    torch.save(w, folder / "model.pt")
    x = positions(8, 2, 7)
    hidden = torch.relu(torch.cat([w["W_x"][x[:, 0]], w["W_y"][x[:, 1]]], 1) @ w["W"])
    return Case("two_embeddings", folder / "model.pt", x, hidden @ w["W_U"])


def fer(folder: Path) -> Case:
    """Two hidden layers of a sine and a tanh, drawn point by point."""
    rng, shapes = np.random.default_rng(0), [(4, 2), (2, 2), (2, 3)]
    kernels = [rng.normal(size=shape) for shape in shapes]
    named = {f"params/Dense_{i}/kernel": kernel for i, kernel in enumerate(kernels)}
    np.savez(folder / "fer.npz", arch="2;sin:1,tanh:1", **named)  # pyright: ignore[reportArgumentType]
    x = rng.normal(size=(6, 4))
    h = x
    for kernel in kernels[:-1]:
        h = h @ kernel
        h = np.stack([np.sin(h[:, 0]), np.tanh(h[:, 1])], 1)
    colours = [colour(*row) for row in (h @ kernels[-1]).tolist()]
    return Case("fer", folder / "fer.npz", torch.from_numpy(x), torch.tensor(colours, dtype=torch.float64))


def sequential(folder: Path) -> Case:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 9), nn.ReLU(), nn.Linear(9, 4), nn.ReLU(), nn.Linear(4, 3)).double()
    torch.save({"state_dict": net.state_dict(), "epoch": 3}, folder / "net.pt")
    said = ("0 > 2 > 4; matrices [out, in]", "ReLU (assumed)")
    return Case("linear_chain", folder / "net.pt", VECTORS, net(VECTORS), said=said)


def bare_matrices(folder: Path) -> Case:
    rng = np.random.default_rng(0)
    w1, b1, w2, b2 = (rng.normal(size=shape) for shape in ((5, 9), (9,), (9, 3), (3,)))
    np.savez(folder / "numpy.npz", W1=w1, b1=b1, W2=w2, b2=b2)
    expected = np.tanh(VECTORS.numpy() @ w1 + b1) @ w2 + b2
    spec, said = "linear_chain:act_fn=tanh", ("W1 > W2; matrices [in, out], tanh between",)
    return Case("linear_chain", folder / "numpy.npz", VECTORS, torch.from_numpy(expected), spec, said)


def named_by_hand(folder: Path) -> Case:
    w = {
        n: drawn(*s, seed=i) for i, (n, s) in enumerate({"A": (5, 9), "alpha": (9,), "B": (9, 3), "C": (3, 3)}.items())
    }
    torch.save(w, folder / "odd.pt")
    expected = torch.relu(VECTORS @ w["A"] + w["alpha"]) @ w["B"]
    spec = "linear_chain:weights=A>B,biases=alpha>none"
    return Case("linear_chain", folder / "odd.pt", VECTORS, expected, spec, ("C was left out of the chain",))


def transformer(name: str) -> Callable[[Path], Case]:
    """A module of `written_transformers`, with its config beside the weights."""

    def write(folder: Path) -> Case:
        module, one = written_transformers.random(name), written_transformers.WRITTEN[name]
        torch.save({"model": module.state_dict(), **({"config": one.config} if one.config else {})}, folder / "file.pt")
        tokens = positions(7, written_transformers.CONTEXT, written_transformers.VOCAB)
        return Case(one.layout, folder / "file.pt", tokens, module(tokens), one.spec, ("not stated by the weights",))

    return write


def gru(folder: Path) -> Case:
    torch.manual_seed(0)
    rnn, fc = nn.GRU(5, 6, batch_first=True).double(), nn.Linear(6, 3).double()
    torch.save(nn.ModuleDict({"rnn": rnn, "fc": fc}).state_dict(), folder / "gru.pt")
    expected = fc(rnn(SEQUENCES)[0][:, -1])
    said = ("outputs are read at the last step", "initial state is assumed to be zero")
    return Case("recurrent", folder / "gru.pt", SEQUENCES, expected, said=said)


def min_char_rnn(folder: Path) -> Case:
    w = vanilla()
    np.savez(folder / "char.npz", **w)  # pyright: ignore[reportArgumentType]
    return Case("recurrent", folder / "char.npz", V, run_vanilla(w), said=("by its names", "tanh"))


def toy_addition(folder: Path) -> Case:
    rng, p = np.random.default_rng(0), 4
    w = {
        "embedding": rng.normal(size=(p, 1)), "decoder.0.weight": rng.normal(size=(6, 1)),
        "decoder.0.bias": rng.normal(size=6), "decoder.1.weight": rng.normal(size=(3, 6)), "decoder.1.bias": rng.normal(size=3),
    }  # fmt: skip
    pairs = np.array([(i, j) for i in range(p) for j in range(i, p)])
    data = {"pairs": pairs, "train": np.array([0, 3, 7]), "targets": rng.normal(size=(2 * p - 1, 3))}
    np.savez(folder / "toy.npz", **w, **data)  # pyright: ignore[reportArgumentType]
    hidden = np.tanh(w["embedding"][pairs].sum(1) @ w["decoder.0.weight"].T + w["decoder.0.bias"])
    expected = hidden @ w["decoder.1.weight"].T + w["decoder.1.bias"]
    return Case(
        "toy_addition",
        folder / "toy.npz",
        torch.from_numpy(pairs),
        torch.from_numpy(expected),
        said=("3 of 10 pairs train",),
    )


def toy_model(folder: Path) -> Case:
    W, b = drawn(2, 5), drawn(5, seed=2)
    torch.save({"W": W, "b_final": b}, folder / "toy.pt")
    return Case(
        "superposition", folder / "toy.pt", VECTORS, reconstruct(W, b, VECTORS), said=("ReLU(W^T W x + b), tied",)
    )


def tracr(folder: Path) -> Case:
    """Two layers of haiku's parameters with two heads, run as tracr/transformer/model.py does."""
    rng, d, size, hidden = np.random.default_rng(0), 9, 4, 7
    shapes = {"attn/query": (d, 2 * size), "attn/key": (d, 2 * size), "attn/value": (d, 2 * size),
              "attn/linear": (2 * size, d), "mlp/linear_1": (d, hidden), "mlp/linear_2": (hidden, d)}  # fmt: skip
    params = {
        "token_embed": {"embeddings": rng.normal(size=(5, d))},
        "pos_embed": {"embeddings": rng.normal(size=(6, d))},
    }
    for layer in range(2):
        for name, (n_in, n_out) in shapes.items():
            w, b = rng.normal(size=(n_in, n_out)) / 2, rng.normal(size=n_out)
            params[f"transformer/layer_{layer}/{name}"] = {"w": w, "b": b}
    (folder / "compiled.pkl").write_bytes(pickle.dumps(params))
    tokens = positions(8, 6, 5)

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ params[name]["w"] + params[name]["b"]

    x = params["token_embed"]["embeddings"][tokens.numpy()] + params["pos_embed"]["embeddings"]
    for at in ("transformer/layer_0", "transformer/layer_1"):
        q, k, v = (linear(x, f"{at}/attn/{n}").reshape(8, 6, 2, size) for n in ("query", "key", "value"))
        scores = np.exp(np.einsum("bthd,bThd->bhtT", q, k) / np.sqrt(size))
        z = np.einsum("bhtT,bThd->bthd", scores / scores.sum(-1, keepdims=True), v).reshape(8, 6, 2 * size)
        x = x + linear(z, f"{at}/attn/linear")
        x = x + linear(np.maximum(linear(x, f"{at}/mlp/linear_1"), 0), f"{at}/mlp/linear_2")
    outputs = torch.from_numpy(x[..., 2:6])
    return Case("tracr", folder / "compiled.pkl", tokens, outputs, "tracr:n_heads=2,outputs=2-5")


def tensors(folder: Path) -> Case:
    torch.save({"trunk.w": drawn(4, 8), "actor.w": drawn(8, 8), "critic.w": drawn(8, 1)}, folder / "agent.pt")
    return Case("tensors", folder / "agent.pt", None, None, "tensors", ("only its weights are analysed",))


# by the name of the layout, with a word on the file where there are several
CASES: dict[str, Callable[[Path], Case]] = {
    "suite": suite,
    "suite, Picbreeder's XML": picbreeder,
    "suite, NEAT pickle": neat,
    "transformer_lens": transformer_lens,
    "grokking": nanda,
    "two_embeddings": chughtai,
    "fer": fer,
    "linear_chain": sequential,
    "linear_chain, bare matrices": bare_matrices,
    "linear_chain, a name map": named_by_hand,
    "multihead_attention": transformer("grokker"),
    "multihead_attention, an encoder": transformer("encoder"),
    "gpt2, nanoGPT": transformer("nanoGPT"),
    "gpt2, Hugging Face": transformer("Hugging Face"),
    "separate_attention": transformer("W_q, W_k, W_v, W_o"),
    "separate_attention, one module a head": transformer("lecture"),
    "separate_attention, gated": transformer("LLaMA's names"),
    "recurrent": gru,
    "recurrent, bare matrices": min_char_rnn,
    "superposition": toy_model,
    "toy_addition": toy_addition,
    "tracr": tracr,
    "tensors": tensors,
}
