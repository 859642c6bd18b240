"""How a pair of symbols (a, b) is put before a network: which tokens in which order, or vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from interp.errors import InterpError, UnknownName, unknown

ENCODINGS = ("tokens", "one_hot", "sum")
NAMED = {"=": 0, "op": 1}  # tokens after the last symbol


def items_of(form: str, equals_token: bool) -> list[str]:
    """The items of an input, in order.

    Args:
        form: such as ``"a op b ="``; empty for ``"a b ="`` or ``"a b"``.
        equals_token: which of the two.

    Returns:
        such as ``["a", "b", "="]``.
    """
    return form.split() if form else ["a", "b", "="] if equals_token else ["a", "b"]


def check_form(name: str, form: object, encoding: object) -> None:
    """Refuse a form without both operands, or an encoding that does not exist.

    Args:
        name: of the task, for messages.
        form: what the user gave.
        encoding: what the user gave.

    Raises:
        UnknownName: no such encoding.
        InterpError: a form that is not made of ``a``, ``b``, ``=``, ``op`` and numbers of tokens.
    """
    if encoding not in ENCODINGS:
        raise UnknownName(unknown(f"encoding for {name}", str(encoding), ENCODINGS))
    if not isinstance(form, str):
        raise InterpError(f"{name}: form must be a text such as 'a b =' or 'b a', got {form!r}")
    items = form.split()
    odd = [i for i in items if i not in ("a", "b", *NAMED) and not i.isdecimal()]
    if form and (odd or items.count("a") != 1 or items.count("b") != 1):
        raise InterpError(
            f"{name}: form must hold a and b once each, and may hold =, op and numbers of tokens, such as 'a op b =' or 'b a'; "
            f"got {form!r}"
        )
    if form and encoding != "tokens" and len(items) != 2:
        raise InterpError(f"{name}: vectors are of the two operands only, so form must be 'a b' or 'b a', got {form!r}")


def token_of(item: str, n_symbols: int) -> int | None:
    """The token of an item that is the same in every input; None for an operand."""
    if item in ("a", "b"):
        return None
    return n_symbols + NAMED[item] if item in NAMED else int(item)


def form_for(n_symbols: int, vocabulary: int, n_ctx: int) -> str:
    """The form that a transformer was probably trained on, by the tokens that it embeds and its positions.

    Args:
        n_symbols: number of operand symbols.
        vocabulary: tokens that the model embeds.
        n_ctx: positions that it takes.

    Returns:
        With two tokens more than symbols the one with the operation's sign, with none more the two operands, else the usual.
    """
    if vocabulary == n_symbols + 2 and n_ctx >= 4:
        return "a op b ="
    return "a b" if vocabulary == n_symbols else ""


def as_tokens(pairs: Tensor, items: Sequence[str], n_symbols: int) -> Tensor:
    """Tokens ``[n, item]`` of pairs.

    Args:
        pairs: ``[n, 2]``.
        items: what stands where.
        n_symbols: number of operand symbols.

    Returns:
        whole numbers.

    >>> as_tokens(torch.tensor([[1, 2]]), ["b", "op", "a", "="], 5).tolist()
    [[2, 6, 1, 5]]
    """
    columns = []
    for item in items:
        token = token_of(item, n_symbols)
        columns.append(pairs[:, "ab".index(item)] if token is None else torch.full((len(pairs),), token))
    return torch.stack(columns, 1)


def as_vectors(pairs: Tensor, items: Sequence[str], n_symbols: int, encoding: str) -> Tensor:
    """One-hot vectors of the operands, side by side ``[n, 2 * n_symbols]`` or added ``[n, n_symbols]``."""
    ordered = torch.stack([pairs[:, "ab".index(item)] for item in items if item in ("a", "b")], 1)
    hot = F.one_hot(ordered, n_symbols).float()
    return hot.sum(1) if encoding == "sum" else hot.flatten(1)
