"""Chains of Linear layers, from an nn.Sequential, named modules or bare matrices, possibly behind one embedding."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice, pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from interp.checkpoints.layouts.activations import stated_activation, unknown_activation
from interp.checkpoints.layouts.base import Converted, FileInfo, Fit, Layout, Weights, option_value
from interp.checkpoints.layouts.chain_words import has_a_place, returning_block, speaks_against
from interp.checkpoints.layouts.linear_modules import Linear, length, linear_modules, load_bias, not_numbers, unused
from interp.errors import AmbiguousLayout, InterpError, UnknownLayout, UnknownName, unknown
from interp.hooked.mlp.config import MLPConfig

Chain = tuple[Linear, ...]  # first to last
MAX_TRIES = 20_000  # partial orders to look at: many equal matrices have more orders than there is time for
ORIENTATIONS = ("out_in", "in_out")
EMBEDDING = re.compile(r"emb|wte", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """An order and an orientation in which the matrices chain."""

    chain: Chain
    orientation: str

    def text(self, act_fn: str) -> str:
        """The reading as a sentence for the user."""
        order = " > ".join(m.name for m in self.chain)
        axes = "[out, in], as nn.Linear keeps them" if self.orientation == "out_in" else "[in, out]"
        between = f", {act_fn} between the layers" if len(self.chain) > 1 else ""
        return f"read as a chain of linear layers: {order}; matrices {axes}{between}"


class LinearChainLayout(Layout):
    """MLPs written with torch.nn.Linear, or as bare matrices."""

    name = "linear_chain"
    summary = (
        "Linear layers in a row: NAME.weight [out, in] and NAME.bias, or W1, b1, W2, b2; behind an embedding or not"
    )
    options: ClassVar[Mapping[str, str]] = {
        "orientation": "out_in (as in nn.Linear) or in_out, if both fit",
        "order": "the layers first to last, as first>second>third, if names and shapes do not determine it",
        "act_fn": "the activation between the layers, which a state dict does not state (relu)",
        "weights": "a name map: the matrices first to last, as W1>W2; other tensors are left out",
        "biases": "the biases of these matrices, as b1>b2; 'none' for a layer without one",
    }

    @override
    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        modules = linear_modules(weights)
        if not modules:
            return Fit(False, 0.0, "it needs matrices, such as NAME.weight or W1")
        if against := speaks_against([m.name for m in modules]):
            return Fit(False, 0.2, f"{against}, so the layers are not read as a chain (order=A>B takes those you name)")
        bare = [m.name for m in modules if m.name == m.weight != "weight" and not has_a_place(m.name)]
        if bare:
            return Fit(False, 0.3, f"nothing says where in a chain {bare[0]} stands (weights=A>B,biases=a>b says it)")
        if problem := not_numbers(weights, modules):
            return Fit(False, 0.4, problem)
        if odd := unused(weights, modules):
            share = 1 - len(odd) / len(weights)
            return Fit(False, 0.5 * share**2, f"tensors that are not part of a chain: {', '.join(odd[:4])}")
        if len(modules) > 1 and (problem := unknown_activation(info.config)):
            return Fit(False, 0.4, problem)
        readings = _readings(weights, modules, info.ordered)
        if not readings:
            shapes = ", ".join(f"{m.weight} {list(weights[m.weight].shape)}" for m in modules[:6])
            return Fit(False, 0.3, f"the matrices do not chain in either orientation: {shapes}")
        asks = len(readings) > 1 or _unplaced(weights, readings[0].chain) or _returning(weights, readings[0])
        reading = "" if asks else readings[0].text(stated_activation(info.config, {}) or "ReLU (assumed)")
        return Fit(True, 0.7, question="orientation or order must be given" if asks else "", reading=reading)

    @override
    def fits_by_hand(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Fit:
        told = {"order", "weights"} & set(options)
        stated = {} if "act_fn" in options else info.config  # what the user says of the activation counts
        return Fit(True, 1.0) if told else self.matches(weights, replace(info, config=stated))

    @override
    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        reading = self._settle(weights, info, options)
        embedding, linear = _split(reading.chain)
        matrices = [weights[m.weight].load() for m in linear]
        if reading.orientation == "out_in":
            matrices = [m.T for m in matrices]
        act_fn, extra = stated_activation(info.config, options), tuple(unused(weights, reading.chain))
        assumed = act_fn is None and len(linear) > 1
        said = reading.text(act_fn or "ReLU (assumed)")
        if assumed:
            said += "; a state dict does not state the activation (--layout linear_chain:act_fn=...)"
        notes, warnings = ([], [said]) if assumed else ([said], [])
        biased = [m.bias is not None for m in linear]
        common = {
            "hidden": tuple(m.shape[1] for m in matrices[:-1]), "d_out": matrices[-1].shape[1], "act_fn": act_fn or "relu",
            "bias": any(biased[:-1]), "unembed_bias": biased[-1],
        }  # fmt: skip
        converted: dict[str, Tensor] = {}
        if embedding is None:
            config = MLPConfig(d_in=matrices[0].shape[0], **common)
        else:
            table = converted["embed.W_E"] = weights[embedding.weight].load()
            operands = matrices[0].shape[0] // table.shape[1]
            config = MLPConfig(
                d_vocab=table.shape[0], d_embed=table.shape[1], n_operands=max(operands, 2),
                combine="concat" if operands > 1 else "sum", **common,
            )  # fmt: skip
            if operands == 1:
                notes.append("the first layer is as wide as one embedding, so the operands' embeddings are summed")
        converted |= _named(weights, linear, matrices, config)
        warnings += [f"{name} was left out of the chain" for name in extra]
        return Converted(config, converted, extra, tuple(notes), warnings=tuple(warnings))

    def _settle(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Reading:
        orientation = option_value(self, options, "orientation", ORIENTATIONS)
        modules = linear_modules(weights)
        chain = _by_hand(weights, modules, options)
        if chain is None:
            readings = _readings(weights, modules, info.ordered)
        else:
            readings = [Reading(chain, o) for o in ORIENTATIONS if _chains(weights, chain, o)]
        readings = [r for r in readings if orientation in (None, r.orientation)]
        if not readings:
            how = f"with orientation={orientation}" if orientation else "in that order"
            raise UnknownLayout(f"linear_chain: the matrices do not chain {how}")
        if len({r.orientation for r in readings}) > 1:
            raise AmbiguousLayout(
                "linear_chain: the matrices chain as [out, in] and as [in, out]; choose with "
                "--layout linear_chain:orientation=out_in (as in nn.Linear) or in_out"
            )
        if len(readings) > 1:
            raise AmbiguousLayout(
                "linear_chain: the file does not keep the order of the layers, and several fit, such as "
                f"{_order(readings[0])} and {_order(readings[1])}; choose with --layout linear_chain:order=A>B>C"
            )
        if chain is None and (lost := _unplaced(weights, readings[0].chain)) is not None:
            rows, columns = weights[lost.weight].shape
            raise AmbiguousLayout(
                f"linear_chain: {lost.name} ({rows} x {columns}) could be a layer of a chain, recurrent, or beside the others, "
                f"and its name does not say; if it is a chain: --layout 'linear_chain:order={_order(readings[0])}'"
            )
        if chain is None and (block := _returning(weights, readings[0])) is not None:
            raise AmbiguousLayout(
                f"linear_chain: {block} may be added to what it reads, as residual blocks are, and its name does not say; if it "
                f"is a plain chain: --layout 'linear_chain:order={_order(readings[0])}'; else open it with interp.wrap"
            )
        return readings[0]


def _order(reading: Reading) -> str:
    return ">".join(m.name for m in reading.chain)


def _named(weights: Weights, linear: Chain, matrices: Sequence[Tensor], config: MLPConfig) -> dict[str, Tensor]:
    """The layers' tensors under our names; a hidden layer without a bias among layers with one has zeros."""
    found: dict[str, Tensor] = {}
    for i, (module, matrix) in enumerate(zip(linear, matrices, strict=True)):
        last = i == len(matrices) - 1
        found["unembed.W_U" if last else f"layers.{i}.W"] = matrix
        if config.unembed_bias if last else config.bias:
            found["unembed.b_U" if last else f"layers.{i}.b"] = (
                torch.zeros(matrix.shape[1], dtype=matrix.dtype) if module.bias is None else load_bias(weights, module)
            )
    return found


