"""The cells of a recurrent network among a file's tensors: torch's by their names, and cells of Linear layers by theirs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from interp.checkpoints.layouts.base import Weights
from interp.checkpoints.layouts.block_names import natural
from interp.hooked.rnn.config import GATES

TORCH = re.compile(r"(?:(.*)\.)?(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)(?:_l(\d{1,4}))?(_reverse)?")
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
# names of matrices, in lower case without separators: i2h, input_to_hidden, in2hid, Wxh, W_ih, linear_ih, W_hx ...
_START = r"(?:w|weights?|mat|linear|lin|fc|rnn)?"
_FROM = r"(?:inputs?|inp|in|x|i)"
_STATE = r"(?:hidden|hid|h)"
INPUT = re.compile(
    rf"{_START}(?:{_FROM}{_STATE}|(?:{_FROM}|state|emb(?:edding)?)(?:to|2){_STATE}|hx|ax|in|inp|inputs?|x|inputlayer|inlayer)\d{{0,3}}|wi"
)
HIDDEN = re.compile(
    rf"{_START}(?:hiddenhidden|hidhid|hh|aa|{_STATE}(?:to|2){_STATE}|state(?:to|2)state|rec|recurrent|recurrence|recurrentlayer"
    r"|reclayer)\d{0,3}|wh"
)
OUTPUT = re.compile(rf"{_START}(?:{_STATE}(?:to|2)?(?:outputs?|out|logits|o|y|q|z)|yh|ya)\d{{0,3}}")
MATRIX = (".weight", ".kernel")


@dataclass(frozen=True)
class CellNames:
    """The names of one cell's tensors; a bias that the file lacks is None.

    Attributes:
        w_ih: from the input to the gates.
        w_hh: from the hidden state to the gates.
        b_ih: added to the former.
        b_hh: added to the latter.
    """

    w_ih: str
    w_hh: str
    b_ih: str | None = None
    b_hh: str | None = None


@dataclass(frozen=True)
class Cells:
    """The cells of a network, or why its tensors are no such cells.

    Attributes:
        layers: a cell for each layer.
        reverse: the same of the reverse direction; empty without one.
        named: whether the cells are Linear layers, known by their names only.
        problem: why they cannot be read; empty if they can.
        notes: what the names do not state.
    """

    layers: tuple[CellNames, ...] = ()
    reverse: tuple[CellNames, ...] = ()
    named: bool = False
    problem: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def used(self) -> set[str]:
        """Names of all tensors in the cells."""
        cells = (*self.layers, *self.reverse)
        return {n for c in cells for n in (c.w_ih, c.w_hh, c.b_ih, c.b_hh) if n is not None}


def find_cells(weights: Weights) -> Cells | None:
    """The recurrent cells among named tensors.

    Args:
        weights: the tensors by name, not read.

    Returns:
        The cells; None where no name speaks of recurrence.
    """
    if any(TORCH.fullmatch(n) and w.ndim == 2 for n, w in weights.items()) and not _bare_pair(weights):
        return _torch_cells(weights)
    return _named_cells(weights)


def _bare_pair(weights: Weights) -> bool:
    """Whether ``weight_ih`` and ``weight_hh`` are not a torch cell's: their rows are not a multiple of the hidden width."""
    if any((m := TORCH.fullmatch(n)) and m[2] == "weight_hr" for n in weights):
        return False  # an LSTM's hidden state is narrower where it is projected
    w_hh = next((w for n, w in weights.items() if (m := TORCH.fullmatch(n)) and m[2] == "weight_hh"), None)
    return w_hh is not None and w_hh.ndim == 2 and w_hh.shape[0] % max(1, w_hh.shape[1]) != 0


def _torch_cells(weights: Weights) -> Cells:
    """Cells of nn.RNN, nn.GRU and nn.LSTM, and of nn.RNNCell and the like, layer by layer."""
    groups: dict[tuple[str, int], dict[bool, dict[str, str]]] = {}
    for name in weights:
        if found := TORCH.fullmatch(name):
            prefix, part, layer, reverse = found.groups()
            shape = weights[name].shape
            if len(shape) != (2 if part.startswith("weight") else 1) or 0 in shape:
                return Cells(
                    problem=f"{name} has the shape {list(shape)}; no recurrent module of torch has such a tensor"
                )
            if part == "weight_hr":
                return Cells(
                    problem=f"{name} projects the hidden state of an nn.LSTM (proj_size), which our model does not"
                )
            groups.setdefault((prefix or "", int(layer or 0)), {}).setdefault(bool(reverse), {})[part] = name
    modules = list(dict.fromkeys(prefix for prefix, _ in groups))
    ordered = sorted(groups, key=lambda g: (natural(g[0]), g[1]))
    if len(modules) > 1 and re.search(r"enc|dec", " ".join(modules), re.IGNORECASE):
        return Cells(problem=f"an encoder and a decoder, not one recurrent network: {', '.join(modules)}")
    directions: dict[bool, list[CellNames]] = {False: [], True: []}
    for group in ordered:
        for reverse, parts in groups[group].items():
            if missing := [p for p in PARTS[:2] if p not in parts]:
                return Cells(problem=f"{'.'.join(filter(None, (group[0], missing[0])))} of layer {group[1]} is missing")
            directions[reverse].append(CellNames(*(parts.get(p) for p in PARTS)))  # pyright: ignore[reportArgumentType]
    if directions[True] and len(directions[True]) != len(directions[False]):
        return Cells(problem="some layers read in both directions and some in one")
    notes = (f"the recurrent modules are stacked in the order {' > '.join(sorted(modules, key=natural))}",)
    cells = Cells(tuple(directions[False]), tuple(directions[True]), notes=notes if len(modules) > 1 else ())
    return cells if not (problem := _stack_problem(weights, cells)) else Cells(problem=problem)


