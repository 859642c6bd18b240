"""Files of InterpBench and Tracr in the formats that their code documents; no real file is at hand."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import networkx
import numpy as np
import pytest
import torch

import circuits
import interp
from interp import HookedTransformer, InterpError, TransformerConfig, UnreadableFile

KNOWN = circuits.known
# as InterpBench's own test lists them for its case 3, and a head of ours
CASE_3 = [
    ("hook_embed", "blocks.0.hook_mlp_in"), ("hook_pos_embed", "blocks.1.hook_q_input[0]"),
    ("hook_pos_embed", "blocks.1.hook_k_input[0]"), ("blocks.0.hook_mlp_in", "blocks.0.hook_mlp_out"),
    ("blocks.0.hook_mlp_out", "blocks.1.hook_v_input[0]"), ("blocks.1.hook_q_input[0]", "blocks.1.attn.hook_q[0]"),
    ("blocks.1.attn.hook_q[0]", "blocks.1.attn.hook_result[0]"),
    ("blocks.1.attn.hook_result[0]", "blocks.1.hook_resid_post"),
]  # fmt: skip
EXPECTED = {"embed > L0 mlp", "embed > L1H0 queries", "embed > L1H0 keys", "L0 mlp > L1H0 values", "L1H0 > logits"}


class CircuitNode:
    """As in circuits_benchmark/transformers/circuit_node.py."""

    def __init__(self, name: str, index: int | None = None):
        self.name, self.index = name, index

    def __hash__(self) -> int:
        return hash((self.name, self.index))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CircuitNode) and (self.name, self.index) == (other.name, other.index)


class Circuit(networkx.DiGraph):
    """As in circuits_benchmark/transformers/circuit.py."""


@pytest.fixture
def edges_of_a_graph(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The older form of edges.pkl, written with their classes, which are gone when it is read."""
    with monkeypatch.context() as patched:
        for name in ("circuits_benchmark", "circuits_benchmark.transformers"):
            patched.setitem(sys.modules, name, ModuleType(name))
        for cls, name in ((CircuitNode, "circuit_node"), (Circuit, "circuit")):
            module = ModuleType(f"circuits_benchmark.transformers.{name}")
            setattr(module, cls.__name__, cls)
            patched.setitem(sys.modules, module.__name__, module)
            patched.setattr(cls, "__module__", module.__name__)
        graph = Circuit()
        for pair in CASE_3:
            graph.add_edge(*(CircuitNode(n.split("[")[0], int(n[-2]) if "[" in n else None) for n in pair))
        return pickle.dumps(graph.edges)


def written(folder: Path, edges: Any, **cfg: Any) -> HookedTransformer:
    """A folder as on the hub: a state dict with masks, and a dict of the config with numpy scalars."""
    config = TransformerConfig(
        n_layers=2, d_model=8, n_heads=2, d_head=4, d_vocab=5, d_vocab_out=3, n_ctx=6, d_mlp=16, act_fn="gelu",
        causal=False, attn_bias=True, unembed_bias=True,
    )  # fmt: skip
    model = HookedTransformer(config).init_weights(seed=0)
    state = {k: v.detach() for k, v in model.state_dict().items()}
    for i in range(2):
        state |= {
            f"blocks.{i}.attn.mask": torch.ones(6, 6).tril().bool(),
            f"blocks.{i}.attn.IGNORE": torch.tensor(-torch.inf),
        }
    torch.save(state, folder / "ll_model.pth")
    fields = {"act_fn": "gelu", "attention_dir": "bidirectional", "normalization_type": None, "eps": np.float64(1e-5),
              "n_heads": 2, "dtype": torch.float32, "use_attn_scale": True, "attn_scale": np.float64(2.0)} | cfg  # fmt: skip
    (folder / "ll_model_cfg.pkl").write_bytes(pickle.dumps(fields))
    (folder / "edges.pkl").write_bytes(pickle.dumps(edges))
    return model


def test_interpbench(tmp_path: Path) -> None:
    """Network and edges: embeddings of tokens and positions are one sender, inner edges of a head are left out."""
    model = written(tmp_path, CASE_3)
    one = KNOWN.from_interpbench(tmp_path)
    assert one.edges == EXPECTED
    tokens = torch.randint(5, (4, 6), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(one.subject.model(tokens), model.double()(tokens))
    assert one.nodes == {"L0 mlp", "L1H0"}
    assert len(one.clean) == 0


def test_what_nobody_reads_is_read_by_the_logits(tmp_path: Path) -> None:
    """Files of a single MLP list the edge into it, and none out of it."""
    written(tmp_path, [("hook_embed", "blocks.0.hook_mlp_in")], use_attn_scale=False)
    one = KNOWN.from_interpbench(str(tmp_path), torch.zeros(1, 6, dtype=torch.long), torch.ones(1, 6, dtype=torch.long))
    assert one.edges == {"embed > L0 mlp", "L0 mlp > logits"}
    assert isinstance(one.subject.model, HookedTransformer)
    assert one.subject.model.config.attn_scale == 1.0
    assert len(one.clean) == 1


def test_edges_as_a_graph(tmp_path: Path, edges_of_a_graph: bytes) -> None:
    written(tmp_path, [])
    (tmp_path / "edges.pkl").write_bytes(edges_of_a_graph)
    assert b"circuits_benchmark" in edges_of_a_graph
    assert KNOWN.from_interpbench(tmp_path).edges == EXPECTED


class Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("harmed"),))


