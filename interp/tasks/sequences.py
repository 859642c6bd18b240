"""The tokens that a transformer sees of a pair: operands in some order, with ``=`` and perhaps the operation's sign."""

from __future__ import annotations

import torch
from torch import Tensor

from interp.errors import InterpError

USUAL = "a b ="
SIGNED = "a + b ="
MOST = 16  # tokens of a sequence


def check_sequence(name: str, sequence: object) -> None:
    """Refuse what is not a sequence.

    Args:
        name: of the task, for the message.
        sequence: words between blanks: ``a``, ``b``, ``=``, ``+`` or the number of a token.

    Raises:
        InterpError: other words, or operands that don't occur exactly once.
    """
    words = sequence.split() if isinstance(sequence, str) else []
    known = all(w in ("a", "b", "=", "+") or (w.isascii() and w.isdigit() and len(w) < 8) for w in words)
    if not known or words.count("a") != 1 or words.count("b") != 1 or len(words) > MOST:
        raise InterpError(
            f"{name}: sequence must hold a and b once, and =, + or numbers of tokens, between blanks, such as "
            f"'{USUAL}', '{SIGNED}' or 'b 12 a 11'; got {sequence!r}"
        )


def tokens_of(sequence: str, n_symbols: int) -> dict[str, int]:
    """The token of every word that is no operand: ``+`` comes after the last symbol, ``=`` after what comes before it."""
    words = sequence.split()
    signs = {"+": n_symbols, "=": n_symbols + ("+" in words)}
    return {w: signs.get(w) if w in signs else int(w) for w in words if w not in "ab"}  # type: ignore[misc]


def encode(pairs: Tensor, sequence: str, n_symbols: int) -> Tensor:
    """Inputs ``[n, length]`` for ``pairs [n, 2]``.

    Args:
        pairs: of symbols.
        sequence: as `check_sequence` takes it.
        n_symbols: number of symbols.

    Returns:
        tokens.

    >>> encode(torch.tensor([[0, 1]]), "b + a =", 5)
    tensor([[1, 5, 0, 6]])
    """
    tokens = tokens_of(sequence, n_symbols)
    operands = {"a": pairs[:, 0], "b": pairs[:, 1]}
    columns = [operands[w] if w in operands else torch.full_like(pairs[:, 0], tokens[w]) for w in sequence.split()]
    return torch.stack(columns, 1)


def sequence_for(sequence: str, n_symbols: int, vocabulary: int, n_ctx: int) -> str:
    """The sequence that a transformer was probably trained on, by the size of its vocabulary.

    Args:
        sequence: the task's; another one than the usual is kept.
        n_symbols: number of symbols.
        vocabulary: tokens that the model embeds.
        n_ctx: positions that it takes.

    Returns:
        with two tokens more than symbols the one with the operation's sign, with none more the two operands.
    """
    if sequence != USUAL:
        return sequence
    if vocabulary == n_symbols + 2 and n_ctx >= len(SIGNED.split()):
        return SIGNED
    return "a b" if vocabulary == n_symbols else sequence
