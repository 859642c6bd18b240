"""The shape of a recurrent network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.activation_functions import make_activation
from interp.hooked.config import Config

GATES = {"rnn": 1, "gru": 3, "lstm": 4}  # blocks of the weights' columns, by kind of cell


@dataclass(frozen=True)
class RNNConfig(Config):
    """Shape of a `HookedRNN`.

    The input is either tokens ``[batch, pos]``, which are embedded, or vectors ``[batch, pos, d_in]``.

    Args:
        d_hidden: width of the hidden state.
        d_out: number of outputs; None for a network without read-out, whose outputs are its hidden states.
        cell: ``"rnn"`` (Elman), ``"gru"`` or ``"lstm"``, with the equations of torch's modules.
        n_layers: number of layers.
        d_vocab: number of tokens; None for vectors.
        d_embed: width of a token's embedding.
        d_in: width of vectors; None for tokens.
        act_fn: activation function of ``"rnn"`` cells, a key of `ACTIVATIONS`; the others have tanh.
        bias: whether cells have biases.
        unembed_bias: whether the read-out has a bias.
        bidirectional: whether every layer also reads the sequence from its end.
        read: whether outputs are read at the ``"last"`` step or at ``"each"``.
        reverse_read: of a bidirectional network read at the last step, where the reverse direction is read: at the
            ``"first"`` position, which it has reached last (torch's ``h_n``), or at the ``"last"`` (``output[:, -1]``).
        learned_start: whether the initial states are parameters; otherwise they are zero.
        n_ctx: gives each of so many steps a hook point of its own, and is the length of the longest sequence; None for
            sequences of any length.

    Raises:
        InterpError: values out of range, or that don't fit together.
        UnknownName: a kind of cell or an activation function that is not known.
    """

    kind: ClassVar[str] = "rnn"

    d_hidden: int
    d_out: int | None
    cell: Literal["rnn", "gru", "lstm"] = "rnn"
    n_layers: int = 1
    d_vocab: int | None = None
    d_embed: int | None = None
    d_in: int | None = None
    act_fn: str = "tanh"
    bias: bool = True
    unembed_bias: bool = True
    bidirectional: bool = False
    read: Literal["last", "each"] = "last"
    reverse_read: Literal["first", "last"] = "first"
    learned_start: bool = False
    n_ctx: int | None = None

    def __post_init__(self) -> None:
        if self.cell not in GATES:
            raise UnknownName(unknown("kind of recurrent cell", self.cell, GATES))
        if (self.d_vocab is None) == (self.d_in is None):
            raise InterpError("an RNNConfig takes either d_vocab (tokens in) or d_in (vectors in), not both")
        if self.d_vocab is not None and self.d_embed is None:
            raise InterpError("an RNNConfig with d_vocab also needs d_embed")
        optional = [name for name in ("d_out", "n_ctx") if getattr(self, name) is not None]
        self.require_counts(
            ("d_hidden", "n_layers", *optional, *(("d_in",) if self.d_vocab is None else ("d_vocab", "d_embed")))
        )
        self.require_few_steps(self.n_ctx or 0, self.n_layers * (2 if self.bidirectional else 1))
        if self.read not in ("last", "each") or self.reverse_read not in ("first", "last"):
            raise InterpError(
                "RNNConfig.read is 'last' or 'each' and reverse_read is 'first' or 'last'; "
                f"got {self.read!r} and {self.reverse_read!r}"
            )
        make_activation(self.act_fn)
        if self.cell != "rnn" and self.act_fn != "tanh":
            raise InterpError(
                f"the activation functions of a {self.cell} are fixed; act_fn={self.act_fn} is for rnn cells"
            )

    @property
    def width_in(self) -> int:
        """Number of inputs of the first layer."""
        return self.d_embed or self.d_in or 0

    @property
    def width_state(self) -> int:
        """Width of what a layer passes on at each step: the hidden states of its directions, joined."""
        return self.d_hidden * (2 if self.bidirectional else 1)
