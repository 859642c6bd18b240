"""What a transformer's forward pass may return: TransformerLens's ``return_type`` and ``stop_at_layer``."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from interp.errors import InterpError
from interp.hooked.transformer.config import TransformerConfig

RETURNS = ("logits", "loss", "both", None)


class LogitsAndLoss(NamedTuple):
    """What ``return_type="both"`` returns."""

    logits: Tensor
    loss: Tensor


def next_token_loss(logits: Tensor, tokens: Tensor, per_token: bool = False) -> Tensor:
    """Cross-entropy of the next token, as TransformerLens's ``lm_cross_entropy_loss``; no task is asked.

    Args:
        logits: ``[batch, pos, d_vocab]``; those of the last position are not judged.
        tokens: ``[batch, pos]``.
        per_token: one loss per position, instead of the mean.

    Returns:
        nats: one number, or ``[batch, pos - 1]``.
    """
    found = logits.log_softmax(-1)[..., :-1, :].gather(-1, tokens[..., 1:, None])[..., 0]
    return -found if per_token else -found.mean()


def check_returns(config: TransformerConfig, return_type: str | None, stop_at_layer: int | None) -> None:
    """Refuse what the model cannot return.

    Args:
        config: of the model.
        return_type: as given to its forward pass.
        stop_at_layer: the same.

    Raises:
        InterpError: an unknown return type, a layer that the model lacks, or a loss of the next token where positions or
            tokens have no logits.
    """
    if return_type not in RETURNS:
        raise InterpError(f"return_type must be one of {', '.join(map(repr, RETURNS))}, got {return_type!r}")
    if stop_at_layer is not None:
        low, high = -config.n_layers, config.n_layers
        if isinstance(stop_at_layer, bool) or not isinstance(stop_at_layer, int) or not low <= stop_at_layer <= high:
            raise InterpError(f"stop_at_layer must be a layer from {low} to {high}, got {stop_at_layer!r}")
    elif return_type in ("loss", "both"):
        if config.readout is not None:
            raise InterpError("the next token's loss needs logits at all positions, and this model computes one alone")
        if config.d_vocab_out < config.d_vocab:
            raise InterpError(
                f"the next token's loss needs a logit for each of {config.d_vocab} tokens, and the model has "
                f"{config.d_vocab_out}; interp.score(task, logits) gives a task's loss"
            )
