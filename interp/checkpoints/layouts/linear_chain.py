"""Chains of Linear layers, from an nn.Sequential or from named modules, possibly behind one nn.Embedding."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

import torch

from interp.checkpoints.layouts import Converted, FileInfo, Fit, Weights, option_value
from interp.errors import AmbiguousLayout, UnknownLayout
from interp.hooked.mlp import MLPConfig

Chain = tuple[str, ...]  # module names, first to last


class LinearChainLayout:
    name = "linear_chain"
    summary = "Linear layers in a row: NAME.weight [out, in] and NAME.bias, behind an nn.Embedding or not"
    options: Mapping[str, str] = {
        "orientation": "out_in (nn.Linear's way) or in_out, where both fit",
        "act_fn": "the activation between the layers, which a state dict does not hold (relu)",
    }

    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        modules = _modules(weights)
        if not modules:
            return Fit(False, 0.0, "it needs matrices named NAME.weight")
        if not _readings(weights):
            shapes = ", ".join(f"{m}.weight {list(weights[f'{m}.weight'].shape)}" for m in modules[:6])
            return Fit(False, 0.3, f"the matrices do not chain in either orientation: {shapes}")
        odd = [n for n in weights if n not in _used(weights)]
        if odd:
            return Fit(False, 0.5, f"tensors that are no part of a chain: {', '.join(odd[:4])}")
        return Fit(True, 0.7, question="orientation must be given" if len(_readings(weights)) > 1 else "")

    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        chain, orientation = self._settle(weights, options)
        embedding, linear = _split(chain)
        matrices = [weights[f"{m}.weight"].load() for m in linear]
        if orientation == "out_in":
            matrices = [m.T for m in matrices]
        biased = [f"{m}.bias" in weights for m in linear]
        widths, d_in = tuple(m.shape[1] for m in matrices[:-1]), matrices[0].shape[0]
        act_fn = options.get("act_fn", info.config.get("act_fn"))
        notes = []
        if widths and act_fn is None:
            notes.append("activation taken to be ReLU: a state dict does not say (--layout linear_chain:act_fn=...)")
        common = {
            "hidden": widths, "d_out": matrices[-1].shape[1], "act_fn": act_fn or "relu", "bias": any(biased[:-1]),
            "unembed_bias": biased[-1],
        }  # fmt: skip
        if embedding is None:
            config = MLPConfig(d_in=d_in, **common)
            converted = {}
        else:
            table = weights[f"{embedding}.weight"].load()
            operands = d_in // table.shape[1]
            config = MLPConfig(
                d_vocab=table.shape[0], d_embed=table.shape[1], n_operands=max(operands, 2),
                combine="concat" if operands > 1 else "sum", **common,
            )  # fmt: skip
            if operands == 1:
                notes.append("the first layer is as wide as one embedding, so the operands' embeddings are summed")
            converted = {"embed.W_E": table}
        for i, (module, matrix) in enumerate(zip(linear, matrices, strict=True)):
            last = i == len(matrices) - 1
            converted["unembed.W_U" if last else f"layers.{i}.W"] = matrix
            if config.unembed_bias if last else config.bias:
                bias = weights.get(f"{module}.bias")
                converted["unembed.b_U" if last else f"layers.{i}.b"] = (
                    bias.load() if bias else torch.zeros(matrix.shape[1], dtype=matrix.dtype)
                )
        return Converted(config, converted, (), tuple(notes))

    def _settle(self, weights: Weights, options: Mapping[str, Any]) -> tuple[Chain, str]:
        orientation = option_value(self, options, "orientation", ("out_in", "in_out"))
        readings = [r for r in _readings(weights) if orientation in (None, r[1])]
        if not readings:
            raise UnknownLayout(f"linear_chain: the matrices do not chain with orientation={orientation}")
        if len({o for _, o in readings}) > 1:
            raise AmbiguousLayout(
                "linear_chain: the matrices chain equally well as [out, in] and as [in, out]; say which: "
                "--layout linear_chain:orientation=out_in (nn.Linear's way) or in_out"
            )
        return readings[0]


def _modules(weights: Weights) -> list[str]:
    return [n.removesuffix(".weight") for n, t in weights.items() if n.endswith(".weight") and t.ndim == 2]


def _used(weights: Weights) -> set[str]:
    return {f"{m}.{part}" for m in _modules(weights) for part in ("weight", "bias")}


def _split(chain: Chain) -> tuple[str | None, Chain]:
    """The embedding, recognised by its name, and the linear layers behind it."""
    if len(chain) > 1 and re.search(r"emb|wte", chain[0], re.IGNORECASE):
        return chain[0], chain[1:]
    return None, chain


def _readings(weights: Weights) -> list[tuple[Chain, str]]:
    """Orders and orientations in which the matrices chain: the file's order, else the natural order of the names."""
    modules = _modules(weights)
    natural = sorted(
        modules, key=lambda m: [(p.isdigit(), int(p) if p.isdigit() else p) for p in re.split(r"(\d+)", m)]
    )
    embeddings_first = sorted(natural, key=lambda m: not re.search(r"emb|wte", m, re.IGNORECASE))
    for order in (modules, natural, embeddings_first):
        chain = tuple(order)
        fitting = [o for o in ("out_in", "in_out") if _chains(weights, chain, o)]
        if fitting:
            return [(chain, o) for o in fitting]
    return []


def _chains(weights: Weights, chain: Chain, orientation: str) -> bool:
    embedding, linear = _split(chain)
    shapes = [weights[f"{m}.weight"].shape for m in linear]
    if orientation == "out_in":
        shapes = [s[::-1] for s in shapes]
    biases_fit = all(
        f"{m}.bias" not in weights or weights[f"{m}.bias"].shape == (s[1],) for m, s in zip(linear, shapes, strict=True)
    )
    links = all(a[1] == b[0] for a, b in itertools.pairwise(shapes))
    if embedding is None:
        return biases_fit and links
    return biases_fit and links and shapes[0][0] % weights[f"{embedding}.weight"].shape[1] == 0


LAYOUT = LinearChainLayout()
