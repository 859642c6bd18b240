"""What stands before and behind a recurrent network's cells: an embedding, a read-out, biases and initial states."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from interp.checkpoints.layouts.base import Weights
from interp.checkpoints.layouts.block_names import natural
from interp.checkpoints.layouts.recurrent_cells import Cells, gates_of, module_of, role

EMBEDDING = re.compile(r"emb|wte|lookup|token|char|word|encoder|\bwe\b|w_e\b", re.IGNORECASE)
START_H = re.compile(
    r"(?:.*[._])?(?:h_?0|hidden_?0|h_?init|hidden_?init|init(?:ial)?_?(?:h|hid|hidden|state|hidden_?state))",
    re.IGNORECASE,
)
START_C = re.compile(
    r"(?:.*[._])?(?:c_?0|cell_?0|c_?init|cell_?init|init(?:ial)?_?(?:c|cell|cell_?state))", re.IGNORECASE
)
HIDDEN_BIAS = re.compile(r"b(?:ias)?_?(?:h|hh|a|rec|hidden|recurrent)", re.IGNORECASE)
INPUT_BIAS = re.compile(r"b(?:ias)?_?(?:ih|xh|x|i|in|input)", re.IGNORECASE)
OUTPUT_BIAS = re.compile(r"b(?:ias)?_?(?:y|o|q|z|u|ho|hy|hq|out|output|readout|fc)", re.IGNORECASE)
PLAIN_BIAS = re.compile(r"b(?:ias)?", re.IGNORECASE)


@dataclass(frozen=True)
class Ends:
    """The names of the tensors before and behind the cells.

    Attributes:
        embedding: the table of tokens.
        readout: the matrix behind the cells.
        readout_bias: its bias.
        biases: of the cells, layer by layer, where they are bare vectors: ``b_ih`` and ``b_hh``.
        starts: initial hidden and cell states, by ``h_0`` and ``c_0``.
        in_out: orientations of the matrices that fit: whether they map from rows to columns.
        problem: why the tensors are no such network; empty if they are.
    """

    embedding: str | None = None
    readout: str | None = None
    readout_bias: str | None = None
    biases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    starts: Mapping[str, str] = field(default_factory=dict)
    in_out: tuple[bool, ...] = (False,)
    problem: str = ""


def find_ends(weights: Weights, cells: Cells, d_hidden: int) -> Ends:
    """Everything but the cells.

    Args:
        weights: the tensors by name, not read.
        cells: those that were found.
        d_hidden: width of the hidden state.

    Returns:
        The names; a problem where a tensor has no place.
    """
    rest = {n: w for n, w in weights.items() if n not in cells.used}
    starts = {part: n for part, p in (("h_0", START_H), ("c_0", START_C)) for n in rest if p.fullmatch(n)}
    rest = {n: w for n, w in rest.items() if n not in starts.values()}
    vectors = {n for n, w in rest.items() if _is_bias(n, w.shape)}
    matrices = [n for n, w in rest.items() if w.ndim == 2 and n not in vectors]
    table = _embedding(weights, cells, matrices)
    behind = [n for n in matrices if n != table]
    if len(behind) > 1:
        return Ends(problem=f"several matrices besides the cells: {', '.join(behind[:5])}; our model has one read-out")
    readout = behind[0] if behind else None
    orientations = _orientations(weights, cells, table, readout, d_hidden)
    if not orientations:
        shapes = ", ".join(
            f"{n} {list(weights[n].shape)}" for n in (cells.layers[0].w_ih, cells.layers[0].w_hh, *behind)
        )
        return Ends(problem=f"the shapes do not fit together: {shapes}")
    gates = 1 if cells.layers[0].w_ih == cells.layers[0].w_hh else gates_of(weights[cells.layers[0].w_hh].shape)
    biases, bias = _biases(weights, cells, readout, vectors, gates * d_hidden, orientations[0])
    placed = {*starts.values(), *(n for names in biases.values() for n in names), bias, table, readout}
    if left := [n for n in rest if n not in placed]:
        return Ends(problem=f"tensors that our recurrent network has no place for: {', '.join(left[:5])}")
    return Ends(table, readout, bias, biases, starts, orientations)


def _is_bias(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor is a vector, or a column or row whose name says that it is a bias (min-char-rnn's ``bh [n, 1]``)."""
    named = any(p.fullmatch(_word(name)) for p in (HIDDEN_BIAS, INPUT_BIAS, OUTPUT_BIAS, PLAIN_BIAS))
    return len(shape) == 1 or (len(shape) == 2 and 1 in shape and named)


