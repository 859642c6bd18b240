"""Copying score: do the eigenvalues of a head's OV circuit say that it raises the logits of what it attends to?"""

from __future__ import annotations

import torch

from circuits.lens.head_scores import HeadScores
from circuits.lens.paths import PathWeights
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.subject import Subject


@torch.no_grad()
def copying_score(
    subject: Subject | HookedModel, *, fold_norms: bool = True, dtype: torch.dtype | None = None
) -> HeadScores:
    """Copying score of every head: ``sum(eigenvalues) / sum(|eigenvalues|)`` of its OV circuit ``W_E W_V W_O W_U``.

    1 if all eigenvalues are positive: attending to tokens raises the logits of the same tokens. -1 if all are negative; near 0
    for a head that does neither. The eigenvalues that are not 0 are those of the small matrix ``W_O W_U W_E W_V``.

    Args:
        subject: a transformer or a wrapped bridge, whose first logits belong to its first tokens.
        fold_norms: multiply in the norms' weights.
        dtype: the subject's precision (float64) by default.

    Returns:
        ``copying`` by head, and the complex eigenvalues. Tokens without a logit (such as ``=``) are left out.

    Raises:
        InterpError: more logits than tokens, or another kind of network.

    Elhage et al. 2021, A Mathematical Framework for Transformer Circuits,
    https://transformer-circuits.pub/2021/framework/index.html. It misleads where tokens and answers with the same number mean
    different things, and where a head reads what earlier layers wrote.
    """
    weights = PathWeights.of(subject, fold_norms, dtype)
    tokens, logits = weights.writes("embed"), weights.reads("unembed")
    if logits.shape[1] > len(tokens):
        raise InterpError(
            f"a token is copied to its own logit; there are {len(tokens)} tokens and {logits.shape[1]} logits"
        )
    through = logits @ tokens[: logits.shape[1]]  # [d_model, d_model]
    small = weights.model.W_O.detach() @ through @ weights.read_by_all("V")
    found = torch.linalg.eigvals(small.double() if small.dtype in (torch.float16, torch.bfloat16) else small)
    score = found.sum(-1).real / found.abs().sum(-1)
    notes = {"tokens": logits.shape[1], "tokens_without_a_logit": len(tokens) - logits.shape[1]}
    return HeadScores(
        {"copying": score}, {"copying": 0.0}, "attn.hook_z", notes, found, "sum of eigenvalues / sum of sizes"
    )
