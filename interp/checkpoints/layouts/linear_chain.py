"""Chains of Linear layers, from an nn.Sequential or from named modules, possibly behind one nn.Embedding."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import count, islice, pairwise
from typing import Any, ClassVar

import torch
from typing_extensions import override

from interp.checkpoints.layouts.base import Converted, FileInfo, Fit, Layout, Weights, option_value
from interp.errors import AmbiguousLayout, InterpError, UnknownLayout
from interp.hooked.mlp.config import MLPConfig

Chain = tuple[str, ...]  # module names, first to last
MAX_TRIES = 20_000  # partial orders to look at: many equal matrices have more orders than there is time for
ORIENTATIONS = ("out_in", "in_out")
EMBEDDING = re.compile(r"emb|wte", re.IGNORECASE)


class LinearChainLayout(Layout):
    """MLPs written with torch.nn.Linear."""

    name = "linear_chain"
    summary = "Linear layers in a row: NAME.weight [out, in] and NAME.bias, behind an nn.Embedding or not"
    options: ClassVar[Mapping[str, str]] = {
        "orientation": "out_in (as in nn.Linear) or in_out, if both fit",
        "order": "the layers first to last, as first>second>third, if names and shapes do not determine it",
        "act_fn": "the activation between the layers, which a state dict does not state (relu)",
    }

    @override
    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        modules = _modules(weights)
        if not modules:
            return Fit(False, 0.0, "it needs matrices named NAME.weight")
        odd = [n for n in weights if n not in _used(weights)]
        if odd:
            return Fit(False, 0.5, f"tensors that are not part of a chain: {', '.join(odd[:4])}")
        readings = _readings(weights, info.ordered)
        if not readings:
            shapes = ", ".join(f"{m}.weight {list(weights[f'{m}.weight'].shape)}" for m in modules[:6])
            return Fit(False, 0.3, f"the matrices do not chain in either orientation: {shapes}")
        return Fit(True, 0.7, question="orientation or order must be given" if len(readings) > 1 else "")

    @override
    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        chain, orientation = self._settle(weights, info, options)
        embedding, linear = _split(chain)
        matrices = [weights[f"{m}.weight"].load() for m in linear]
        if orientation == "out_in":
            matrices = [m.T for m in matrices]
        biased = [f"{m}.bias" in weights for m in linear]
        widths, d_in = tuple(m.shape[1] for m in matrices[:-1]), matrices[0].shape[0]
        act_fn = options.get("act_fn", info.config.get("act_fn"))
        notes = []
        if widths and act_fn is None:
            notes.append(
                "activation assumed to be ReLU, which a state dict does not state (--layout linear_chain:act_fn=...)"
            )
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

    def _settle(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> tuple[Chain, str]:
        orientation = option_value(self, options, "orientation", ORIENTATIONS)
        order = tuple(str(options["order"]).split(">")) if "order" in options else None
        if order is not None and sorted(order) != sorted(_modules(weights)):
            raise InterpError(
                f"linear_chain: order must name all of {', '.join(_modules(weights))}, got {options['order']!r}"
            )
        if order is None:
            readings = _readings(weights, info.ordered)
        else:
            readings = [(order, o) for o in ORIENTATIONS if _chains(weights, order, o)]
        readings = [r for r in readings if orientation in (None, r[1])]
        if not readings:
            how = f"with orientation={orientation}" if orientation else "in that order"
            raise UnknownLayout(f"linear_chain: the matrices do not chain {how}")
        if len({o for _, o in readings}) > 1:
            raise AmbiguousLayout(
                "linear_chain: the matrices chain as [out, in] and as [in, out]; choose with "
                "--layout linear_chain:orientation=out_in (as in nn.Linear) or in_out"
            )
        if len(readings) > 1:
            raise AmbiguousLayout(
                "linear_chain: the file does not keep the order of the layers, and several fit, such as "
                f"{'>'.join(readings[0][0])} and {'>'.join(readings[1][0])}; choose with --layout linear_chain:order=A>B>C"
            )
        return readings[0]


def _modules(weights: Weights) -> list[str]:
    return [n.removesuffix(".weight") for n, t in weights.items() if n.endswith(".weight") and t.ndim == 2]


def _used(weights: Weights) -> set[str]:
    return {f"{m}.{part}" for m in _modules(weights) for part in ("weight", "bias")}


def _split(chain: Chain) -> tuple[str | None, Chain]:
    """The embedding, recognised by its name, and the linear layers behind it."""
    if chain and EMBEDDING.search(chain[0]):
        return chain[0], chain[1:]
    return None, chain


def _readings(weights: Weights, ordered: bool) -> list[tuple[Chain, str]]:
    """Orders and orientations in which the matrices chain: the file's own order if it is kept and fits, otherwise all."""
    modules = tuple(_modules(weights))
    kept = [(modules, o) for o in ORIENTATIONS if ordered and modules and _chains(weights, modules, o)]
    return kept or [(chain, o) for o in ORIENTATIONS for chain in _orders(weights, modules, o)]


def _orders(weights: Weights, modules: Chain, orientation: str) -> list[Chain]:
    """Up to two orders in which the matrices chain, modules whose names differ only in their numbers in numerical order.

    Args:
        weights: the tensors by name.
        modules: names of the linear modules.
        orientation: one of `ORIENTATIONS`.

    Returns:
        The orders; none if there are too many to look at, since then no order is known to be the only one.
    """
    stems: dict[str, list[str]] = {}
    for module in sorted(modules, key=lambda m: [int(n) for n in re.findall(r"\d+", m)]):
        stems.setdefault(re.sub(r"\d+", "#", module), []).append(module)
    embeddings = [m for m in modules if EMBEDDING.search(m)]
    tries = count()

    def extend(chain: Chain) -> Iterator[Chain]:
        if next(tries) > MAX_TRIES:
            return
        if len(chain) == len(modules):
            yield chain
            return
        for group in stems.values():
            following = next((m for m in group if m not in chain), None)
            if following is None or (not chain and embeddings and following not in embeddings):
                continue
            if _chains(weights, (*chain, following), orientation):
                yield from extend((*chain, following))

    found = list(islice(extend(()), 2))
    return found if len(found) == 2 or next(tries) <= MAX_TRIES else []


def _chains(weights: Weights, chain: Chain, orientation: str) -> bool:
    embedding, linear = _split(chain)
    if not linear:
        return True
    shapes = [weights[f"{m}.weight"].shape for m in linear]
    if orientation == "out_in":
        shapes = [s[::-1] for s in shapes]
    biases_fit = all(
        f"{m}.bias" not in weights or weights[f"{m}.bias"].shape == (s[1],) for m, s in zip(linear, shapes, strict=True)
    )
    links = all(a[1] == b[0] for a, b in pairwise(shapes))
    if embedding is None:
        return biases_fit and links
    return biases_fit and links and shapes[0][0] % weights[f"{embedding}.weight"].shape[1] == 0


LAYOUT = LinearChainLayout()