def _stack_problem(weights: Weights, cells: Cells) -> str:
    """Why torch's cells do not stack: each reads what the one before passes on."""
    first = weights[cells.layers[0].w_hh]
    kinds = {gates for gates in GATES.values() if first.shape[0] == gates * first.shape[1]}
    if not kinds:
        return f"{cells.layers[0].w_hh} {list(first.shape)} has neither 1, 3 nor 4 blocks of rows (RNN, GRU, LSTM)"
    passed = first.shape[1] * (2 if cells.reverse else 1)
    for layer, cell in enumerate(cells.layers):
        for one in (cell, *cells.reverse[layer : layer + 1]):
            w_ih, w_hh = weights[one.w_ih], weights[one.w_hh]
            reads = weights[cells.layers[0].w_ih].shape[-1] if layer == 0 else passed
            if w_hh.shape != first.shape or w_ih.shape != (first.shape[0], reads):
                return (
                    f"{one.w_ih} {list(w_ih.shape)} and {one.w_hh} {list(w_hh.shape)} do not stack as layer {layer}: "
                    f"[{first.shape[0]}, {reads}] and {list(first.shape)} are expected"
                )
            for bias in (one.b_ih, one.b_hh):
                if bias is not None and weights[bias].shape != first.shape[:1]:
                    return f"{bias} is {list(weights[bias].shape)}, expected [{first.shape[0]}]"
    return ""


def gates_of(shape: tuple[int, ...]) -> int:
    """How many square blocks a recurrent matrix has: 1, 3 (GRU) or 4 (LSTM); 0 for other shapes."""
    short, long = min(shape), max(shape)
    return next((n for n in GATES.values() if short and long == n * short), 0)


def module_of(name: str) -> str:
    """The name of a matrix's module: ``rnn.i2h`` of ``rnn.i2h.weight``, ``Wxh`` of ``Wxh``."""
    return next((name.removesuffix(s) for s in MATRIX if name.endswith(s)), name)


def role(name: str) -> str | None:
    """What a matrix maps, as its own name says.

    Args:
        name: of the tensor.

    Returns:
        ``input``, ``hidden`` or ``output``; None where the name does not say.

    >>> [role(n) for n in ("rnn.i2h.weight", "Whh", "hidden_to_output.weight", "cells.0.h2h.weight", "fc.weight")]
    ['input', 'hidden', 'output', 'hidden', None]
    """
    words = [w for w in module_of(name).split(".") if not w.isdecimal()]
    own = re.sub(r"[^a-z0-9]", "", words[-1].lower()) if words else ""
    return next((r for r, p in (("hidden", HIDDEN), ("input", INPUT), ("output", OUTPUT)) if p.fullmatch(own)), None)


def _named_cells(weights: Weights) -> Cells | None:
    """Cells of an input and a hidden matrix that are known by their names."""
    matrices = [n for n, w in weights.items() if w.ndim == 2 and min(w.shape) > 0]
    hidden = sorted((n for n in matrices if role(n) == "hidden"), key=natural)
    inputs = sorted((n for n in matrices if role(n) == "input"), key=natural)
    if not hidden:
        return _joined(weights, inputs)
    for name in hidden:
        if not gates_of(weights[name].shape):
            shape = list(weights[name].shape)
            return Cells(
                named=True, problem=f"{name} {shape} is recurrent by its name, but neither square nor of 3 or 4 gates"
            )
    if len(inputs) != len(hidden):
        return Cells(
            named=True,
            problem="every recurrent matrix needs one from the input; by their names recurrent: "
            f"{', '.join(hidden[:4])}, from the input: {', '.join(inputs[:4]) or 'none'}",
        )
    layers = tuple(
        CellNames(i, h, _bias_of(weights, i), _bias_of(weights, h)) for i, h in zip(inputs, hidden, strict=True)
    )
    return Cells(layers, named=True)


def _joined(weights: Weights, inputs: Sequence[str]) -> Cells | None:
    """One matrix over the input and the hidden state joined, as in torch's tutorial: ``i2h [hidden, in + hidden]``."""
    explicit = [n for n in inputs if re.search(r"(i|in|input|inp)(_?to_?|2)(h|hid|hidden)$", module_of(n).lower())]
    if len(explicit) != 1 or weights[explicit[0]].shape[1] <= weights[explicit[0]].shape[0]:
        return None
    return Cells((CellNames(explicit[0], explicit[0], _bias_of(weights, explicit[0])),), named=True)


def _bias_of(weights: Weights, matrix: str) -> str | None:
    """The bias of the module that a matrix belongs to."""
    name = f"{module_of(matrix)}.bias"
    return name if matrix != module_of(matrix) and name in weights else None
