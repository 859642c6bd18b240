"""Detectors of attention heads: how much a head attends to the previous token, to a duplicate, or where induction looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from circuits.engine.arguments import require_whole
from circuits.engine.budget import DEFAULT_BYTES
from circuits.lens.asked import asked
from circuits.lens.head_scores import HeadScores
from interp.activations.capture import capture
from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.base import HookedModel
from interp.subject import Subject, as_subject
from probes.unembedding import require_transformer


def current_token(tokens: Int[Tensor, "n pos"]) -> Bool[Tensor, "n query key"]:
    """Each position itself."""
    return torch.eye(tokens.shape[1], dtype=torch.bool, device=tokens.device).expand(len(tokens), -1, -1)


def previous_token(tokens: Int[Tensor, "n pos"]) -> Bool[Tensor, "n query key"]:
    """The position before."""
    n = tokens.shape[1]
    return torch.eye(n, dtype=torch.bool, device=tokens.device).roll(1, 0).tril(-1).expand(len(tokens), -1, -1)


def duplicate_token(tokens: Int[Tensor, "n pos"]) -> Bool[Tensor, "n query key"]:
    """Earlier positions with the same token."""
    return (tokens[:, :, None] == tokens[:, None]).tril(-1)


def induction(tokens: Int[Tensor, "n pos"]) -> Bool[Tensor, "n query key"]:
    """Positions right after an earlier one with the same token."""
    return duplicate_token(tokens).roll(1, 2).tril() & (torch.arange(tokens.shape[1], device=tokens.device) > 0)


DETECTORS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "previous token": previous_token, "current token": current_token, "duplicate token": duplicate_token,
    "induction": induction,
}  # fmt: skip


@torch.no_grad()
def head_detectors(
    subject: Subject | HookedModel,
    inputs: Tensor | None = None,
    *,
    detectors: str | Sequence[str] | None = None,
    length: int | None = None,
    n: int = 64,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
) -> HeadScores:
    """Scores of attention heads: the attention that each pays where a kind of head would look.

    A score is the mean over the queries that have such a place: ``previous token`` (the position before), ``current token``
    (itself), ``duplicate token`` (earlier ones with the same token), ``induction`` (right after an earlier one with the same
    token). It is compared with uniform attention over all that a query may see.

    Args:
        subject: a transformer or a wrapped bridge.
        inputs: ``[n, pos]``; by default random tokens, repeated once, or the task's examples where the context has fewer than
            four positions.
        detectors: which; all by default.
        length: of the random part that is repeated; by default half the context, at most 25.
        n: random sequences.
        seed: of these.
        dtype: the subject's precision (float64) by default.
        max_bytes: of one batch's patterns.

    Returns:
        scores by detector and head; NaN where no query has such a place.

    Raises:
        UnknownName: no such detector.
        InterpError: no detector, inputs that do not fit, or another kind of network.

    Olsson et al. 2022, In-context Learning and Induction Heads, https://arxiv.org/abs/2209.11895. A pattern shows where a head
    looks, not what it does with that: patch it to see.
    """
    subject = as_subject(subject)
    model = require_transformer(subject.model)
    chosen = list(DETECTORS) if detectors is None else [detectors] if isinstance(detectors, str) else list(detectors)
    if not chosen:
        raise InterpError(f"no detectors were named; there are {', '.join(DETECTORS)}")
    for name in chosen:
        if name not in DETECTORS:
            raise UnknownName(unknown("detector", name, DETECTORS))
    random = inputs is None and (model.cfg.n_ctx >= 4 or subject.task is None)
    if random:
        inputs = repeated_tokens(model, length, n, seed)
    given = asked(subject, inputs, None, None, dtype)
    names = [f"blocks.{i}.attn.hook_pattern" for i in range(model.cfg.n_layers)]
    shape = (model.cfg.n_layers, model.cfg.n_heads)
    sums = {name: torch.zeros(shape, dtype=torch.float64, device=given.inputs.device) for name in chosen}
    uniform, counts = dict.fromkeys(chosen, 0.0), dict.fromkeys(chosen, 0)
    pos = given.inputs.shape[1]
    for tokens in given.inputs.split(max(1, max_bytes // (8 * shape[0] * shape[1] * pos * pos))):
        found = capture(given.model, tokens, names)
        for name in chosen:
            mask = DETECTORS[name](tokens)
            has = mask.any(-1)
            for layer, site in enumerate(names):
                own = (found[site].double() * mask[:, None]).sum(-1)  # [n, head, query]
                sums[name][layer] += (own * has[:, None]).sum((0, 2))
            seen = (
                torch.arange(1, pos + 1, device=mask.device)
                if _causal(model)
                else torch.tensor(pos, device=mask.device)
            )
            uniform[name] += float((mask.sum(-1) / seen * has).sum())
            counts[name] += int(has.sum())
    nan = float("nan")
    scores = {name: sums[name] / counts[name] if counts[name] else sums[name] * nan for name in chosen}
    baseline = {name: uniform[name] / counts[name] if counts[name] else nan for name in chosen}
    inputs_text = (
        f"{len(given.inputs)} sequences of random tokens, repeated" if random else f"{len(given.inputs)} inputs"
    )
    return HeadScores(
        scores,
        baseline,
        "attn.hook_pattern",
        {"inputs": inputs_text, "seed": seed} if random else {"inputs": inputs_text},
        unit="attention share",
    )


def repeated_tokens(model: HookedModel, length: int | None = None, n: int = 64, seed: int = 0) -> Int[Tensor, "n pos"]:
    """Random tokens followed by the same tokens again: the inputs on which induction can be told from everything else.

    Args:
        model: a transformer, for its vocabulary and context.
        length: of the random part; by default half the context, at most 25.
        n: how many sequences.
        seed: of the tokens.

    Returns:
        ``[n, 2 length]``.

    Raises:
        InterpError: the context is too short.
    """
    cfg = require_transformer(model).cfg
    if length is not None:
        require_whole("length", length, 2)
    require_whole("n", n, 1)
    length = min(25, cfg.n_ctx // 2) if length is None else length
    if length < 2 or 2 * length > cfg.n_ctx:
        raise InterpError(
            f"a context of {cfg.n_ctx} positions holds no repeated sequence of {max(length, 2)}: give inputs"
        )
    tokens = torch.randint(cfg.d_vocab, (n, length), generator=torch.Generator().manual_seed(seed))
    return torch.cat([tokens, tokens], 1)


def _causal(model: HookedModel) -> bool:
    return getattr(require_transformer(model).cfg, "attention_dir", "causal") == "causal"
