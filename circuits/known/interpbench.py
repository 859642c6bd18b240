"""InterpBench's models with their true edges (Gupta et al. 2024, https://arxiv.org/abs/2407.14494)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from circuits.known.known_circuit import KnownCircuit
from interp.checkpoints import load
from interp.checkpoints.formats.pickled_values import Stub
from interp.checkpoints.formats.reading import read
from interp.errors import InterpError, UnreadableFile, kind_of

EDGES = "edges.pkl"
SENDER = re.compile(r"blocks\.(\d+)\.(?:attn\.hook_result\[(\d+)\]|hook_mlp_out)$")
RECEIVER = re.compile(r"blocks\.(\d+)\.(?:hook_([qkv])_input\[(\d+)\]|hook_mlp_in)$")
STREAMS = {"q": "queries", "k": "keys", "v": "values"}


def from_interpbench(folder: str | Path, clean: Tensor | None = None, corrupted: Tensor | None = None) -> KnownCircuit:
    """Read one of InterpBench's folders: ``ll_model.pth``, ``ll_model_cfg.pkl`` and ``edges.pkl``, all as data.

    Nothing that a pickle names is imported or run. ``edges.pkl`` is a list of pairs of hook names, or (before August 2024)
    the edges of a networkx graph of such names. The embeddings of tokens and of positions are one sender here; edges inside a
    head or an MLP are left out, and a part of the circuit that no listed edge reads is read by the logits. InterpBench
    trains whole heads: compare with ``heads=True``.

    Args:
        folder: of one model.
        clean: tokens ``[n, pos]``; the files have none, nor the tokens' meanings.
        corrupted: a counterfactual for each.

    Returns:
        the known circuit, without a task.

    Raises:
        UnreadableFile: a file that is missing, or that holds something else.
        InterpError: the network is not a transformer, or its circuit is on other components than it has.
    """
    if not isinstance(folder, str | Path):
        raise InterpError(f"from_interpbench takes the path of a folder, got {kind_of(folder)}")
    path = Path(folder)
    subject = load(path, device="cpu")
    config: Any = subject.model.config
    if config.kind != "transformer":
        raise InterpError(
            f"{path}: expected one of InterpBench's transformers, found a network of the kind {config.kind}"
        )
    edges = _edges(path / EDGES, config.n_layers, config.n_heads)
    none = torch.zeros(0, config.n_ctx, dtype=torch.long)
    return KnownCircuit(
        f"InterpBench {path.name}", subject.cast(torch.float64), none if clean is None else clean,
        none if corrupted is None else corrupted, edges,
        "Trained by strict interchange interventions to use the circuit that edges.pkl lists.", metric="kl",
    )  # fmt: skip


def _edges(path: Path, n_layers: int, n_heads: int) -> frozenset[str]:
    pairs = _pairs(read(path).tree)
    if pairs is None:
        raise UnreadableFile(
            f"{path} does not hold edges: expected a list of pairs of hook names, or the edges of a networkx graph; take the "
            "file of InterpBench's main revision"
        )
    found = {f"{a} > {b}" for one, other in pairs if (a := _sender(one)) and (b := _receiver(other, n_layers))}
    read_by_someone = {edge.split(" > ")[0] for edge in found}
    members = {_owner(edge.split(" > ")[1]) for edge in found} - {"logits"}
    found |= {f"{member} > logits" for member in members - read_by_someone}
    known = {f"L{i}H{h}" for i in range(n_layers) for h in range(n_heads)} | {f"L{i} mlp" for i in range(n_layers)}
    foreign = sorted((members | read_by_someone) - known - {"embed"})
    if foreign or not found:
        named = f": {', '.join(foreign)}" if foreign else ""
        raise InterpError(f"{path} lists no edges between components that the network has{named}")
    return frozenset(found)


def _pairs(tree: Any) -> list[tuple[str, str]] | None:
    """Pairs of names, from a list or from the ``OutEdgeView`` of a networkx graph; None for anything else."""
    adjacency = tree.state.get("_adjdict") if isinstance(tree, Stub) and isinstance(tree.state, Mapping) else None
    if isinstance(adjacency, Mapping):
        tree = [(one, other) for one, others in adjacency.items() if isinstance(others, Mapping) for other in others]
    if not isinstance(tree, Iterable) or isinstance(tree, (str, bytes, Mapping)):
        return None
    pairs = []
    for pair in tree:
        one, other = map(_name, pair) if isinstance(pair, (tuple, list)) and len(pair) == 2 else (None, None)
        if one is None or other is None:
            return None
        pairs.append((one, other))
    return pairs


def _name(node: Any) -> str | None:
    """A node's name: a text, or an object with ``name`` and ``index`` as InterpBench's CircuitNode has."""
    state = node.state if isinstance(node, Stub) else None
    if isinstance(state, Mapping) and isinstance(state.get("name"), str):
        index = state.get("index")
        return state["name"] if index is None else f"{state['name']}[{index}]"
    return node if isinstance(node, str) else None


def _sender(name: str) -> str | None:
    """Our name of what writes into the stream; None for a node inside a head or an MLP."""
    if name in ("hook_embed", "hook_pos_embed"):
        return "embed"
    match = SENDER.match(name)
    return None if match is None else f"L{match[1]} mlp" if match[2] is None else f"L{match[1]}H{match[2]}"


def _receiver(name: str, n_layers: int) -> str | None:
    if name == f"blocks.{n_layers - 1}.hook_resid_post":
        return "logits"
    match = RECEIVER.match(name)
    if match is None:
        return None
    return f"L{match[1]} mlp" if match[2] is None else f"L{match[1]}H{match[3]} {STREAMS[match[2]]}"


def _owner(receiver: str) -> str:
    return receiver if receiver.endswith("mlp") else receiver.split()[0]
