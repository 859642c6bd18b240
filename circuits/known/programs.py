"""Known circuits that are compiled from programs, as those of Tracr (https://arxiv.org/abs/2301.05062)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import accumulate, combinations, permutations, product
from typing import Any

import torch

from circuits.known.compiling import compiled
from circuits.known.known_circuit import KnownCircuit, known_circuit
from circuits.known.program import Program, Variable
from interp.errors import require_range
from interp.subject import Subject
from interp.tasks import Examples

BOS, PAD = "BOS", "PAD"


def solved(
    name: str, program: Program, output: Variable, sequences: Iterable[Sequence[Any]], readout: int, why: str,
    redundant: Iterable[str] = (), answer: Any = None, soft: bool = False,
) -> KnownCircuit:  # fmt: skip
    """The known circuit of a program's network on the given sequences, with the answers that the program gives.

    Args:
        name: of the circuit.
        program: what is compiled.
        output: the variable that is the answer.
        sequences: of tokens: all that the network is meant for.
        readout: the position that is read.
        why: how the network computes its answers.
        redundant: edges that others make up for.
        answer: of the clean inputs; None: any.
        soft: see `compiled`.

    Returns:
        the circuit.
    """
    rows = [tuple(row) for row in sequences]
    inputs = torch.tensor([[program.alphabet.index(token) for token in row] for row in rows])
    labels = torch.tensor([output.values.index(program.run(row)[output.name][readout]) for row in rows])
    task = Examples(inputs, labels, readout=readout, n_answers=len(output.values))
    name = f"soft_{name}" if soft else name
    of_answer = None if answer is None else output.values.index(answer)
    return known_circuit(name, Subject(name, compiled(program, output, soft), task), why, redundant, answer=of_answer)


def reverse(n_ctx: int = 4, n_tokens: int = 3, position: int = 0, soft: bool = False) -> KnownCircuit:
    """Reverse a sequence of any length up to ``n_ctx``, padded at its end.

    A head finds the length as the mean of what is padding, the MLP the opposite position from it, and a head of the next
    layer fetches the token there. Two further variables are computed that nobody needs.

    Args:
        n_ctx: positions.
        n_tokens: different tokens, without the padding.
        position: whose answer is read.
        soft: attention and steps that let gradients through, see `compiled`.

    Returns:
        the known circuit; its inputs are all sequences that reach to the position.
    """
    require_range("n_ctx", n_ctx, 2, 6)
    require_range("n_tokens", n_tokens, 2, 6)
    require_range("position", position, 0, n_ctx - 2)
    letters = tuple(range(n_tokens))
    p = Program((*letters, PAD), n_ctx)
    shares = [i / n_ctx for i in range(n_ctx)]
    padded = p.aggregate("padded", p.tokens, weights={PAD: 1.0}, values=shares)
    next_one = p.aggregate("next", p.tokens, p.indices, p.indices, lambda q, k: k == q + 1)
    opposite = p.map("opposite", lambda share, i: _place(n_ctx - round(n_ctx * share) - 1 - i), padded, p.indices)
    p.map("doubled", lambda token: token == 0, next_one)
    output = p.aggregate("reversed", p.tokens, opposite, p.indices, lambda q, k: q == k)
    sequences = [
        (*word, *[PAD] * (n_ctx - n)) for n in range(position + 1, n_ctx + 1) for word in product(letters, repeat=n)
    ]
    return solved(
        "reverse", p, output, sequences, position,
        "L0H0 finds the share of padding, L0 mlp the opposite position from it, L1H0 fetches the token there.", soft=soft,
    )  # fmt: skip


def _place(i: int) -> int | None:
    return i if i >= 0 else None


def sort(length: int = 4, n_tokens: int = 5, rank: int = 1, soft: bool = False) -> KnownCircuit:
    """Sort different tokens.

    A head counts the smaller tokens (by its attention to BOS, which falls with their number), the MLP turns the count into
    a token's place in the sorted sequence, and a head of the next layer fetches the token whose place is this position.

    Args:
        length: of the sequences, without BOS.
        n_tokens: tokens to choose from.
        rank: whose answer is read, from 0.
        soft: attention and steps that let gradients through, see `compiled`.

    Returns:
        the known circuit; its inputs are all sequences of different tokens.
    """
    require_range("length", length, 2, 5)
    require_range("n_tokens", n_tokens, length, 6)
    require_range("rank", rank, 0, length - 1)
    p = Program((*range(n_tokens), BOS), length + 1)
    smaller = _width(p, "smaller", lambda q, k: q == BOS or (k != BOS and k < q))
    place = p.map("place", lambda width: _sorted_place(round(1 / width) - 1, length), smaller)
    previous = p.aggregate("previous", p.tokens, p.indices, p.indices, lambda q, k: k == q - 1)
    p.map("repeated", lambda token: token == 0, previous)
    output = p.aggregate("sorted", p.tokens, p.indices, place, lambda q, k: q == k)
    sequences = [(BOS, *word) for word in permutations(range(n_tokens), length)]
    return solved(
        "sort", p, output, sequences, rank + 1,
        "L0H0 counts smaller tokens, L0 mlp turns the count into a place, L1H0 fetches the token of this place.", soft=soft,
    )  # fmt: skip


def _sorted_place(count: int, length: int) -> int | None:
    return count + 1 if count < length else None  # BOS itself counts all


def _width(p: Program, name: str, select: Any) -> Variable:
    """One over one more than the number of tokens that are selected: the attention that is left for BOS."""
    possible = [1 / (1 + count) for count in range(p.n_ctx)]
    return p.aggregate(
        name, p.tokens, p.tokens, p.tokens, lambda q, k: k == BOS or select(q, k), weights={BOS: 1.0}, values=possible
    )


def histogram(length: int = 4, n_tokens: int = 3, soft: bool = False) -> KnownCircuit:
    """How often the last token occurs.

    Args:
        length: of the sequences, without BOS.
        n_tokens: different tokens.
        soft: attention and steps that let gradients through, see `compiled`.

    Returns:
        the known circuit; its inputs are all sequences.
    """
    require_range("length", length, 2, 5)
    require_range("n_tokens", n_tokens, 2, 5)
    p = Program((*range(n_tokens), BOS), length + 1)
    same = _width(p, "same", lambda q, k: q == k)
    p.aggregate("first", p.tokens, p.indices, p.indices, lambda q, k: k == 1)
    count = p.map("count", lambda width: round(1 / width) - 1, same)
    sequences = [(BOS, *word) for word in product(range(n_tokens), repeat=length)]
    return solved(
        "histogram", p, count, sequences, -1,
        "L0H0 attends to BOS and all tokens like the last; L0 mlp reads their number from what is left for BOS.", soft=soft,
    )  # fmt: skip


def fraction_previous(n_ctx: int = 5, n_tokens: int = 3, soft: bool = False) -> KnownCircuit:
    """The fraction of tokens so far that are token 0.

    Args:
        n_ctx: positions.
        n_tokens: different tokens.
        soft: attention and steps that let gradients through, see `compiled`.

    Returns:
        the known circuit; its inputs are all sequences, its answers the fractions 0, 1 / n_ctx, ..., 1 at the last position.
    """
    require_range("n_ctx", n_ctx, 2, 6)
    require_range("n_tokens", n_tokens, 2, 5)
    p = Program(tuple(range(n_tokens)), n_ctx, causal=True)
    possible = sorted({Fraction(i, n) for n in range(1, n_ctx + 1) for i in range(n + 1)})
    share = p.aggregate("share", p.tokens, weights={0: 1.0}, values=[float(f) for f in possible])
    p.aggregate("previous", p.tokens, p.indices, p.indices, lambda q, k: k == max(q - 1, 0))
    fraction = p.map("fraction", lambda s: float(Fraction(s).limit_denominator(n_ctx)), share)
    return solved(
        "fraction_previous", p, fraction, product(range(n_tokens), repeat=n_ctx), -1,
        "L0H0 averages over all positions whether the token is 0; L0 mlp tells the possible means apart.", soft=soft,
    )  # fmt: skip


def shuffle_dyck(n_ctx: int = 6, soft: bool = False) -> KnownCircuit:
    """Whether two kinds of brackets are balanced, each by itself (Shuffle-Dyck-2).

    Half of the inputs are balanced; the others differ from one of them in a single token or in two that are swapped.

    Args:
        n_ctx: positions, an even number.
        soft: attention and steps that let gradients through, see `compiled`.

    Returns:
        the known circuit.
    """
    require_range("n_ctx", n_ctx, 2, 6)
    p = Program(tuple("()[]"), n_ctx, causal=True)
    means = sorted({i / n for n in range(1, n_ctx + 1) for i in range(-n, n + 1)})
    verdicts = []
    for kind, (opens, closes) in {"round": "()", "square": "[]"}.items():
        balance = p.aggregate(f"{kind} balance", p.tokens, weights={opens: 1.0, closes: -1.0}, values=means)
        negative = p.map(f"{kind} negative", lambda b: float(b < 0), balance, number=True)
        left = p.map(f"{kind} left open", lambda b: float(b != 0), balance, number=True)
        verdicts.append((negative, left))
    (negative, left), (other_negative, other_left) = verdicts
    either = p.map("negative", lambda a, b: float(a + b > 0), negative, other_negative, number=True)
    shares = sorted({i / n for n in range(1, n_ctx + 1) for i in range(n + 1)})
    ever = p.aggregate("ever negative", either, values=shares)
    output = p.map(
        "balanced", lambda e, a, b: not (e or a or b), ever, left, other_left, weights=(float(n_ctx), 1.0, 1.0)
    )
    good = [word for word in product("()[]", repeat=n_ctx) if _balanced(word)]
    bad: list[tuple[str, ...]] = []
    for i, word in enumerate(good):
        near = [w for w in _one_change(word) if not _balanced(w) and w not in bad]
        bad.append(near[(7 * i) % len(near)])
    return solved(
        "shuffle_dyck", p, output, [*good, *bad], -1,
        "Heads of layer 0 average brackets opened minus closed, one kind each; L0 and L1 mlp see where that is negative, "
        "L2H0 whether it ever was, and the last MLP whether both kinds end at zero.", soft=soft,
    )  # fmt: skip


def _balanced(word: Sequence[str]) -> bool:
    for opens, closes in ("()", "[]"):
        heights = list(accumulate((token == opens) - (token == closes) for token in word))
        if min(heights) < 0 or heights[-1]:
            return False
    return True


def _one_change(word: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Words that differ in one token, or in two that are swapped."""
    found = [(*word[:i], token, *word[i + 1 :]) for i in range(len(word)) for token in "()[]" if token != word[i]]
    for i, j in combinations(range(len(word)), 2):
        swapped = list(word)
        swapped[i], swapped[j] = word[j], word[i]
        found += [tuple(swapped)] if word[i] != word[j] else []
    return found
