"""Known circuits in a narrower residual stream, in which no direction is a variable any more."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from circuits.known.known_circuit import KnownCircuit, known_circuit
from circuits.known.programs import sort
from interp.errors import InterpError, kind_of, require_range
from interp.hooked import HookedTransformer


def compressed(known: KnownCircuit | None = None, d_model: int | None = None) -> KnownCircuit:
    """The same network in as few dimensions of the residual stream as compute the same.

    All that is written into the stream, the rows of ``A`` (embeddings, ``W_O``, ``b_O``, ``W_out``, ``b_out``), meets all that
    reads from it, the columns of ``B`` (``W_Q``, ``W_K``, ``W_V``, ``W_in``, ``W_U``), only in their product. Its singular value
    decomposition ``A B = U S V^T`` gives new ones, ``U sqrt(S)`` and ``sqrt(S) V^T``, with as many dimensions as ``A B`` has
    rank. Subspaces of variables that were orthogonal share dimensions; what nobody reads is gone. Tracr trains such a
    projection (Lindner et al. 2023, https://arxiv.org/abs/2301.05062, section 5).

    With fewer dimensions than that, the smallest singular values are left out: everything that is written then arrives a
    little at everything that reads. These edges are in ``interference``, and the answers must still be right.

    Args:
        known: the circuit of a transformer; None: `sort`.
        d_model: dimensions; None: as many as compute the same.

    Returns:
        the known circuit of the narrower network, with the same edges.

    Raises:
        InterpError: another kind of network, one with norms, or too few dimensions for all answers to be right.
    """
    known = sort() if known is None else known
    if not isinstance(known, KnownCircuit) or not isinstance(known.subject.model, HookedTransformer):
        raise InterpError(f"compressed takes the known circuit of a transformer, got {kind_of(known)}")
    model = known.subject.model
    writers, readers = _writers(model), _readers(model)
    left, sizes, right = torch.linalg.svd(torch.cat(writers) @ torch.cat(readers, 1), full_matrices=False)
    exact = int((sizes > 1e-10 * sizes[0]).sum())
    left, right = _settled(left[:, :exact], sizes[:exact], right[:exact])
    rank = exact if d_model is None else d_model
    require_range("d_model", rank, 1, exact)
    new_writers = (left[:, :rank] * sizes[:rank].sqrt()).split([len(w) for w in writers])
    new_readers = (sizes[:rank].sqrt()[:, None] * right[:rank]).split([r.shape[1] for r in readers], 1)
    narrow = HookedTransformer(replace(model.config, d_model=rank)).double()
    with torch.no_grad():
        for parameter, old in zip(narrow.parameters(), model.parameters(), strict=True):
            if parameter.shape == old.shape:
                parameter.copy_(old)
        _put(narrow, list(new_writers), list(new_readers))
    name = f"{'interfering' if rank < exact else 'compressed'}_{known.name}"
    subject = replace(known.subject, name=name, model=narrow)
    why = f"{known.why} Its stream has {rank} dimensions for variables that would take {model.config.d_model}."
    made = known_circuit(name, subject, why, known.redundant, known.metric)
    return replace(
        made, clean=known.clean, corrupted=known.corrupted, edges=known.edges, constant=known.constant,
        interference=(made.edges | made.constant) - known.edges - known.constant,
    )  # fmt: skip


def _settled(left: Tensor, sizes: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Turn the singular vectors of equal singular values to one basis: a decomposition turns them as the CPU has it.

    Of their subspace the direction nearest to a coordinate axis comes first, then that of what is left.

    Returns:
        the left and the right singular vectors.
    """
    left, right = left.clone(), right.clone()
    ends = [0, *((sizes.diff() < -1e-9 * sizes[0]).nonzero()[:, 0] + 1).tolist(), len(sizes)]
    for low, high in pairwise(ends):
        block = left[:, low:high].clone()
        rest, basis = block @ block.T, []
        for _ in range(high - low):
            near = rest.diagonal()
            axis = int((near > near.max() - 1e-9).nonzero()[0])
            basis.append(rest[:, axis] / rest[axis, axis].sqrt())
            rest = rest - torch.outer(basis[-1], basis[-1])
        turn = block.T @ torch.stack(basis, 1)
        left[:, low:high] = block @ turn
        right[low:high] = turn.T @ right[low:high]
    return left, right


def _writers(model: HookedTransformer) -> list[Tensor]:
    """All rows that are written into the stream ``[rows, d_model]``, by block."""
    rows = [model.W_E, *([model.W_pos] if model.config.positions else [])]
    for i in range(model.config.n_layers):
        attn = model.block(i).attention
        rows += [attn.W_O.flatten(0, 1), *([attn.b_O[None]] if attn.bias else [])]
        if model.block(i).has_mlp:
            mlp = model.block(i).mlp
            rows += [mlp.W_out, *([mlp.b_out[None]] if mlp.bias else [])]
    return [row.detach() for row in rows]


def _readers(model: HookedTransformer) -> list[Tensor]:
    """All columns that read from the stream ``[d_model, columns]``, by block."""
    columns = []
    for i in range(model.config.n_layers):
        attn = model.block(i).attention
        columns += [getattr(attn, f"W_{x}").transpose(0, 1).flatten(1) for x in "QKV"]
        if model.block(i).has_mlp:
            columns.append(model.block(i).mlp.W_in)
    return [column.detach() for column in (*columns, model.W_U)]


def _put(model: HookedTransformer, writers: list[Tensor], readers: list[Tensor]) -> None:
    """Write the blocks of `_writers` and `_readers` back, in their order."""
    model.W_E.copy_(writers.pop(0))
    if model.config.positions:
        model.W_pos.copy_(writers.pop(0))
    for i in range(model.config.n_layers):
        attn = model.block(i).attention
        attn.W_O.copy_(writers.pop(0).view_as(attn.W_O))
        if attn.bias:
            attn.b_O.copy_(writers.pop(0)[0])
        for x in "QKV":
            weight = getattr(attn, f"W_{x}")
            weight.copy_(readers.pop(0).unflatten(1, (len(weight), -1)).transpose(0, 1))
        if model.block(i).has_mlp:
            mlp = model.block(i).mlp
            mlp.W_out.copy_(writers.pop(0))
            if mlp.bias:
                mlp.b_out.copy_(writers.pop(0)[0])
            mlp.W_in.copy_(readers.pop(0))
    model.W_U.copy_(readers.pop(0))
