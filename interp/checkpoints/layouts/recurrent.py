"""Recurrent networks: nn.RNN, nn.GRU, nn.LSTM and their cells, and cells of Linear layers that are known by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from interp.checkpoints.formats.header import HEADER
from interp.checkpoints.layouts.activations import stated_activation
from interp.checkpoints.layouts.base import Converted, FileInfo, Fit, Layout, Weights, option_value
from interp.checkpoints.layouts.recurrent_cells import CellNames, Cells, find_cells, gates_of
from interp.checkpoints.layouts.recurrent_ends import Ends, find_ends, from_rows
from interp.errors import AmbiguousLayout, InterpError, UnknownLayout
from interp.hooked.rnn.config import GATES, RNNConfig

JOINS = ("input_hidden", "hidden_input")


class RecurrentLayout(Layout):
    """One stack of recurrent cells, behind an embedding or not, before one Linear read-out or none."""

    name = "recurrent"
    summary = (
        "nn.RNN, nn.GRU, nn.LSTM and their cells (weight_ih_l0 ...), and cells of Linear layers (i2h, h2h; Wxh, Whh)"
    )
    options: ClassVar[Mapping[str, str]] = {
        "act_fn": "of RNN cells, which a state dict does not state: tanh (the default), relu, ...",
        "read": "where the outputs are read: last (step) or each",
        "reverse_read": "of a bidirectional network read at the last step: first (as h_n) or last (output[:, -1])",
        "orientation": "of bare matrices: out_in (Wxh @ x) or in_out (x @ Wxh), if both fit",
        "gates": "torch, if a GRU or LSTM made of Linear layers has its gates in torch's order",
        "joined": "of one matrix over input and hidden state joined: input_hidden or hidden_input, as they are concatenated",
        "n_ctx": "give each of so many steps a hook point of its own",
    }

    @override
    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        cells = None if HEADER in info.metadata else find_cells(weights)  # our own files say what they hold
        if cells is None:
            return Fit(False, 0.0, "no names of recurrent cells (weight_hh_l0, h2h, Whh)")
        problem = cells.problem or find_ends(weights, cells, _width(weights, cells)).problem
        if problem:
            return Fit(False, 0.8, problem)
        made = cells.named and not _is_joined(cells) and _gates(weights, cells) > 1
        question = "joined must be given" if _is_joined(cells) else "gates must be given" if made else ""
        # the names say that it is recurrent, whatever else the shapes would fit
        return Fit(True, 1.0, certain=True, question=question)

    @override
    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        cells = find_cells(weights)
        if cells is None or cells.problem:
            raise UnknownLayout(f"recurrent: {cells.problem if cells else 'no names of recurrent cells'}")
        d_hidden = _width(weights, cells)
        ends = find_ends(weights, cells, d_hidden)
        if ends.problem:
            raise UnknownLayout(f"recurrent: {ends.problem}")
        in_out, join = self._orientation(ends, options), self._join(weights, cells, options)
        notes = [*cells.notes]
        if "c_0" in ends.starts and _gates(weights, cells) != GATES["lstm"]:
            raise UnknownLayout(f"recurrent: {ends.starts['c_0']} is a cell state by its name, which only an LSTM has")
        config = self._config(weights, info, cells, ends, d_hidden, in_out, join, options, notes)
        converted = _cells_weights(weights, cells, ends, config, in_out, join)
        if ends.embedding is not None:
            converted["embed.W_E"] = weights[ends.embedding].load()
        if ends.readout is not None:
            matrix = weights[ends.readout].load()
            converted["unembed.W_U"] = matrix if from_rows(ends.readout, in_out) else matrix.T
        if ends.readout_bias is not None:
            converted["unembed.b_U"] = weights[ends.readout_bias].load().flatten()
        return Converted(config, converted, notes=tuple(notes))

    def _config(
        self, weights: Weights, info: FileInfo, cells: Cells, ends: Ends, d_hidden: int, in_out: bool, join: str | None,
        options: Mapping[str, Any], notes: list[str],
    ) -> RNNConfig:  # fmt: skip
        """The config; what it assumes is added to ``notes``."""
        first, behind = cells.layers[0].w_ih, ends.readout
        d_in = weights[first].shape[0 if from_rows(first, in_out) else 1] - (d_hidden if join else 0)
        d_out = None if behind is None else weights[behind].shape[1 if from_rows(behind, in_out) else 0]
        table = None if ends.embedding is None else weights[ends.embedding].shape
        gates = _gates(weights, cells)
        cell = next(kind for kind, n in GATES.items() if n == gates)
        self._check_gates(weights, cells, cell, options)
        notes += self._said(cells, ends, cell, join, in_out)
        return RNNConfig(
            d_hidden, d_out, cell,  # pyright: ignore[reportArgumentType]  a key of GATES
            n_layers=len(cells.layers), d_vocab=table[0] if table else None, d_embed=table[1] if table else None,
            d_in=None if table else d_in, act_fn=self._act_fn(cell, info, options, notes),
            bias=bool(ends.biases) or any(c.b_ih or c.b_hh for c in (*cells.layers, *cells.reverse)),
            unembed_bias=ends.readout_bias is not None, bidirectional=bool(cells.reverse),
            **self._read(d_out, table[0] if table else d_in, bool(cells.reverse), options, notes),
            learned_start=bool(ends.starts), n_ctx=self._n_ctx(options),
        )  # fmt: skip

    def _said(self, cells: Cells, ends: Ends, cell: str, join: str | None, in_out: bool) -> list[str]:
        """What names and shapes were read as."""
        said = []
        if cells.named:
            one, behind = cells.layers[0], f", then {ends.readout}" if ends.readout else ""
            arrow = "the input and the state joined" if join else "the input"
            said.append(
                f"read as a recurrent network ({cell}) by its names, which a feed-forward network might have too: h = act("
                f"{one.w_ih} of {arrow}"
                + ("" if join else f" + {one.w_hh} of the state before")
                + f"){behind}; without a leak or time constant, which weights do not state"
            )
            if not one.w_ih.endswith((".weight", ".kernel")):
                said.append(
                    "all matrices, the square one too, read as "
                    f"{'x @ W, [in, out]' if in_out else 'W @ x, [out, in]'}, by the shapes of the others"
                )
        if not ends.starts:
            said.append("the initial state is assumed to be zero, which the file does not state")
        if ends.readout is None:
            said.append(f"there is no read-out behind the {cell} cells: the outputs are the hidden states")
        return said

    def _act_fn(self, cell: str, info: FileInfo, options: Mapping[str, Any], notes: list[str]) -> str:
        if cell != "rnn":
            if "act_fn" in options:
                raise InterpError(f"layout recurrent: act_fn is for RNN cells; a {cell.upper()}'s functions are fixed")
            return "tanh"
        mode = str(info.config.get("rnn_type", info.config.get("mode", ""))).upper()
        stated = stated_activation(info.config, options) or {"RNN_TANH": "tanh", "RNN_RELU": "relu"}.get(mode)
        if stated is None:
            notes.append(
                "activation assumed to be tanh, torch's default, which the file does not state "
                "(--layout recurrent:act_fn=relu for ReLU)"
            )
        return stated or "tanh"

    def _read(
        self, d_out: int | None, symbols: int, bidirectional: bool, options: Mapping[str, Any], notes: list[str]
    ) -> dict[str, Any]:
        """Where the outputs are read: as asked, or each step where outputs are as many as symbols, else the last."""
        read = option_value(self, options, "read", ("last", "each"))
        reverse = option_value(self, options, "reverse_read", ("first", "last"))
        if read is None:
            read, other = ("each", "last") if d_out in (symbols, None) else ("last", "each")
            why = {None: "without a read-out", symbols: "as many outputs as inputs"}.get(
                d_out, "fewer or more outputs than inputs"
            )
            notes.append(
                f"outputs are read at {'each step' if read == 'each' else 'the last step'} ({why}), which the file does not "
                f"state (--layout recurrent:read={other})"
            )
        if bidirectional and read == "last" and reverse is None:
            notes.append(
                "the reverse direction is read at the first position, as h_n has it "
                "(--layout recurrent:reverse_read=last for output[:, -1])"
            )
        return {"read": read, "reverse_read": reverse or "first"}

    def _check_gates(self, weights: Weights, cells: Cells, cell: str, options: Mapping[str, Any]) -> None:
        """Ask for the order of gates, where names and shapes do not settle it."""
        given = option_value(self, options, "gates", ("torch",))
        if cells.named and cell != "rnn" and given is None:
            name, order = (
                cells.layers[0].w_hh,
                "reset, update, candidate" if cell == "gru" else "input, forget, cell, output",
            )
            raise AmbiguousLayout(
                f"recurrent: {name} {list(weights[name].shape)} is a {cell.upper()} made of Linear layers, whose order of gates "
                f"weights do not state; give --layout recurrent:gates=torch if it is torch's ({order}), else wrap your class"
            )

    def _n_ctx(self, options: Mapping[str, Any]) -> int | None:
        given = options.get("n_ctx")
        if given is not None and (not isinstance(given, int) or isinstance(given, bool) or given < 1):
            raise InterpError(f"layout recurrent: n_ctx must be a whole number of at least 1, got {given!r}")
        return given

    def _orientation(self, ends: Ends, options: Mapping[str, Any]) -> bool:
        """Whether matrices are ``[in, out]``."""
        given = option_value(self, options, "orientation", ("out_in", "in_out"))
        if given is not None and (given == "in_out") not in ends.in_out:
            raise UnknownLayout(f"recurrent: the shapes do not fit orientation={given}")
        if given is None and len(ends.in_out) > 1:
            raise AmbiguousLayout(
                "recurrent: all matrices are square, so they fit as W @ x and as x @ W; choose with "
                "--layout recurrent:orientation=out_in (W @ x) or in_out (x @ W)"
            )
        return False not in ends.in_out if given is None else given == "in_out"

    def _join(self, weights: Weights, cells: Cells, options: Mapping[str, Any]) -> str | None:
        """How the input and the state are joined; None for cells with a matrix for each."""
        given = option_value(self, options, "joined", JOINS)
        if not _is_joined(cells):
            if given is not None:
                raise InterpError(
                    "layout recurrent: joined is for one matrix over input and hidden state; this file has two"
                )
            return None
        if given is None:
            name, shape = cells.layers[0].w_ih, list(weights[cells.layers[0].w_ih].shape)
            raise AmbiguousLayout(
                f"recurrent: {name} {shape} may read {shape[1] - shape[0]} inputs joined with the {shape[0]} hidden units: "
                "choose with --layout recurrent:joined=input_hidden or hidden_input, as torch.cat has them; or it reads "
                f"{shape[1]} inputs and nothing is recurrent: --layout linear_chain"
            )
        return given


def _width(weights: Weights, cells: Cells) -> int:
    """Width of the hidden state."""
    one = cells.layers[0]
    return weights[one.w_ih].shape[0] if _is_joined(cells) else min(weights[one.w_hh].shape)


def _gates(weights: Weights, cells: Cells) -> int:
    """Number of blocks of the recurrent matrix."""
    return 1 if _is_joined(cells) else gates_of(weights[cells.layers[0].w_hh].shape)


def _is_joined(cells: Cells) -> bool:
    return cells.named and cells.layers[0].w_ih == cells.layers[0].w_hh


def _cells_weights(
    weights: Weights, cells: Cells, ends: Ends, config: RNNConfig, in_out: bool, join: str | None
) -> dict[str, Tensor]:
    """The cells' tensors under our names; a bias that the file lacks is zero."""
    converted: dict[str, Tensor] = {}
    places = [(f"layers.{i}", i, cell) for i, cell in enumerate(cells.layers)]
    places += [(f"layers.{i}.reverse", i, cell) for i, cell in enumerate(cells.reverse)]
    for place, layer, cell in places:
        w_ih, w_hh = _matrices(weights, cell, config.d_hidden, in_out, join)
        converted |= {f"{place}.W_ih": w_ih, f"{place}.W_hh": w_hh}
        for part, name in (("b_ih", cell.b_ih), ("b_hh", cell.b_hh)) if config.bias else ():
            name = ends.biases[part][layer] if part in ends.biases else name
            zeros = torch.zeros(w_hh.shape[1], dtype=w_hh.dtype)
            converted[f"{place}.{part}"] = zeros if name is None else weights[name].load().flatten()
    for part in ("h_0", "c_0")[: 2 if config.cell == "lstm" else 1] if config.learned_start else ():
        for place, state in zip(_torch_order(config), _states(weights, ends.starts.get(part), config), strict=True):
            converted[f"{place}.{part}"] = state
    return converted