ELSEWHERE = [*CASE_3, ("hook_embed", "blocks.7.hook_mlp_in")]


@pytest.mark.parametrize("edges", [{"a": 1}, [("hook_embed",)], [Harm()], "text", [("x", "y")], ELSEWHERE])
def test_other_contents_are_refused_and_never_run(edges: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, edges)
    with pytest.raises(InterpError, match=r"edges\.pkl"):
        KNOWN.from_interpbench(tmp_path)
    assert not Path("harmed").exists()


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile):
        KNOWN.from_interpbench(tmp_path)
    with pytest.raises(InterpError, match="path of a folder"):
        KNOWN.from_interpbench(3)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("separator", ["/", "__", "_"])
def test_a_program_as_tracr_would_store_it(separator: str, tmp_path: Path) -> None:
    """`sort` with Tracr's names, matrices and scale, as npz: read again it answers every input, at the right dimensions."""
    one = KNOWN.sort()
    model = one.subject.model
    assert isinstance(model, HookedTransformer)
    np.savez(tmp_path / "sort.npz", **tracr_parameters(model, separator))  # pyright: ignore[reportArgumentType]
    d_model = model.config.d_model
    spec = f"tracr:n_heads={model.config.n_heads},outputs={d_model - 6}-{d_model - 1}"
    subject = interp.load(tmp_path / "sort.npz", layout=spec, task=one.subject.task, device="cpu")
    torch.testing.assert_close(subject.logits(), one.subject.logits())
    assert isinstance(subject.model, HookedTransformer)
    inputs = one.subject.require_task().inputs
    assert KNOWN.transformer_edges(subject.model.double(), inputs, 2) == one.edges


def tracr_parameters(model: HookedTransformer, separator: str) -> dict[str, np.ndarray]:
    config, found = model.config, {("token_embed", "embeddings"): model.W_E, ("pos_embed", "embeddings"): model.W_pos}
    for i in range(config.n_layers):
        at, attn, mlp = f"transformer/layer_{i}", model.block(i).attention, model.block(i).mlp
        for name, letter, scale in (("query", "Q", config.d_head**0.5), ("key", "K", 1.0), ("value", "V", 1.0)):
            weight = getattr(attn, f"W_{letter}").transpose(0, 1).flatten(1) * scale
            found |= {(f"{at}/attn/{name}", "w"): weight, (f"{at}/attn/{name}", "b"): torch.zeros(weight.shape[1])}
        found |= {(f"{at}/attn/linear", "w"): attn.W_O.flatten(0, 1)}
        found |= {(f"{at}/mlp/linear_1", "w"): mlp.W_in, (f"{at}/mlp/linear_1", "b"): mlp.b_in}
        found |= {(f"{at}/mlp/linear_2", "w"): mlp.W_out, (f"{at}/mlp/linear_2", "b"): mlp.b_out}
    joined = {(a.replace("/", "__") if separator == "__" else a) + separator + b: t for (a, b), t in found.items()}
    return {name: tensor.detach().numpy() for name, tensor in joined.items()}


def test_tracr_asks_for_what_is_missing(tmp_path: Path) -> None:
    """The number of heads is not in a file; which dimensions are the output is told."""
    model = KNOWN.histogram().subject.model
    assert isinstance(model, HookedTransformer)
    np.savez(tmp_path / "h.npz", **tracr_parameters(model, "/"))  # pyright: ignore[reportArgumentType]
    with pytest.raises(InterpError, match="n_heads must be given"):
        interp.load(tmp_path / "h.npz", device="cpu")
    with pytest.raises(InterpError, match="n_heads must divide"):
        interp.load(tmp_path / "h.npz", layout="tracr:n_heads=7", device="cpu")
    with pytest.raises(InterpError, match="outputs must be FIRST-LAST"):
        interp.load(tmp_path / "h.npz", layout="tracr:n_heads=3,outputs=5-99", device="cpu")
    whole = interp.load(tmp_path / "h.npz", layout="tracr:n_heads=3", device="cpu")
    assert any("the residual stream itself" in note for note in whole.provenance.notes)
