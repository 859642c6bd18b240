"""What stands before and behind a recurrent network's cells: an embedding, a read-out, biases and initial states."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from interp.checkpoints.layouts.base import Weights
from interp.checkpoints.layouts.recurrent_cells import Cells, module_of, role

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
        biases: of the cells, where they are bare vectors: ``b_ih`` and ``b_hh``.
        starts: initial hidden and cell states, by ``h_0`` and ``c_0``.
        in_out: orientations of the matrices that fit: whether they map from rows to columns.
        problem: why the tensors are no such network; empty if they are.
    """

    embedding: str | None = None
    readout: str | None = None
    readout_bias: str | None = None
    biases: Mapping[str, str] = field(default_factory=dict)
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
    biases, bias = _biases(weights, cells, readout, vectors, d_hidden, orientations[0])
    placed = {*starts.values(), *biases.values(), bias, table, readout}
    if left := [n for n in rest if n not in placed]:
        return Ends(problem=f"tensors that our recurrent network has no place for: {', '.join(left[:5])}")
    return Ends(table, readout, bias, biases, starts, orientations)


def _is_bias(name: str, shape: tuple[int, ...]) -> bool:
    """Whether a tensor is a vector, or a column or row whose name says that it is a bias (min-char-rnn's ``bh [n, 1]``)."""
    named = any(p.fullmatch(name.split(".")[-1]) for p in (HIDDEN_BIAS, INPUT_BIAS, OUTPUT_BIAS, PLAIN_BIAS))
    return len(shape) == 1 or (len(shape) == 2 and 1 in shape and named)


def _embedding(weights: Weights, cells: Cells, matrices: list[str]) -> str | None:
    """The table whose rows the first cell reads: by its name, and without a bias of its own."""
    width = weights[cells.layers[0].w_ih].shape
    for name in matrices:
        called = EMBEDDING.search(name) and role(name) is None
        if called and f"{module_of(name)}.bias" not in weights and weights[name].shape[1] in width:
            return name
    return None


def _orientations(
    weights: Weights, cells: Cells, table: str | None, readout: str | None, d_hidden: int
) -> tuple[bool, ...]:
    """Whether the matrices map from columns to rows (False), as torch's, or from rows to columns; both may fit."""
    state = d_hidden * (2 if cells.reverse else 1)
    if not cells.named:
        fits = readout is None or weights[readout].shape[1] == state
        return (False,) if fits and (table is None or _reads(weights, cells, table, False)) else ()
    # nn.Linear's are [out, in], Flax's kernels [in, out]; bare matrices are either
    allowed = {".weight": (False,), ".kernel": (True,)}.get(cells.layers[0].w_ih[-7:], (False, True))
    found = []
    for in_out in allowed:
        inputs = [weights[c.w_ih].shape[:: 1 if in_out else -1] for c in cells.layers]
        fits = all(shape[1] == d_hidden for shape in inputs) and all(shape[0] == d_hidden for shape in inputs[1:])
        fits = fits and all(weights[c.w_hh].shape[0] == d_hidden for c in cells.layers)
        fits = fits and (readout is None or weights[readout].shape[0 if in_out else 1] == d_hidden)
        if fits and (table is None or _reads(weights, cells, table, in_out)):
            found.append(in_out)
    return tuple(found)


def _reads(weights: Weights, cells: Cells, table: str, in_out: bool) -> bool:
    return weights[cells.layers[0].w_ih].shape[0 if in_out else 1] == weights[table].shape[1]


def _biases(
    weights: Weights, cells: Cells, readout: str | None, vectors: set[str], d_hidden: int, in_out: bool
) -> tuple[dict[str, str], str | None]:
    """Bare biases of a single cell by ``b_ih`` and ``b_hh``, and the read-out's bias."""
    d_out = weights[readout].shape[1 if in_out else 0] if readout else 0
    own = f"{module_of(readout)}.bias" if readout else ""
    bias = own if own in vectors and weights[own].numel == d_out else None
    found: dict[str, str] = {}
    for name in sorted(vectors - {bias}):
        word, size = name.split(".")[-1], math.prod(weights[name].shape)
        if OUTPUT_BIAS.fullmatch(word) and size == d_out and bias is None:
            bias = name
        elif HIDDEN_BIAS.fullmatch(word) and size == d_hidden and len(cells.layers) == 1:
            found["b_hh"] = name
        elif INPUT_BIAS.fullmatch(word) and size == d_hidden and len(cells.layers) == 1:
            found["b_ih"] = name
    plain = [n for n in vectors - {bias, *found.values()} if PLAIN_BIAS.fullmatch(n.split(".")[-1])]
    if len(plain) == 1 and not found and weights[plain[0]].numel == d_hidden and (bias or d_hidden != d_out):
        found["b_ih"] = plain[0]
    return found if cells.named else {}, bias
