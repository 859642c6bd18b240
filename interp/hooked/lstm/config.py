"""The shape of an LSTM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from interp.hooked.config import Config
from interp.hooked.dropout import check_rate


@dataclass(frozen=True)
class LSTMConfig(Config):
    """Shape of a `HookedLSTM`.

    Args:
        d_vocab: number of tokens.
        d_embed: width of a token's embedding.
        d_hidden: width of the hidden and cell states.
        n_layers: number of layers.
        d_out: number of outputs.
        n_ctx: length of the longest sequence.
        dropout: rate at which entries drop out of the embedding, of what a layer passes to the next, and of what the
            unembedding reads; never of the state that a layer passes to its own next step.

    Raises:
        InterpError: a value outside its range.
    """

    kind: ClassVar[str] = "lstm"

    d_vocab: int
    d_embed: int
    d_hidden: int
    n_layers: int
    d_out: int
    n_ctx: int
    dropout: float = 0.0

    def __post_init__(self) -> None:
        self.require_counts(("d_vocab", "d_embed", "d_hidden", "n_layers", "d_out", "n_ctx"))
        self.require_few_steps(self.n_ctx, self.n_layers)
        check_rate(self.dropout)