def _matrices(
    weights: Weights, cell: CellNames, d_hidden: int, in_out: bool, join: str | None
) -> tuple[Tensor, Tensor]:
    """``W_ih`` and ``W_hh`` of a cell ``[in, out]``."""
    w_ih, w_hh = (
        weights[name].load() if from_rows(name, in_out) else weights[name].load().T for name in (cell.w_ih, cell.w_hh)
    )
    if join == "input_hidden":
        return w_ih[:-d_hidden], w_hh[-d_hidden:]
    return (w_ih[d_hidden:], w_hh[:d_hidden]) if join == "hidden_input" else (w_ih, w_hh)


def _torch_order(config: RNNConfig) -> list[str]:
    """The places of the cells, in the order of torch's initial states: the directions of a layer side by side."""
    ways = ("", ".reverse") if config.bidirectional else ("",)
    return [f"layers.{layer}{way}" for layer in range(config.n_layers) for way in ways]


def _states(weights: Weights, name: str | None, config: RNNConfig) -> Tensor:
    """Initial states ``[cell, hidden]``, stored with or without an axis for the batch; zero where the file has none."""
    places = _torch_order(config)
    if name is None:
        return torch.zeros(len(places), config.d_hidden, dtype=next(iter(weights.values())).dtype)
    wanted = len(places) * config.d_hidden
    if weights[name].numel != wanted:
        raise UnknownLayout(
            f"recurrent: the initial state {name} {list(weights[name].shape)} is not one for each of {len(places)} cells of "
            f"{config.d_hidden} units"
        )
    return weights[name].load().reshape(len(places), config.d_hidden)


LAYOUT = RecurrentLayout()