def _by_hand(weights: Weights, modules: Sequence[Linear], options: Mapping[str, Any]) -> Chain | None:
    """The layers that the user names, by a name map or by their order; None if he names none."""
    if "weights" in options:
        names = [_known(weights, n) for n in str(options["weights"]).split(">")]
        given = str(options["biases"]).split(">") if "biases" in options else ["none"] * len(names)
        if len(given) != len(names):
            raise InterpError(
                f"linear_chain: {len(names)} weights, but {len(given)} biases; write 'none' for a layer without one"
            )
        biases = [None if b.lower() == "none" else _known(weights, b) for b in given]
        return tuple(Linear(n, n, b) for n, b in zip(names, biases, strict=True))
    if "biases" in options:
        raise InterpError("linear_chain: biases are given without their weights=W1>W2")
    if "order" not in options:
        return None
    known = {m.name: m for m in modules}
    order = str(options["order"]).split(">")
    for name in order:
        if name not in known:
            raise UnknownName("linear_chain: " + unknown("layer", name, known))
    if len(set(order)) < len(order):
        raise InterpError(f"linear_chain: a layer occurs twice in order={options['order']}")
    return tuple(known[name] for name in order)


def _known(weights: Weights, name: str) -> str:
    if name.strip() not in weights:
        raise UnknownName("linear_chain: " + unknown("tensor", name.strip(), weights))
    return name.strip()