def _embedding(weights: Weights, cells: Cells, matrices: list[str]) -> str | None:
    """The table whose rows the first cell reads: by its name, and without a bias of its own."""
    width = weights[cells.layers[0].w_ih].shape
    for name in matrices:
        called = EMBEDDING.search(name) and role(name) is None
        if called and f"{module_of(name)}.bias" not in weights and weights[name].shape[1] in width:
            return name
    return None


def from_rows(name: str, in_out: bool) -> bool:
    """Whether a matrix maps from its rows: Flax's kernels do, nn.Linear's weights don't, bare matrices as ``in_out`` says."""
    return {".weight": False, ".kernel": True}.get(name[-7:], in_out)


def _orientations(
    weights: Weights, cells: Cells, table: str | None, readout: str | None, d_hidden: int
) -> tuple[bool, ...]:
    """Whether bare matrices map from columns to rows (False) or from rows to columns; both may fit."""
    state = d_hidden * (2 if cells.reverse else 1)

    def mapped(name: str, in_out: bool) -> tuple[int, ...]:
        """Widths of a matrix's input and output."""
        return weights[name].shape[:: 1 if from_rows(name, in_out) else -1]

    found = []
    for in_out in (False, True) if cells.named else (False,):
        joined = cells.layers[0].w_ih == cells.layers[0].w_hh
        out = d_hidden if joined else d_hidden * gates_of(weights[cells.layers[0].w_hh].shape)
        fits = readout is None or mapped(readout, in_out)[0] == state
        fits &= table is None or mapped(cells.layers[0].w_ih, in_out)[0] == weights[table].shape[1]
        for i, cell in enumerate(cells.layers if cells.named else ()):  # torch's are checked where they are found
            fits &= mapped(cell.w_ih, in_out)[1] == out and (i == 0 or mapped(cell.w_ih, in_out)[0] == d_hidden)
            fits &= joined or mapped(cell.w_hh, in_out) == (d_hidden, out)
        if fits:
            found.append(in_out)
    matrices = [n for c in cells.layers for n in (c.w_ih, c.w_hh)]
    bare = cells.named and any(from_rows(n, False) != from_rows(n, True) for n in matrices)
    return tuple(found) if bare else tuple(found[:1])


def _biases(
    weights: Weights, cells: Cells, readout: str | None, vectors: set[str], width: int, in_out: bool
) -> tuple[dict[str, tuple[str, ...]], str | None]:
    """Bare biases of the layers by ``b_ih`` and ``b_hh``, each a vector of a ``width``, and the read-out's bias."""
    d_out = weights[readout].shape[1 if from_rows(readout, in_out) else 0] if readout else 0
    own = f"{module_of(readout)}.bias" if readout else ""
    bias = own if own in vectors and weights[own].numel == d_out else None
    if bias is None:
        called = [n for n in sorted(vectors) if OUTPUT_BIAS.fullmatch(_word(n)) and weights[n].numel == d_out]
        bias = called[0] if called else None
    found: dict[str, tuple[str, ...]] = {}
    for part, pattern in (("b_hh", HIDDEN_BIAS), ("b_ih", INPUT_BIAS), ("b_ih", PLAIN_BIAS)):
        names = [n for n in vectors - {bias} if pattern.fullmatch(_word(n)) and weights[n].numel == width]
        surely = pattern is not PLAIN_BIAS or (not found and (bias is not None or width != d_out))
        if surely and len(names) == len(cells.layers) and cells.named:
            found[part] = tuple(sorted(names, key=natural))
    return found, bias


def _word(name: str) -> str:
    """The last part of a name that is not a number."""
    return next((part for part in reversed(name.split(".")) if not part.isdecimal()), name)
