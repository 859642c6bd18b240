"""Irreducible representations in embeddings, logits and neurons, as functions of tensors."""

from __future__ import annotations

from probes.representations.logits import (
    LogitShares,
    key_representations,
    logit_shares,
    logit_threshold,
    quotient_means,
)
from probes.representations.tables import neuron_shares, product_means, shares

__all__ = [
    "LogitShares", "key_representations", "logit_shares", "logit_threshold", "neuron_shares", "product_means",
    "quotient_means", "shares",
]  # fmt: skip