def _split(chain: Chain) -> tuple[Linear | None, Chain]:
    """The embedding and the linear layers behind it."""
    return (chain[0], chain[1:]) if len(chain) > 1 and _is_table(chain[0]) else (None, chain)


def _is_table(module: Linear) -> bool:
    """Whether a matrix is an embedding, by its name; a table has no bias."""
    named = EMBEDDING.search(module.weight) and not re.search(r"unemb", module.weight, re.IGNORECASE)
    return bool(named) and module.bias is None


def _unplaced(weights: Weights, chain: Chain) -> Linear | None:
    """A square matrix between others whose name gives it no place in a chain: it could be recurrent, or parallel."""
    square = (m for m in chain if len(set(weights[m.weight].shape)) == 1)
    return next((m for m in square if len(chain) > 1 and not has_a_place(m.name)), None)


def _returning(weights: Weights, reading: Reading) -> str | None:
    """A block of the chain that may be residual."""
    linear = _split(reading.chain)[1]
    shapes = [weights[m.weight].shape for m in linear]
    widths = [(s[1], s[0]) if reading.orientation == "out_in" else (s[0], s[1]) for s in shapes]
    return returning_block([m.name for m in linear], widths)


def _readings(weights: Weights, modules: Sequence[Linear], ordered: bool) -> list[Reading]:
    """Orders and orientations in which the matrices chain: the file's own order if it is kept and fits, otherwise all."""
    chain = tuple(modules)
    kept = [Reading(chain, o) for o in ORIENTATIONS if ordered and _chains(weights, chain, o)]
    return kept or [Reading(c, o) for o in ORIENTATIONS for c in _orders(weights, chain, o)]


def _orders(weights: Weights, modules: Chain, orientation: str) -> list[Chain]:
    """Up to two orders in which the matrices chain, modules whose names differ only in their numbers in numerical order.

    Args:
        weights: the tensors by name.
        modules: the matrices with their biases.
        orientation: one of `ORIENTATIONS`.

    Returns:
        The orders; none if there are too many to look at, since then no order is known to be the only one.
    """
    stems: dict[str, list[Linear]] = {}
    for module in sorted(modules, key=lambda m: [int(n) for n in re.findall(r"\d+", m.name)]):
        stems.setdefault(re.sub(r"\d+", "#", module.name), []).append(module)
    embeddings = [m for m in modules if _is_table(m)]
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
    shapes = [weights[m.weight].shape for m in linear]
    if any(len(s) != 2 for s in shapes):
        return False
    if orientation == "out_in":
        shapes = [s[::-1] for s in shapes]
    biases_fit = all(m.bias is None or length(weights[m.bias]) == s[1] for m, s in zip(linear, shapes, strict=True))
    links = all(a[1] == b[0] for a, b in pairwise(shapes))
    if embedding is None:
        return biases_fit and links
    table = weights[embedding.weight].shape
    return biases_fit and links and len(table) == 2 and table[1] > 0 and shapes[0][0] % table[1] == 0


LAYOUT = LinearChainLayout()
